//! Rules on what a source file says: rooms, output, length.

use super::source::{Source, files};
use super::{Found, assert_clean, made_up};

/// Each room with the rooms it may name. `lib.rs` and `main.rs` put them together.
const ROOMS: [(&str, &[&str]); 5] = [
    ("host", &["host"]),
    ("kit", &["kit", "host"]),
    ("prim", &["prim", "kit", "host"]),
    ("script", &["script", "prim", "kit", "host"]),
    ("cli", &["cli", "script", "prim", "kit", "host"]),
];

const MOST_LINES: usize = 400;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `text` and is not a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

/// The kit knows no script engine, in its comments neither.
fn engine_in_kit(sources: &[Source]) -> Found {
    let kit = sources.iter().filter(|source| source.room() == Some("kit"));
    kit.flat_map(|source| {
        let lines = source.text.lines().enumerate();
        lines
            .filter(|(_, line)| line.to_ascii_lowercase().contains("rhai"))
            .map(|(at, _)| format!("{}:{}: the kit names the script engine", source.path, at + 1))
    })
    .collect()
}

#[test]
fn the_kit_knows_no_script_engine() {
    assert_clean(&engine_in_kit(&files("src", ".rs")));
    let bad =
        [("src/kit/a.rs", "use rhai::Map;"), ("src/kit/b/c.rs", "//! for Rhai"), ("src/prim/d.rs", "use rhai::Map;")];
    assert_eq!(engine_in_kit(&made_up(&bad)).len(), 2);
}

/// Printing and exiting is the cli's.
fn output_outside_cli(sources: &[Source]) -> Found {
    let quiet = sources.iter().filter(|source| source.room() != Some("cli") && source.path != "src/main.rs");
    let mut found = Found::new();
    for source in quiet {
        for line in source.code() {
            for name in ["println!", "eprintln!", "print!", "eprint!", "dbg!"] {
                if line.code.match_indices(name).any(|(at, _)| !line.code[..at].ends_with(is_word)) {
                    found.push(format!("{}:{}: prints by {name}", source.path, line.number));
                }
            }
            if ["process::exit", "process::abort"].iter().any(|name| has_word(line.code, name)) {
                found.push(format!("{}:{}: exits", source.path, line.number));
            }
        }
    }
    found
}

#[test]
fn only_the_cli_prints_and_exits() {
    assert_clean(&output_outside_cli(&files("src", ".rs")));
    let bad = [
        ("src/kit/a.rs", "fn a() {\n    println!(\"x\");\n}"),
        ("src/host/b.rs", "eprint!(\"x\")"),
        ("src/prim/c.rs", "std::process::exit(1)"),
        ("src/lib.rs", "dbg!(1)"),
        ("src/cli/d.rs", "println!(\"fine\")"),
        ("src/main.rs", "std::process::exit(0)"),
        ("src/kit/e.rs", "// println!(\"fine\")\nself.blueprint!()"),
    ];
    assert_eq!(
        output_outside_cli(&made_up(&bad)),
        [
            "src/kit/a.rs:2: prints by println!",
            "src/host/b.rs:1: prints by eprint!",
            "src/prim/c.rs:1: exits",
            "src/lib.rs:1: prints by dbg!",
        ]
    );
}

/// The rooms that a file names: `crate::room`, `crate::{room, room::x}`, and the way up by `super`.
fn rooms_named(source: &Source) -> Vec<(usize, String)> {
    // Of `use crate::{..}` over several lines, the first line is the place.
    let mut code = String::new();
    let mut starts = Vec::new();
    for line in source.code() {
        starts.push(code.len());
        code.push_str(line.code);
        code.push('\n');
    }
    let line_of = |at: usize| starts.partition_point(|start| *start <= at);
    let mut named = Vec::new();
    for (at, found) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        if code[..at].ends_with(is_word) || (found == "super::" && code[..at].ends_with("super::")) {
            continue;
        }
        let rest = code[at + found.len()..].trim_start_matches("super::");
        named.extend(first_names(rest).into_iter().map(|name| (line_of(at), name)));
    }
    named.sort();
    named
}

/// The first name of a path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

fn upward_imports(sources: &[Source]) -> Found {
    let mut found = Found::new();
    for source in sources {
        let Some((room, may)) = ROOMS.iter().find(|(room, _)| source.room() == Some(room)) else { continue };
        for (line, name) in rooms_named(source) {
            let is_room = ROOMS.iter().any(|(room, _)| *room == name);
            // A submodule may bear a room's name; `super::` then means that one.
            let own = sources.iter().any(|other| {
                let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                other.path == format!("{folder}/{name}.rs") || other.path == format!("{folder}/{name}/mod.rs")
            });
            if is_room && !may.contains(&name.as_str()) && !own {
                found.push(format!("{}:{line}: {room} names {name}", source.path));
            }
        }
    }
    found
}

#[test]
fn no_room_names_one_above_it() {
    assert_clean(&upward_imports(&files("src", ".rs")));
    let bad = [
        ("src/kit/a.rs", "use crate::host::Fault;\nuse crate::prim::MODULES;"),
        ("src/host/b.rs", "use crate::kit::dd;\n// crate::cli in a comment"),
        ("src/prim/c.rs", "use crate::{\n    host::{Fault, Result},\n    kit::dd,\n    cli::run,\n};"),
        ("src/script/d.rs", "fn f() { crate::cli::main() }\nuse crate::prim::doc;"),
        ("src/kit/e/f.rs", "use super::super::super::script::Engine;"),
        ("src/cli/g.rs", "use crate::script::x;"),
    ];
    assert_eq!(
        upward_imports(&made_up(&bad)),
        [
            "src/kit/a.rs:2: kit names prim",
            "src/host/b.rs:1: host names kit",
            "src/prim/c.rs:1: prim names cli",
            "src/script/d.rs:1: script names cli",
            "src/kit/e/f.rs:1: kit names script",
        ]
    );
}

#[test]
fn every_folder_of_src_is_a_known_room() {
    for source in files("src", ".rs") {
        let known = source.room().is_none_or(|room| ROOMS.iter().any(|(name, _)| *name == room));
        assert!(known, "{} lies in a room that no rule knows", source.path);
    }
}

/// Lines that are not documentation: a primitive's reference stands in its file, and may be as long as it needs.
fn too_long(sources: &[Source]) -> Found {
    let counts = |line: &&str| !line.trim_start().starts_with("///");
    let long = |source: &Source| source.text.lines().filter(counts).count() > MOST_LINES;
    sources
        .iter()
        .filter(|source| long(source))
        .map(|source| format!("{}: over {MOST_LINES} lines", source.path))
        .collect()
}

#[test]
fn no_source_file_is_long() {
    assert_clean(&too_long(&files("src", ".rs")));
    let (long, short) = ("x\n".repeat(MOST_LINES + 1), "x\n  /// y\n".repeat(MOST_LINES));
    assert_eq!(too_long(&made_up(&[("src/a.rs", &long), ("src/b.rs", &short)])), ["src/a.rs: over 400 lines"]);
}
