//! Lines of words, as both languages have them.

use super::program::Place;
use crate::host::{Fault, Result};

/// A boot script longer than this is not one.
const LIMIT: usize = 256 << 10;

/// One word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// It stood in double quotes: never a command, a label or a whole variable.
    pub quoted: bool,
    pub place: Place,
}

/// One statement: the words of a line, and the comment lines that stand above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub words: Vec<Word>,
    pub comment: Vec<String>,
}

/// Words are separated by blanks, `#` starts a comment. A text in double quotes may run over several lines: each line
/// end in it, with the blanks around, is one blank. `escapes`: `\n`, `\t`, `\"` and `\\` mean what they do in C, which
/// ka-boot has and BpBatch, with its DOS paths, has not.
///
/// # Errors
/// `boot.script` with line and column: a quote that is not closed, a control character.
pub fn lines(text: &str, escapes: bool) -> Result<Vec<Line>> {
    if text.len() > LIMIT {
        return Err(Fault::new("boot.script", format!("a boot script of {} bytes is longer than {LIMIT}", text.len())));
    }
    let mut reader = Reader { chars: text.chars().peekable(), place: Place { line: 1, column: 1 } };
    let (mut lines, mut words, mut comment) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let place = reader.place;
        match reader.next() {
            None => break,
            Some('\n') if words.is_empty() => {}
            Some('\n') => lines.push(Line { words: std::mem::take(&mut words), comment: std::mem::take(&mut comment) }),
            Some('#') => {
                let text = reader.rest();
                if words.is_empty() {
                    comment.push(text);
                }
            }
            Some('"') => words.push(Word { text: reader.quoted(place, escapes)?, quoted: true, place }),
            Some(c) if c.is_whitespace() => {}
            Some(c) if c.is_control() => return Err(place.wrong("a control character")),
            Some(c) => words.push(Word { text: reader.bare(c), quoted: false, place }),
        }
    }
    if !words.is_empty() {
        lines.push(Line { words, comment });
    }
    Ok(lines)
}

struct Reader<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    /// Of the next character.
    place: Place,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        match c {
            '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
            _ => self.place.column += 1,
        }
        Some(c)
    }

    /// A comment to its line's end, which is left.
    fn rest(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|c| *c != '\n') {
            self.place.column += 1;
            text.push(c);
        }
        text.trim().to_string()
    }

    fn bare(&mut self, first: char) -> String {
        let mut text = String::from(first);
        // `set NAME="VALUE"`: the quote begins a word of its own.
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace() && *c != '"') {
            self.place.column += 1;
            text.push(c);
        }
        text
    }

    fn quoted(&mut self, start: Place, escapes: bool) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(start.wrong("the quote that opens here is not closed")),
                Some('"') => return Ok(text),
                Some('\n') => {
                    text.truncate(text.trim_end().len());
                    text.push(' ');
                    while self.chars.peek().is_some_and(|c| c.is_whitespace()) {
                        self.next();
                    }
                }
                Some('\\') if escapes => text.push(match self.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(c @ ('"' | '\\')) => c,
                    Some(other) => return Err(self.place.wrong(format!("`\\{other}` is no escape"))),
                    None => return Err(start.wrong("the quote that opens here is not closed")),
                }),
                Some('\r') => {}
                Some(c) => text.push(c),
            }
        }
    }
}
