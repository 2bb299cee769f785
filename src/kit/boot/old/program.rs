//! What a script of either language is, once read.

use std::collections::BTreeMap;

use super::{bpbatch, kaboot};
use crate::host::{Fault, Result};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// ka-boot, of Ka-deploy: `set "x" $name`, `cmp`, `jeq`, `label:`.
    Kaboot,
    /// BpBatch: `set NAME="x"`, `if .. in-file .. goto`, `:label`.
    Bpbatch,
}

impl Language {
    const NAMES: [(&'static str, Language); 2] = [("ka-boot", Language::Kaboot), ("bpbatch", Language::Bpbatch)];

    /// # Errors
    /// `boot.language`: neither of them.
    pub fn named(name: &str) -> Result<Language> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, language)| *language).ok_or_else(|| {
            Fault::new("boot.language", format!("`{name}` is not a boot script language known here"))
                .nearest(name, Self::NAMES.map(|(name, _)| name))
                .hint("languages: ka-boot, bpbatch")
        })
    }

    /// By the file's name as both systems had them (`.kbt`, `.bpb`), or by words that only one of them has.
    pub fn of(path: &str, text: &str) -> Language {
        match path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("kbt") => return Language::Kaboot,
            Some("bpb") => return Language::Bpbatch,
            _ => {}
        }
        let bpbatch = text.lines().map(|line| line.trim().to_ascii_lowercase()).any(|line| {
            line.starts_with(':')
                || line.starts_with("if ")
                || ["showlog", "hidelog", "hdboot"].contains(&line.as_str())
        });
        if bpbatch { Language::Bpbatch } else { Language::Kaboot }
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[usize::from(self == Language::Bpbatch)].0
    }

    /// The variable that holds the node's own address.
    pub fn address(self) -> &'static str {
        match self {
            Language::Kaboot => "Client-IP",
            Language::Bpbatch => "BOOTP-Your-IP",
        }
    }
}

/// A place in a script, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The fault that something here is wrong.
    pub fn wrong(self, why: impl std::fmt::Display) -> Fault {
        Fault::new("boot.script", format!("line {}, column {} of the boot script: {why}", self.line, self.column))
    }
}

/// Text with variables in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(pub Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Literal(String),
    Variable(String),
}

/// One command. Jumps name their target as an index into the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Set {
        name: String,
        value: Text,
    },
    Append {
        name: String,
        value: Text,
    },
    /// Executes another file of the same language, with the same variables.
    Run {
        file: Text,
    },
    /// Shown on the node's console.
    Echo {
        text: Text,
    },
    /// Remembers for the next `JumpEqual` whether both are the same.
    Compare {
        left: Text,
        right: Text,
    },
    JumpEqual {
        target: usize,
    },
    Jump {
        target: usize,
    },
    /// Jumps where `word` occurs anywhere in `file`; a missing file has no words.
    JumpInFile {
        word: Text,
        file: Text,
        target: usize,
    },
    Linux {
        kernel: Text,
        cmdline: Text,
    },
    /// The image of a floppy disk, booted as if it were one.
    Floppy {
        image: Text,
    },
    /// Lets the BIOS boot the disk.
    Local,
    /// The end of the file it stands in.
    End,
    /// Of no meaning here: what the loader showed on its screen or kept in its cache.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub command: Command,
    pub place: Place,
    /// The comment lines above it.
    pub comment: Vec<String>,
}

/// A whole script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub language: Language,
    pub(super) statements: Vec<Statement>,
}

impl Program {
    /// # Errors
    /// `boot.script` with line, column and reason.
    pub fn parse(text: &str, language: Language) -> Result<Program> {
        let statements = match language {
            Language::Kaboot => kaboot::parse(text)?,
            Language::Bpbatch => bpbatch::parse(text)?,
        };
        Ok(Program { language, statements })
    }
}

/// Labels, and the jumps that wait for them.
#[derive(Default)]
pub struct Labels {
    known: BTreeMap<String, usize>,
    /// Statement, label, place of the jump.
    jumps: Vec<(usize, String, Place)>,
}

impl Labels {
    /// A label in front of statement `at`.
    pub fn define(&mut self, label: &str, at: usize, place: Place) -> Result<()> {
        if label.is_empty() {
            return Err(place.wrong("a label without a name"));
        }
        match self.known.insert(label.to_string(), at) {
            Some(_) => Err(place.wrong(format!("the label `{label}` stands twice"))),
            None => Ok(()),
        }
    }

    /// Statement `at` jumps to `label`. Its target is set by [`Labels::settle`].
    pub fn jump(&mut self, at: usize, label: &str, place: Place) {
        self.jumps.push((at, label.to_string(), place));
    }

    /// # Errors
    /// `boot.script`: a label that stands nowhere.
    pub fn settle(self, statements: &mut [Statement]) -> Result<()> {
        for (at, label, place) in self.jumps {
            let known = self.known.get(&label).ok_or_else(|| {
                place
                    .wrong(format!("there is no label `{label}`"))
                    .nearest(&label, self.known.keys().map(String::as_str))
            })?;
            match &mut statements[at].command {
                Command::JumpEqual { target } | Command::Jump { target } | Command::JumpInFile { target, .. } => {
                    *target = *known;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
