//! What a person is told of an error: kind, message, place, the way there, what to do.

use std::fmt;

use rhai::{EvalAltResult, Position};

use super::engine::Shelf;
use super::library::Origin;
use crate::host::Fault;
use crate::prim::errors::fault_of;

/// An error with its place in the scripts.
#[derive(Debug, Clone)]
pub struct Report {
    pub fault: Fault,
    pub place: Option<Place>,
    /// Who called whom, innermost first.
    pub frames: Vec<Frame>,
}

#[derive(Debug, Clone)]
pub struct Place {
    pub file: String,
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line as it stands in the file.
    pub text: String,
    /// Characters of the word at the place.
    pub width: usize,
    pub built_in: bool,
}

#[derive(Debug, Clone)]
pub struct Frame {
    /// `layout::push()`, `main()`, or `a closure`.
    pub function: String,
    /// `recipes/linux.rhai:16:13`; empty when called by kar itself.
    pub called_at: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl From<Fault> for Box<Report> {
    fn from(fault: Fault) -> Self {
        Box::new(Report { fault, place: None, frames: Vec::new() })
    }
}

impl Report {
    /// An error at a place known by file and position.
    pub fn at(shelf: &Shelf, fault: Fault, file: &str, position: Position) -> Box<Self> {
        Box::new(Report { fault, place: place(shelf, file, position), frames: Vec::new() })
    }
}

/// The report of an engine's error that began in `file`.
pub fn report(shelf: &Shelf, file: &str, error: &EvalAltResult) -> Box<Report> {
    let mut file = file.to_string();
    let mut frames = Vec::new();
    let mut error = error;
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(name, claimed, inner, called) => {
                let at = place(shelf, &file, *called).map(|place| place.to_string()).unwrap_or_default();
                let stands = shelf.file_of(name, inner.position(), if claimed.is_empty() { &file } else { claimed });
                frames.push(Frame { function: function_name(name, &stands, &file), called_at: at });
                file = stands;
                error = inner;
            }
            EvalAltResult::ErrorInModule(name, inner, called) => {
                let at = place(shelf, &file, *called).map(|place| place.to_string()).unwrap_or_default();
                frames.push(Frame { function: format!("module {name}"), called_at: at });
                file = name.clone();
                error = inner;
            }
            leaf => {
                frames.reverse();
                return Box::new(Report { fault: fault_of(leaf), place: place(shelf, &file, leaf.position()), frames });
            }
        }
    }
}

fn function_name(name: &str, stands: &str, caller: &str) -> String {
    if name.starts_with("anon$") {
        return "a closure".into();
    }
    let stem = std::path::Path::new(stands).file_stem().and_then(|stem| stem.to_str());
    match stem {
        Some(stem) if stands != caller => format!("{stem}::{name}()"),
        _ => format!("{name}()"),
    }
}

fn place(shelf: &Shelf, file: &str, position: Position) -> Option<Place> {
    let line = position.line()?;
    let column = position.position().unwrap_or(1).max(1);
    let script = shelf.script(file)?;
    let text = script.text.lines().nth(line - 1).unwrap_or_default().to_string();
    let width = word_width(&text, column);
    Some(Place { file: file.to_string(), line, column, text, width, built_in: script.origin == Origin::BuiltIn })
}

/// Characters of the word, text or sign that begins at `column`.
fn word_width(text: &str, column: usize) -> usize {
    let rest: Vec<char> = text.chars().skip(column - 1).collect();
    let width = match rest.first() {
        Some('"') => rest.iter().skip(1).position(|c| *c == '"').map_or(rest.len(), |end| end + 2),
        Some(c) if c.is_alphanumeric() || *c == '_' => {
            rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count()
        }
        _ => 1,
    };
    width.max(1)
}
