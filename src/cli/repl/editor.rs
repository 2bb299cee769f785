//! The line editor: keys, history, completion, colours, and when a line is whole.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use super::commands;
use super::show::Screen;
use crate::cli::console::Terminal;
use crate::script::Session;
use crate::script::tokens::{Kind, tokens};

pub const PROMPT: &str = "kar> ";
/// Lines kept over sessions.
const HISTORY: usize = 5000;

/// What came from the terminal.
pub enum Line {
    Text(String),
    /// Ctrl-C: what was typed is forgotten.
    Dropped,
    /// Ctrl-D.
    End,
}

/// What the editor sees of the session while a line is typed.
pub struct Sight {
    session: Rc<RefCell<Session>>,
    colour: bool,
}

pub type LineEditor = Editor<Sight, DefaultHistory>;

/// # Errors
/// The terminal cannot be read.
pub fn editor(
    session: Rc<RefCell<Session>>,
    screen: &Screen,
    history: Option<&Path>,
) -> Result<LineEditor, ReadlineError> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .build();
    let mut editor = LineEditor::with_config(config)?;
    editor.set_helper(Some(Sight { session, colour: screen.colour }));
    if let Some(file) = history {
        // Of a first session there is none.
        let _ = editor.load_history(file);
    }
    Ok(editor)
}

/// Log lines of servers and tasks appear above the line that is being typed.
pub fn show_above(editor: &mut LineEditor, terminal: &Arc<Terminal>) {
    if let Ok(mut printer) = editor.create_external_printer() {
        terminal.log_above(Box::new(move |line| printer.print(line).is_ok()));
    }
}

/// The next whole line. It is in the history at once: a killed session loses none.
pub fn read(editor: &mut LineEditor, history: Option<&Path>) -> Line {
    match editor.readline(PROMPT) {
        Ok(text) => {
            if !text.trim().is_empty() && editor.add_history_entry(text.trim_end()).unwrap_or(false) {
                let _ = history.map(|file| editor.append_history(file));
            }
            Line::Text(text)
        }
        Err(ReadlineError::Interrupted) => Line::Dropped,
        Err(_) => Line::End,
    }
}

impl Helper for Sight {}

impl Hinter for Sight {
    type Hint = String;
}

impl Validator for Sight {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let whole = super::is_command(text) || self.session.borrow().is_whole(text);
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Sight {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context) -> rustyline::Result<(usize, Vec<Pair>)> {
        let session = self.session.borrow();
        let (start, words) = match super::is_command(line) {
            true => commands::complete(&session, line, at),
            false => session.complete(line, at),
        };
        let pair = |word: String| Pair { display: word.trim_end_matches([' ', ':']).to_string(), replacement: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

/// Words that a reader's eye looks for.
const LOUD: [&str; 12] =
    ["let", "const", "fn", "if", "else", "switch", "for", "while", "loop", "return", "throw", "import"];

impl Highlighter for Sight {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour { Cow::Owned(format!("\x1b[1;32m{prompt}\x1b[0m")) } else { Cow::Borrowed(prompt) }
    }

    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !self.colour || super::is_command(line) {
            return Cow::Borrowed(line);
        }
        let mut text = String::new();
        let mut done = 0;
        for token in tokens(line) {
            let paint = match token.kind {
                Kind::Text => "\x1b[33m",
                Kind::Comment => "\x1b[2m",
                Kind::Word if LOUD.contains(&token.text) => "\x1b[1m",
                _ => continue,
            };
            text += &line[done..token.at];
            // Colours end with the line on some terminals.
            text += &token.text.split('\n').map(|row| format!("{paint}{row}\x1b[0m")).collect::<Vec<_>>().join("\n");
            done = token.range().end;
        }
        text += &line[done..];
        Cow::Owned(text)
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colour && kind != CmdKind::MoveCursor
    }
}
