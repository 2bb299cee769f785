//! A node's console that tells its server, too.

use std::sync::Arc;
use std::time::Duration;

use super::super::console::Terminal;
use crate::host::{Console, Display, Hold, Host, Level, Meter};
use crate::kit::node::Settings;
use crate::kit::watch::{Kind, Teller};
use crate::script::Report;

/// At the end, for the server to have it all.
const GOODBYE: Duration = Duration::from_secs(10);

pub struct Told {
    pub terminal: Arc<Terminal>,
    pub teller: Teller,
}

impl Console for Told {
    fn log(&self, level: Level, label: Option<&str>, text: &str) {
        self.terminal.log(level, label, text);
        let kind = match level {
            Level::Trace => return,
            Level::Info => Kind::Info,
            Level::Step => Kind::Step,
            Level::Warn => Kind::Warn,
            Level::Error => Kind::Error,
        };
        let host = nix::unistd::gethostname().unwrap_or_default();
        // The server knows whose line it is.
        match label.filter(|label| *label != host) {
            Some(label) => self.teller.say(kind, &format!("{label}: {text}")),
            None => self.teller.say(kind, text),
        }
    }

    fn print(&self, text: &str) {
        self.terminal.print(text);
        self.teller.say(Kind::Info, text);
    }

    fn meter(&self, label: Option<&str>, title: &str, total: Option<u64>) -> Meter {
        Meter::new(Counted(self.terminal.meter(label, title, total), self.teller.clone()))
    }
}

struct Counted(Meter, Teller);

impl Display for Counted {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
        self.1.advance(bytes);
    }

    fn say(&self, text: &str) {
        self.0.say(text);
    }
}

/// Begins to tell the server, where the command line names it. What is held then waits, at the end of the run or before a
/// reboot, until the server has heard all.
pub fn begin(host: &Host, settings: &Settings, teller: &Teller) -> Option<Hold> {
    let (server, token) = settings.report.clone()?;
    let (telling, told) = (teller.clone().tell(server.clone(), token), host.clone());
    let to = server.clone();
    host.runtime().spawn(async move {
        let why = telling.await;
        told.log(Level::Warn, &format!("the server {to} wants to hear nothing of this boot: {why}"));
    });
    let (teller, runtime) = (teller.clone(), host.runtime().clone());
    Some(host.hold("node.report", &server, move || {
        runtime.block_on(teller.flush(GOODBYE));
        Ok(())
    }))
}

/// How the work ended.
pub fn end(teller: &Teller, ended: &Result<serde_json::Value, Box<Report>>) {
    match ended {
        Ok(report) => teller.say_with(Kind::Done, "", report.clone()),
        Err(report) => {
            let mut text = report.fault.message.clone();
            for hint in &report.fault.hints {
                text += &format!("; hint: {hint}");
            }
            if let Some(place) = &report.place {
                text += &format!(" ({place})");
            }
            teller.say(Kind::Failed, &text);
        }
    }
}
