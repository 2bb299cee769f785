//! `kar repl`: a session on a terminal, or fed by a pipe.

mod commands;
mod editor;
mod history;
pub mod show;
mod table;

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal, Write};
use std::rc::Rc;
use std::sync::Arc;

use commands::Next;
use editor::Line;
use show::Screen;

use super::args::Repl;
use super::console::Terminal;
use super::exit::Exit;
use super::host::{Interrupts, close, on_host, show_end};
use super::report;
use crate::host::{Fault, Host};
use crate::script::{Library, Report, Session};

/// A session with all that its lines and commands need.
struct Room<'a> {
    session: Rc<RefCell<Session>>,
    host: &'a Host,
    interrupts: &'a Interrupts,
    screen: Screen,
}

pub fn repl(repl: &Repl) -> Exit {
    let typed = std::io::stdin().is_terminal();
    let interrupts = if typed { Interrupts::of_a_session() } else { Interrupts::default() };
    on_host(&repl.host, &interrupts, |host, terminal| {
        let (session, broken) = Session::new(host, Library::new(repl.host.lib.clone()), "repl");
        broken.iter().for_each(report::show);
        let session = Rc::new(RefCell::new(session));
        let mut room = Room { session, host, interrupts: &interrupts, screen: Screen::of_stdout() };
        let ended = if typed { room.typed(terminal) } else { room.piped() };
        close(host);
        ended
    })
}

impl Room<'_> {
    /// Lines from a terminal, until Ctrl-D or `:quit`. An error ends its line.
    fn typed(&mut self, terminal: &Arc<Terminal>) -> Result<(), Box<Report>> {
        let history = history::file();
        let mut editor = editor::editor(self.session.clone(), &self.screen, history.as_deref())
            .map_err(|error| Fault::new("repl.terminal", format!("cannot read from this terminal: {error}")))?;
        editor::show_above(&mut editor, terminal);
        self.say(&format!("kar {}: `:help` for help, Ctrl-D to leave", env!("CARGO_PKG_VERSION")));
        while !self.host.end().is_set() {
            let line = editor::read(&mut editor, history.as_deref());
            match line {
                Line::Text(text) if text.trim().is_empty() => {}
                Line::Text(text) => {
                    self.screen.columns = Screen::of_stdout().columns;
                    match self.take(&text) {
                        Ok(Next::Quit) => return Ok(()),
                        Ok(Next::Line) => {}
                        // Behind the `^C` that the terminal wrote.
                        Err(report) if report.fault.is_stopped() => self.say("\nstopped"),
                        Err(report) => drop(show_end(&report)),
                    }
                }
                Line::Dropped => {}
                Line::End => return Ok(()),
            }
        }
        Err(Fault::stopped().into())
    }

    /// Lines from a pipe or a file: no prompt, and the first error ends it, as in `kar run`.
    fn piped(&mut self) -> Result<(), Box<Report>> {
        let mut text = String::new();
        for line in std::io::stdin().lock().lines() {
            text += &line.map_err(|error| Fault::io("repl.read", "read the lines", error))?;
            if !text.trim().is_empty() && (is_command(&text) || self.session.borrow().is_whole(&text)) {
                if matches!(self.take(&std::mem::take(&mut text))?, Next::Quit) {
                    return Ok(());
                }
            } else if !text.is_empty() {
                text.push('\n');
            }
        }
        // The engine says what is missing.
        if text.trim().is_empty() { Ok(()) } else { self.take(&text).map(drop) }
    }

    /// One whole line: a command, or a script.
    fn take(&mut self, text: &str) -> Result<Next, Box<Report>> {
        if is_command(text) {
            return self.command(text.trim_start().trim_start_matches(':'));
        }
        let (interrupts, host) = (self.interrupts, self.host);
        interrupts.during(host, |cancel| {
            let value = self.session.borrow_mut().run(text, &cancel).map_err(|report| meant(text, report))?;
            self.say(&show::value_text(&self.session.borrow(), &value, &self.screen, &cancel));
            self.drop_value(value);
            Ok(Next::Line)
        })
    }

    /// A server or mount that no variable keeps is closed with the line: nobody should wonder why.
    fn drop_value(&self, value: rhai::Dynamic) {
        let before = self.host.held();
        drop(value);
        let after = self.host.held();
        for (verb, object) in before.iter().filter(|held| !after.contains(held)) {
            self.note(&format!("{verb} {object}: no variable keeps it; `let NAME = ..` does"));
        }
    }

    /// Data, on standard output.
    fn say(&self, text: &str) {
        if !text.is_empty() {
            self.host.console().print(text);
        }
    }

    /// What is said beside the data.
    fn note(&self, text: &str) {
        self.host.log(crate::host::Level::Info, text);
        let _ = std::io::stderr().flush();
    }
}

fn is_command(text: &str) -> bool {
    text.trim_start().starts_with(':')
}

/// `exit` is no word of the language; what was meant is a command.
fn meant(text: &str, mut report: Box<Report>) -> Box<Report> {
    let command = match text.trim().trim_end_matches([';', '(', ')']) {
        "exit" | "quit" => ":quit",
        "help" => ":help",
        _ => return report,
    };
    report.fault.hints = vec![format!("did you mean `{command}`?")];
    report
}
