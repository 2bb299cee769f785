//! ka-boot: `set VALUE $VAR`, `append VALUE $VAR`, `run FILE`, `echo TEXT`, `cmp A B`, `jeq LABEL:`, `LABEL:`,
//! `linuxboot KERNEL CMDLINE`, `end`, `exit`. A word is a text in quotes, a `$variable`, or stands for itself.

use super::program::{Command, Labels, Piece, Statement, Text};
use super::words::{Line, Word, lines};
use crate::host::Result;

const COMMANDS: [&str; 9] = ["set", "append", "run", "echo", "cmp", "jeq", "linuxboot", "end", "exit"];

pub fn parse(text: &str) -> Result<Vec<Statement>> {
    let (mut statements, mut labels) = (Vec::new(), Labels::default());
    let mut above = Vec::new();
    for Line { words, mut comment } in lines(text, true)? {
        let (first, rest) = words.split_first().expect("a line has words");
        let place = first.place;
        if let Some(label) = first.text.strip_suffix(':').filter(|_| !first.quoted) {
            labels.define(label, statements.len(), place)?;
            if let Some(word) = rest.first() {
                return Err(word.place.wrong(format!("`{}` after a label", word.text)));
            }
            above.append(&mut comment);
            continue;
        }
        let at = statements.len();
        let command = match (first.text.to_ascii_lowercase().as_str(), rest) {
            ("set", [value, name]) => Command::Set { name: variable(name)?, value: text_of(value) },
            ("append", [value, name]) => Command::Append { name: variable(name)?, value: text_of(value) },
            ("run", [file]) => Command::Run { file: text_of(file) },
            ("echo", [text]) => Command::Echo { text: text_of(text) },
            ("cmp", [left, right]) => Command::Compare { left: text_of(left), right: text_of(right) },
            ("jeq", [label]) => {
                labels.jump(at, label.text.trim_end_matches(':'), label.place);
                Command::JumpEqual { target: 0 }
            }
            ("linuxboot", [kernel]) => Command::Linux { kernel: text_of(kernel), cmdline: Text::default() },
            ("linuxboot", [kernel, cmdline]) => Command::Linux { kernel: text_of(kernel), cmdline: text_of(cmdline) },
            ("end", []) => Command::End,
            ("exit", []) => Command::Local,
            (name, _) if first.quoted || !COMMANDS.contains(&name) => {
                let fault = place.wrong(format!("`{}` is no command of ka-boot", first.text));
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

fn form(command: &str) -> &'static str {
    match command {
        "set" => "`set VALUE $NAME`",
        "append" => "`append VALUE $NAME`",
        "run" => "`run FILE`",
        "echo" => "`echo TEXT`",
        "cmp" => "`cmp A B`",
        "jeq" => "`jeq LABEL:`",
        "linuxboot" => "`linuxboot KERNEL CMDLINE`",
        _ => "alone on its line",
    }
}

/// `$name` is a variable, all else stands for itself.
fn text_of(word: &Word) -> Text {
    let piece = match word.text.strip_prefix('$') {
        Some(name) if !word.quoted && !name.is_empty() => Piece::Variable(name.to_string()),
        _ => Piece::Literal(word.text.clone()),
    };
    Text(vec![piece])
}

fn variable(word: &Word) -> Result<String> {
    match word.text.strip_prefix('$') {
        Some(name) if !word.quoted && !name.is_empty() => Ok(name.to_string()),
        _ => Err(word.place.wrong(format!("`{}` is no variable: it starts with `$`", word.text))),
    }
}
