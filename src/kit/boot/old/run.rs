//! The interpreter: what the loader did on the node, done on the server at boot time.

use std::collections::BTreeMap;

use super::program::{Command, Language, Piece, Place, Program, Text};
use crate::host::{Fault, Result};
use crate::kit::boot::{Decision, cmdline};

/// What a script knows of the node it decides for.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its address, as text: `$Client-IP`, `$BOOTP-Your-IP`.
    pub ip: String,
    /// More variables, by name.
    pub variables: BTreeMap<String, String>,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub decision: Decision,
    /// What it would have shown on the console; one text for each `echo`.
    pub said: Vec<String>,
}

/// Statements in one boot: a script that needs more goes round in a circle.
const STATEMENTS: usize = 10_000;
/// Files that run files.
const DEPTH: usize = 8;
/// Bytes of one variable. `append` in a circle doubles.
pub(super) const LENGTH: usize = 4096;

/// Runs a script into a decision. `fetch` gets a file of the server by its name, `None` where there is none: to `run`
/// a missing file does nothing, and a word occurs in no missing file; a node without a step file begins at the start.
///
/// # Errors
/// `boot.script` with line and column: a circle, a text too long, a file that does not parse, an end without a boot, a
/// decision that no boot loader can be told; and what `fetch` says.
pub fn run(program: &Program, node: &Node, fetch: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<Outcome> {
    let language = program.language;
    let mut variables = BTreeMap::new();
    for (name, value) in &node.variables {
        variables.insert(key(language, name), value.clone());
    }
    variables.insert(key(language, language.address()), node.ip.clone());
    let mut machine = Machine { language, variables, equal: false, said: Vec::new(), left: STATEMENTS, fetch };
    match machine.file(program, 0)? {
        Some(decision) => Ok(Outcome { decision, said: machine.said }),
        None => Err(Fault::new("boot.script", "the boot script ends without booting anything")
            .hint("its last lines are `linuxboot`, or what lets the BIOS boot the disk")),
    }
}

/// BpBatch does not tell capitals from small letters in names.
pub(super) fn key(language: Language, name: &str) -> String {
    match language {
        Language::Kaboot => name.to_string(),
        Language::Bpbatch => name.to_ascii_lowercase(),
    }
}

/// A floppy image is booted as every PXE loader does it: by memdisk of the syslinux package.
pub(super) fn floppy(image: String) -> Decision {
    Decision::Linux { kernel: "memdisk".into(), initrd: vec![image], cmdline: "floppy".into() }
}

pub(super) fn linux(kernel: String, line: &str) -> Decision {
    Decision::Linux { kernel, initrd: Vec::new(), cmdline: cmdline::tidy(line) }
}

struct Machine<'a> {
    language: Language,
    variables: BTreeMap<String, String>,
    equal: bool,
    said: Vec<String>,
    /// Statements until it counts as a circle.
    left: usize,
    fetch: &'a mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
}

impl Machine<'_> {
    /// `None`: the file ended.
    fn file(&mut self, program: &Program, depth: usize) -> Result<Option<Decision>> {
        let mut at = 0;
        while let Some(statement) = program.statements.get(at) {
            let place = statement.place;
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                place.wrong(format!("more than {STATEMENTS} statements in one boot: it goes round in a circle"))
            })?;
            at += 1;
            match &statement.command {
                Command::Set { name, value } => {
                    let value = self.text(value, place)?;
                    self.variables.insert(name.clone(), value);
                }
                Command::Append { name, value } => {
                    let mut whole = self.variables.get(name).cloned().unwrap_or_default();
                    whole.push_str(&self.text(value, place)?);
                    self.variables.insert(name.clone(), bounded(whole, place)?);
                }
                Command::Run { file } => {
                    let name = self.text(file, place)?;
                    if let Some(decision) = self.run(&name, place, depth)? {
                        return Ok(Some(decision));
                    }
                }
                Command::Echo { text } => {
                    let text = self.text(text, place)?;
                    self.said.push(text);
                }
                Command::Compare { left, right } => {
                    self.equal = self.text(left, place)? == self.text(right, place)?;
                }
                Command::JumpEqual { target } if self.equal => at = *target,
                Command::Jump { target } => at = *target,
                Command::JumpInFile { word, file, target } => {
                    let (word, file) = (self.text(word, place)?, self.text(file, place)?);
                    if occurs(word.as_bytes(), &(self.fetch)(&file)?.unwrap_or_default()) {
                        at = *target;
                    }
                }
                Command::Linux { kernel, cmdline } => {
                    let (kernel, line) = (self.text(kernel, place)?, self.text(cmdline, place)?);
                    return checked(linux(kernel, &line), place).map(Some);
                }
                Command::Floppy { image } => return checked(floppy(self.text(image, place)?), place).map(Some),
                Command::Local => return Ok(Some(Decision::Local {})),
                Command::End => return Ok(None),
                Command::JumpEqual { .. } | Command::Nothing => {}
            }
        }
        Ok(None)
    }

    fn run(&mut self, name: &str, place: Place, depth: usize) -> Result<Option<Decision>> {
        if depth >= DEPTH {
            return Err(place.wrong(format!("`{name}` would be the file number {} that runs another", depth + 1)));
        }
        let Some(bytes) = (self.fetch)(name)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let program = Program::parse(&text, self.language).map_err(|fault| of_file(fault, name))?;
        self.file(&program, depth + 1).map_err(|fault| of_file(fault, name))
    }

    fn text(&self, text: &Text, place: Place) -> Result<String> {
        let mut whole = String::new();
        for piece in &text.0 {
            match piece {
                Piece::Literal(literal) => whole.push_str(literal),
                Piece::Variable(name) => whole.push_str(self.variables.get(name).map_or("", String::as_str)),
            }
        }
        bounded(whole, place)
    }
}

/// The same fault, told of a file that a script runs.
fn of_file(mut fault: Fault, name: &str) -> Fault {
    fault.message = fault.message.replacen("the boot script", &format!("`{name}`"), 1);
    fault
}

fn bounded(text: String, place: Place) -> Result<String> {
    if text.len() > LENGTH {
        return Err(place.wrong(format!("a text of {} bytes, of at most {LENGTH}", text.len())));
    }
    Ok(text)
}

fn checked(decision: Decision, place: Place) -> Result<Decision> {
    decision.check().map_err(|fault| place.wrong(fault.message))?;
    Ok(decision)
}

fn occurs(word: &[u8], text: &[u8]) -> bool {
    !word.is_empty() && text.windows(word.len()).any(|window| window == word)
}
