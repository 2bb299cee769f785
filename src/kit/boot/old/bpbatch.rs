//! BpBatch, as far as boot scripts use it: `set NAME="VALUE"`, `if "WORD" in-file "FILE" goto LABEL`, `:LABEL`,
//! `goto LABEL`, `linuxboot "KERNEL" "CMDLINE"`, `floppyboot "IMAGE"`, `hdboot`, `echo`, `showlog`, `hidelog`, `end`. Commands
//! are the same in capitals; `$NAME` is replaced inside quotes.

use super::program::{Command, Labels, Piece, Statement, Text};
use super::words::{Line, Word, lines};
use crate::host::Result;

const COMMANDS: [&str; 10] =
    ["set", "if", "goto", "linuxboot", "floppyboot", "hdboot", "echo", "showlog", "hidelog", "end"];

pub fn parse(text: &str) -> Result<Vec<Statement>> {
    let (mut statements, mut labels) = (Vec::new(), Labels::default());
    let mut above = Vec::new();
    for Line { words, mut comment } in lines(text, false)? {
        let (first, rest) = words.split_first().expect("a line has words");
        let place = first.place;
        if let Some(label) = first.text.strip_prefix(':').filter(|_| !first.quoted) {
            labels.define(&label.to_ascii_lowercase(), statements.len(), place)?;
            if let Some(word) = rest.first() {
                return Err(word.place.wrong(format!("`{}` after a label", word.text)));
            }
            above.append(&mut comment);
            continue;
        }
        let at = statements.len();
        let mut jump = |label: &Word| labels.jump(at, &label.text.to_ascii_lowercase(), label.place);
        let command = match (first.text.to_ascii_lowercase().as_str(), rest) {
            ("set", [name, value]) if value.quoted && name.text.len() > 1 && name.text.ends_with('=') => {
                setting(&name.text[..name.text.len() - 1], value)
            }
            ("set", [name, equals, value]) if value.quoted && equals.text == "=" => setting(&name.text, value),
            ("if", [word, within, file, goto, label])
                if within.text.eq_ignore_ascii_case("in-file") && goto.text.eq_ignore_ascii_case("goto") =>
            {
                jump(label);
                Command::JumpInFile { word: text_of(word), file: text_of(file), target: 0 }
            }
            ("goto", [label]) => {
                jump(label);
                Command::Jump { target: 0 }
            }
            ("linuxboot", [kernel]) => Command::Linux { kernel: text_of(kernel), cmdline: Text::default() },
            ("linuxboot", [kernel, cmdline]) => Command::Linux { kernel: text_of(kernel), cmdline: text_of(cmdline) },
            ("floppyboot", [image]) => Command::Floppy { image: text_of(image) },
            ("hdboot", []) => Command::Local,
            ("echo", [text]) => Command::Echo { text: text_of(text) },
            ("showlog" | "hidelog", []) => Command::Nothing,
            ("end", []) => Command::End,
            (name, _) if first.quoted || !COMMANDS.contains(&name) => {
                let fault = place.wrong(format!("`{}` is no command of BpBatch that is known here", first.text));
                return Err(fault.nearest(name, COMMANDS).hint(format!("commands: {}", COMMANDS.join(", "))));
            }
            (name, _) => return Err(place.wrong(format!("`{name}` is written {}", form(name)))),
        };
        above.append(&mut comment);
        statements.push(Statement { command, place, comment: std::mem::take(&mut above) });
    }
    labels.settle(&mut statements)?;
    Ok(statements)
}

fn setting(name: &str, value: &Word) -> Command {
    Command::Set { name: name.to_ascii_lowercase(), value: text_of(value) }
}

fn form(command: &str) -> &'static str {
    match command {
        "set" => "`set NAME=\"VALUE\"`",
        "if" => "`if \"WORD\" in-file \"FILE\" goto LABEL`",
        "goto" => "`goto LABEL`",
        "linuxboot" => "`linuxboot \"KERNEL\" \"CMDLINE\"`",
        "floppyboot" => "`floppyboot \"IMAGE\"`",
        "echo" => "`echo \"TEXT\"`",
        _ => "alone on its line",
    }
}

/// `$NAME` anywhere is a variable; a `$` without a name stands for itself.
fn text_of(word: &Word) -> Text {
    let mut pieces = Vec::new();
    let mut rest = word.text.as_str();
    while let Some(at) = rest.find('$') {
        let name = rest[at + 1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next();
        let name = name.unwrap_or("");
        let literal = &rest[..if name.is_empty() { at + 1 } else { at }];
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_string()));
        }
        if !name.is_empty() {
            pieces.push(Piece::Variable(name.to_ascii_lowercase()));
        }
        rest = &rest[at + 1 + name.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_string()));
    }
    Text(pieces)
}
