//! What begins with a colon: it is said to the session, not to the script.

use std::time::Instant;

use super::Room;
use super::show::{self, more, short};
use super::table;
use crate::host::{Fault, format_duration};
use crate::script::{Report, Session, reference};

/// Name, what stands behind it, what it does.
pub const COMMANDS: [(&str, &str, &str); 7] = [
    ("help", "[NAME]", "what there is; a module, a function, a method"),
    ("type", "EXPR", "the type of a value"),
    ("time", "EXPR", "how long it takes"),
    ("load", "FILE", "run a file's statements here, and take over its functions"),
    ("vars", "", "the variables of this session"),
    ("handles", "", "what is open: servers, mounts, attached disks"),
    ("quit", "", "close what is open and leave (also Ctrl-D)"),
];

pub enum Next {
    Line,
    Quit,
}

impl Room<'_> {
    /// # Errors
    /// `repl.command`: no such command, or something missing behind it; the script's own errors.
    pub fn command(&mut self, text: &str) -> Result<Next, Box<Report>> {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()));
        // `:q` for `:quit`, as long as one command begins so.
        let mut fits =
            COMMANDS.iter().map(|(name, ..)| *name).filter(|name| !word.is_empty() && name.starts_with(word));
        let name = match (fits.next(), fits.next()) {
            (Some(one), None) => one,
            _ => word,
        };
        match name {
            "help" => self.say(self.help(rest)?.trim_end()),
            "type" => {
                self.with_value(needed("type EXPR", rest)?, |room, value| room.session.borrow().type_of(value))?
            }
            "time" => {
                let start = Instant::now();
                self.with_value(needed("time EXPR", rest)?, |room, value| {
                    let took = format_duration(start.elapsed());
                    let shown = short(&room.session.borrow(), None, value);
                    if value.is_unit() { took } else { format!("{shown}\n{}", room.screen.dim(&took)) }
                })?;
            }
            "load" => {
                let file = needed("load FILE", rest)?.trim_matches('"');
                let (interrupts, host) = (self.interrupts, self.host);
                interrupts.during(host, |cancel| self.session.borrow_mut().load(file, &cancel))?;
            }
            "vars" => self.say(&self.vars()),
            "handles" => self.say(&self.handles()),
            "quit" => return Ok(Next::Quit),
            _ => {
                let fault = Fault::new("repl.command", format!("there is no command `:{word}`"));
                let fault = match crate::host::nearest(word, COMMANDS.iter().map(|(name, ..)| *name)) {
                    Some(near) => fault.hint(format!("did you mean `:{near}`?")),
                    None => fault,
                };
                return Err(fault.hint("`:help` lists them").into());
            }
        }
        Ok(Next::Line)
    }

    fn with_value(&mut self, text: &str, say: impl FnOnce(&Self, &rhai::Dynamic) -> String) -> Result<(), Box<Report>> {
        let (interrupts, host) = (self.interrupts, self.host);
        interrupts.during(host, |cancel| {
            let value = self.session.borrow_mut().run(text, &cancel)?;
            self.say(&say(self, &value));
            Ok(())
        })
    }

    fn help(&self, topic: &str) -> Result<String, Fault> {
        if !topic.is_empty() {
            return self.session.borrow().help(topic);
        }
        let mut text = String::new();
        for (name, takes, about) in COMMANDS {
            let usage = format!(":{name} {takes}");
            text += &format!("{}{}{about}\n", self.screen.name(&usage), " ".repeat(14 - usage.len()));
        }
        text += "\nmodules:\n";
        let scripts = self.session.borrow().script_modules();
        let scripts = scripts.iter().map(|(name, about)| format!("{name:12}  {about}\n"));
        text += &reference::topic(None)?.lines().map(|line| format!("  {}\n", widened(line))).collect::<String>();
        text += &scripts.map(|line| format!("  {line}")).collect::<String>();
        Ok(text)
    }

    /// Name, type and value of each variable, in one line.
    fn vars(&self) -> String {
        let vars = self.session.borrow().vars();
        let row = |(name, constant, value): &(String, bool, rhai::Dynamic)| {
            let name = if *constant { format!("const {name}") } else { name.clone() };
            vec![name, self.session.borrow().type_of(value), short(&self.session.borrow(), None, value)]
        };
        let rows: Vec<Vec<String>> = vars.iter().map(row).collect();
        self.table(&["name", "type", "value"], &rows, "no variables yet")
    }

    fn handles(&self) -> String {
        let held = self.host.held();
        let rows: Vec<Vec<String>> = held.into_iter().map(|(verb, object)| vec![object, verb]).collect();
        self.table(&["open", "closed by"], &rows, "nothing is open")
    }

    fn table(&self, titles: &[&str], rows: &[Vec<String>], nothing: &str) -> String {
        if rows.is_empty() {
            return self.screen.dim(nothing);
        }
        let titles: Vec<String> = titles.iter().map(ToString::to_string).collect();
        let shown = &rows[..rows.len().min(show::MOST_ITEMS)];
        let mut text = table::lines(&titles, shown, &vec![false; titles.len()], &self.screen);
        more(&mut text, rows.len(), "rows", &self.screen);
        text.trim_end().to_string()
    }
}

/// A line of the list of modules, as wide as the longest name of the stdlib's.
fn widened(line: &str) -> String {
    let (name, about) = line.split_once(' ').unwrap_or((line, ""));
    format!("{name:12}  {}", about.trim_start())
}

fn needed<'a>(usage: &str, rest: &'a str) -> Result<&'a str, Fault> {
    match rest {
        "" => Err(Fault::new("repl.command", format!("something is missing: `:{usage}`"))),
        rest => Ok(rest),
    }
}

/// What may stand next in a command, and where the word begins that it takes the place of.
pub fn complete(session: &Session, line: &str, at: usize) -> (usize, Vec<String>) {
    let typed = &line[..at];
    let colon = typed.find(':').unwrap_or(0) + 1;
    let Some(space) = typed.find(char::is_whitespace).filter(|space| *space > colon) else {
        let fits = COMMANDS.iter().filter(|(name, ..)| name.starts_with(&typed[colon..]));
        let end = |takes: &str| if takes.is_empty() { "" } else { " " };
        let mut words: Vec<String> = fits.map(|(name, takes, _)| format!("{name}{}", end(takes))).collect();
        words.sort();
        return (colon, words);
    };
    let start = space + 1;
    match &typed[colon..space] {
        "help" => (start, session.topics(&typed[start..])),
        "load" => {
            let name = typed[start..].rfind('/').map_or(start, |slash| start + slash + 1);
            (name, crate::script::complete::paths(&typed[start..]))
        }
        "type" | "time" => {
            let (from, words) = session.complete(&line[start..], at - start);
            (start + from, words)
        }
        _ => (at, Vec::new()),
    }
}
