//! Follows every way through a script.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::program::{Command, Piece, Place, Program, Statement, Text};
use super::super::run::{LENGTH, floppy, key, linux};
use crate::host::{Fault, Result};
use crate::kit::boot::Decision;

/// A text as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// The node's address.
    Address,
    /// The word in the node's step file.
    Step,
}

impl Part {
    fn len(&self) -> usize {
        if let Part::Literal(text) = self { text.len() } else { 1 }
    }
}

pub type Value = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The node's step is this word; empty: it has none.
    Step(String),
    Same(Value, Value),
}

/// Where a way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    Linux { kernel: Value, cmdline: Value },
    Floppy { image: Value },
    Local,
}

/// All ways. Comments are the script's own, from the last fork on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    Boot { boot: Boot, comment: Vec<String> },
    Fork { condition: Condition, yes: Box<Tree>, no: Box<Tree>, comment: Vec<String> },
}

/// Statements on one way, and ends of ways: more is a circle.
const STATEMENTS: usize = 1_000;
const ENDS: usize = 500;
/// Questions on one way.
const FORKS: usize = 64;

pub fn follow(program: &Program, fetch: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<Tree> {
    let address = key(program.language, program.language.address());
    let way = Way {
        frames: vec![(Rc::new(program.clone()), 0)],
        variables: BTreeMap::from([(address, vec![Part::Address])]),
        compared: None,
        facts: Vec::new(),
        comment: Vec::new(),
        left: STATEMENTS,
    };
    Follower { fetch, ends: 0 }.follow(way)
}

/// One way through the script, up to where it has come.
#[derive(Clone)]
struct Way {
    /// Files that run files, each with its next statement.
    frames: Vec<(Rc<Program>, usize)>,
    variables: BTreeMap<String, Value>,
    compared: Option<(Value, Value)>,
    /// What the forks behind it have settled.
    facts: Vec<(Condition, bool)>,
    comment: Vec<String>,
    left: usize,
}

struct Follower<'a> {
    fetch: &'a mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
    ends: usize,
}

impl Follower<'_> {
    fn follow(&mut self, mut way: Way) -> Result<Tree> {
        loop {
            let Some(statement) = way.next() else {
                return Err(Fault::new("boot.script", "a way through the boot script ends without booting anything")
                    .hint("the recipe would have nothing to tell the node"));
            };
            let place = statement.place;
            way.left = way.left.checked_sub(1).ok_or_else(|| place.wrong("the script goes round in a circle"))?;
            way.comment.extend(statement.comment);
            match statement.command {
                Command::Set { name, value } => {
                    let value = way.value(&value);
                    way.variables.insert(name, value);
                }
                Command::Append { name, value } => {
                    let mut whole = way.variables.get(&name).cloned().unwrap_or_default();
                    whole.extend(way.value(&value));
                    // `append` in a circle doubles: bounded as the interpreter bounds it.
                    let length: usize = whole.iter().map(Part::len).sum();
                    if length > LENGTH {
                        return Err(place.wrong(format!("a text of {length} bytes, of at most {LENGTH}")));
                    }
                    way.variables.insert(name, joined(whole));
                }
                Command::Run { file } if is_step_file(&way.value(&file)) => {
                    // A node without a step file keeps what the script has put into `$step` before.
                    let nothing = Condition::Step(String::new());
                    let kept = way.variables.get("step").is_some_and(|value| !value.is_empty());
                    match if kept { way.known(&nothing) } else { Some(false) } {
                        Some(true) => {}
                        Some(false) => way.read_step(),
                        None => {
                            let (with, mut without) = (way.clone(), way);
                            without.read_step();
                            return self.fork(nothing, with, without);
                        }
                    }
                }
                Command::Run { file } => self.run(&mut way, &file, place)?,
                Command::Compare { left, right } => way.compared = Some((way.value(&left), way.value(&right))),
                Command::JumpEqual { target } => {
                    let Some((left, right)) = way.compared.clone() else { continue };
                    match same(left, right) {
                        Ok(true) => way.jump(target),
                        Ok(false) => {}
                        Err(condition) => match way.known(&condition) {
                            Some(true) => way.jump(target),
                            Some(false) => {}
                            None => return self.jump_or_not(way, condition, target),
                        },
                    }
                }
                Command::Jump { target } => way.jump(target),
                Command::JumpInFile { word, file, target } => {
                    let condition = match self.within(&way, &word, &file, place)? {
                        Ok(true) => {
                            way.jump(target);
                            continue;
                        }
                        Ok(false) => continue,
                        Err(condition) => condition,
                    };
                    match way.known(&condition) {
                        Some(true) => way.jump(target),
                        Some(false) => {}
                        None => return self.jump_or_not(way, condition, target),
                    }
                }
                Command::Linux { kernel, cmdline } => {
                    let (kernel, cmdline) = (way.value(&kernel), way.value(&cmdline));
                    return self.end(way, Boot::Linux { kernel, cmdline }, place);
                }
                Command::Floppy { image } => {
                    let image = way.value(&image);
                    return self.end(way, Boot::Floppy { image }, place);
                }
                Command::Local => return self.end(way, Boot::Local, place),
                Command::End => {
                    way.frames.pop();
                }
                Command::Echo { .. } | Command::Nothing => {}
            }
        }
    }

    fn jump_or_not(&mut self, way: Way, condition: Condition, target: usize) -> Result<Tree> {
        let mut taken = way.clone();
        taken.jump(target);
        self.fork(condition, taken, way)
    }

    fn fork(&mut self, condition: Condition, mut yes: Way, mut no: Way) -> Result<Tree> {
        if yes.facts.len() >= FORKS {
            return Err(Fault::new(
                "boot.script",
                format!("one way through the script asks more than {FORKS} questions"),
            ));
        }
        let comment = std::mem::take(&mut yes.comment);
        no.comment.clear();
        yes.facts.push((condition.clone(), true));
        no.facts.push((condition.clone(), false));
        let yes = Box::new(self.follow(yes)?);
        let no = Box::new(self.follow(no)?);
        Ok(Tree::Fork { condition, yes, no, comment })
    }

    fn end(&mut self, way: Way, boot: Boot, place: Place) -> Result<Tree> {
        self.ends += 1;
        if self.ends > ENDS {
            return Err(place.wrong(format!("more than {ENDS} ways lead through the script")));
        }
        boot.example().check().map_err(|fault| place.wrong(fault.message))?;
        Ok(Tree::Boot { boot, comment: way.comment })
    }

    /// A file that is no step file is taken in as it stands.
    fn run(&mut self, way: &mut Way, file: &Text, place: Place) -> Result<()> {
        let name = way.value(file);
        let name = literal(&name).ok_or_else(|| {
            place
                .wrong("which file is run depends on the node, and it is no step file")
                .hint("a step file is DIR/ADDRESS; what else a node runs has to be written by hand")
        })?;
        let Some(bytes) = (self.fetch)(&name)? else {
            let fault = place.wrong(format!("the file `{name}` that it runs is not there"));
            return Err(fault.hint("it is looked for beside the script"));
        };
        let language = way.frames.last().map_or(super::super::Language::Kaboot, |(program, _)| program.language);
        let program = Program::parse(&String::from_utf8_lossy(&bytes), language).map_err(|mut fault| {
            fault.message = fault.message.replacen("the boot script", &format!("`{name}`"), 1);
            fault
        })?;
        if way.frames.len() > 8 {
            return Err(place.wrong("files that run files, more than 8 deep"));
        }
        way.frames.push((Rc::new(program), 0));
        Ok(())
    }

    /// Whether a word is in a file, or the condition on which it is.
    fn within(
        &mut self,
        way: &Way,
        word: &Text,
        file: &Text,
        place: Place,
    ) -> Result<std::result::Result<bool, Condition>> {
        let (word, name) = (way.value(word), way.value(file));
        let word = literal(&word).ok_or_else(|| place.wrong("the word looked for depends on the node"))?;
        if is_step_file(&name) {
            return Ok(Err(Condition::Step(word)));
        }
        let name = literal(&name).ok_or_else(|| {
            place
                .wrong("which file is looked into depends on the node, and it is no step file")
                .hint("a step file is DIR/ADDRESS; what else a node looks into has to be written by hand")
        })?;
        let bytes = (self.fetch)(&name)?.unwrap_or_default();
        Ok(Ok(!word.is_empty() && bytes.windows(word.len()).any(|window| window == word.as_bytes())))
    }
}

impl Way {
    fn next(&mut self) -> Option<Statement> {
        loop {
            let (program, at) = self.frames.last_mut()?;
            if let Some(statement) = program.statements.get(*at) {
                *at += 1;
                return Some(statement.clone());
            }
            self.frames.pop();
        }
    }

    /// The step file has been run: it sets `$step`.
    fn read_step(&mut self) {
        self.variables.insert("step".into(), vec![Part::Step]);
    }

    fn jump(&mut self, target: usize) {
        if let Some((_, at)) = self.frames.last_mut() {
            *at = target;
        }
    }

    fn value(&self, text: &Text) -> Value {
        let mut value = Value::new();
        for piece in &text.0 {
            match piece {
                Piece::Literal(literal) => value.push(Part::Literal(literal.clone())),
                Piece::Variable(name) => value.extend(self.variables.get(name).cloned().unwrap_or_default()),
            }
        }
        joined(value)
    }

    /// What is settled already: a step is one word, so that another it is not.
    fn known(&self, condition: &Condition) -> Option<bool> {
        self.facts.iter().find_map(|(fact, holds)| match (fact, condition) {
            _ if fact == condition => Some(*holds),
            (Condition::Step(_), Condition::Step(_)) if *holds => Some(false),
            _ => None,
        })
    }
}

impl Boot {
    /// With an address and a step put in: what is wrong with this is wrong with all.
    fn example(&self) -> Decision {
        match self {
            Boot::Linux { kernel, cmdline } => linux(example(kernel), &example(cmdline)),
            Boot::Floppy { image } => floppy(example(image)),
            Boot::Local => Decision::Local {},
        }
    }
}

fn example(value: &Value) -> String {
    value
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text.as_str(),
            Part::Address => "10.0.0.1",
            Part::Step => "ready",
        })
        .collect()
}

/// `DIR/ADDRESS`.
fn is_step_file(name: &Value) -> bool {
    matches!(name.as_slice(), [Part::Literal(dir), Part::Address] if dir.ends_with('/'))
}

fn literal(value: &Value) -> Option<String> {
    match value.as_slice() {
        [] => Some(String::new()),
        [Part::Literal(text)] => Some(text.clone()),
        _ => None,
    }
}

/// Neighbouring literals as one, empty ones left out.
fn joined(parts: Value) -> Value {
    let mut value = Value::new();
    for part in parts {
        match (value.last_mut(), part) {
            (_, Part::Literal(text)) if text.is_empty() => {}
            (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
            (_, part) => value.push(part),
        }
    }
    value
}

/// Whether two values are the same, or the condition on which they are.
fn same(left: Value, right: Value) -> std::result::Result<bool, Condition> {
    if left == right {
        return Ok(true);
    }
    match (literal(&left), literal(&right), left.as_slice(), right.as_slice()) {
        (Some(_), Some(_), ..) => Ok(false),
        (_, Some(word), [Part::Step], _) | (Some(word), _, _, [Part::Step]) => Err(Condition::Step(word)),
        _ => Err(Condition::Same(left, right)),
    }
}
