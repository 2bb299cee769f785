//! The sessions in docs/guide/repl.md, typed as they stand there.

use std::path::Path;
use std::process::Command;

use kar::script::tokens::{open_brackets, tokens};

use crate::harness::{kar, run, scratch};
use crate::pty::Typed;

/// The lines of all ```` ```repl ```` blocks.
fn sessions() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/repl.md")).unwrap();
    let mut inside = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line {
            "```repl" => inside = true,
            "```" => inside = false,
            line if inside => lines.push(line.to_string()),
            _ => {}
        }
    }
    lines
}

/// What no two runs have in common: ports.
fn without_ports(text: &str, ports: &[String]) -> String {
    ports.iter().fold(text.to_string(), |text, port| text.replace(port.as_str(), "PORT"))
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn the_guide_shows_what_is_really_printed() {
    let home = scratch();
    run(Command::new(kar()).args(["new", "classroom"]).current_dir(home.path()));
    let lines = sessions();
    let mut session = Typed::start(home.path(), 400, |_| {});
    let mut at = 0;
    while at < lines.len() {
        let mut text =
            lines[at].strip_prefix("kar> ").unwrap_or_else(|| panic!("no prompt: {}", lines[at])).to_string();
        at += 1;
        while !open_brackets(&tokens(&text)).is_empty() {
            text += &format!("\r{}", lines[at]);
            at += 1;
        }
        let output: Vec<&String> = lines[at..].iter().take_while(|line| !line.starts_with("kar> ")).collect();
        at += output.len();
        match output.iter().position(|line| *line == "^C") {
            None => drop(session.line(&text)),
            Some(stop) => {
                session.prompt();
                session.keys(&format!("{text}\r"));
                let last = output[stop - 1].as_str();
                session.until(last, |screen| screen.lines().last() == Some(last));
                session.keys("\x03");
                session.until("a prompt again", |screen| screen.ends_with("stopped\nkar>"));
            }
        }
    }
    let screen = session.screen();
    let shown: Vec<&str> = screen.lines().skip(1).collect();
    let shown = shown[..shown.len() - 1].join("\n");
    // The port stands in the line of the server's own.
    let port = |text: &str| {
        let line = text.lines().find(|line| line.trim().starts_with("port ")).expect("the guide starts a server");
        line.split_whitespace().last().unwrap().to_string()
    };
    let page = lines.join("\n");
    let (want, got) = (without_ports(&page, &[port(&page)]), without_ports(&shown, &[port(&shown)]));
    // Columns move with the length of a port.
    assert!(words(&got) == words(&want), "typed, the guide's sessions give:\n{shown}\n");
}
