//! Log lines and progress on a terminal; log lines alone when piped.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::harmless;
use crate::host::{Console, Display, Level, Meter};

pub struct Terminal {
    bars: MultiProgress,
    verbose: bool,
    colour: bool,
    /// Lines of several threads do not mix.
    writing: Mutex<()>,
}

impl Terminal {
    pub fn new(verbose: bool) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(8),
            false => ProgressDrawTarget::hidden(),
        };
        Terminal {
            bars: MultiProgress::with_draw_target(target),
            verbose,
            colour: super::report::colour(),
            writing: Mutex::new(()),
        }
    }

    fn line(&self, write: impl FnOnce()) {
        let _one = self.writing.lock();
        self.bars.suspend(write);
    }
}

impl Console for Terminal {
    fn log(&self, level: Level, label: Option<&str>, text: &str) {
        if level == Level::Trace && !self.verbose {
            return;
        }
        let (word, paint) = match level {
            Level::Trace => ("trace: ", "\x1b[2m"),
            Level::Info => ("", ""),
            Level::Step => ("==> ", "\x1b[1m"),
            Level::Warn => ("warning: ", "\x1b[33m"),
            Level::Error => ("error: ", "\x1b[31m"),
        };
        let label = label.map(|label| format!("{}: ", harmless(label))).unwrap_or_default();
        let text = harmless(text);
        let line = match self.colour && !paint.is_empty() {
            true => format!("{paint}{word}{label}{text}\x1b[0m\n"),
            false => format!("{word}{label}{text}\n"),
        };
        // A reader that went away is no reason to fail.
        self.line(|| {
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        });
    }

    fn print(&self, text: &str) {
        self.line(|| {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
        });
    }

    fn meter(&self, label: Option<&str>, title: &str, total: Option<u64>) -> Meter {
        let bar = match total {
            Some(total) => ProgressBar::new(total)
                .with_style(style("{prefix}{msg} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")),
            None => ProgressBar::new_spinner().with_style(style("{prefix}{msg} {bytes} {bytes_per_sec}")),
        };
        let bar = self.bars.add(bar);
        bar.set_prefix(label.map(|label| format!("{label}: ")).unwrap_or_default());
        bar.set_message(title.to_string());
        Meter::new(Bar(bar))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

struct Bar(ProgressBar);

impl Display for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn say(&self, text: &str) {
        self.0.set_message(text.to_string());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
