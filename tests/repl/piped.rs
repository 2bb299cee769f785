//! Sessions without a terminal: `kar repl < script`, `kar eval`, and the recipe that `kar new` writes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::{kar, scratch};

/// `kar repl` fed with this text.
fn fed(folder: &Path, text: &str) -> (String, String, Option<i32>) {
    let mut child = Command::new(kar())
        .arg("repl")
        .current_dir(folder)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    parts(child.wait_with_output().unwrap())
}

fn ran(folder: &Path, words: &[&str]) -> (String, String, Option<i32>) {
    parts(Command::new(kar()).args(words).current_dir(folder).stdin(Stdio::null()).output().unwrap())
}

fn parts(output: Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_script_from_a_pipe_has_no_prompt_and_no_colour() {
    let home = scratch();
    let script = "// A comment\nlet a = 40;\nfn add(x) {\n    x + 2\n}\n\nadd(a)\n[#{ name: \"n\", bytes: 1024 }]\n:vars\nprint(\"said\")";
    let want = "42\nname  bytes\nn     1 KiB\nname  type  value\na     int   40\nsaid\n";
    assert_eq!(fed(home.path(), script), (want.into(), String::new(), Some(0)));
    assert_eq!(fed(home.path(), "1\n:quit\n2\n"), ("1\n".into(), String::new(), Some(0)));
    assert_eq!(fed(home.path(), ""), (String::new(), String::new(), Some(0)));
}

#[test]
fn the_first_error_ends_a_script_from_a_pipe() {
    let home = scratch();
    let (out, err, code) = fed(home.path(), "1\nfs::read(\"none\")\nfs::write(\"after\", \"\")\n");
    assert_eq!((out.as_str(), code), ("1\n", Some(1)));
    assert!(err.starts_with("error[fs.") && err.contains(" --> repl:2:1:5\n"), "{err}");
    assert!(!home.path().join("after").exists());
    let (_, err, code) = fed(home.path(), "let a = [1,\n");
    assert!(code == Some(3) && err.starts_with("error[script.syntax]"), "{err}");
    let (_, err, code) = fed(home.path(), ":nothing\n");
    assert!(code == Some(1) && err.starts_with("error[repl.command]"), "{err}");
}

#[test]
fn one_text_and_its_value() {
    let home = scratch();
    let good = |text: &str| match ran(home.path(), &["eval", text]) {
        (out, err, Some(0)) if err.is_empty() => out,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(good("6 * 7"), "42\n");
    assert_eq!(good("let a = 1;"), "");
    assert_eq!(good("\"a\\nb\""), "a\nb\n");
    assert_eq!(good("layout::linux(\"ext4\").map(|part| part.name)"), "[\"bios\", \"swap\", \"root\"]\n");
    assert_eq!(
        good("let s = tftp::serve(#{ bind: \"127.0.0.1:0\", read: |r| \"x\" }); tftp::get(s.address, \"a\")"),
        "\"x\"\n"
    );
    let (out, err, code) = ran(home.path(), &["eval", "1 + no"]);
    assert_eq!((out.as_str(), code), ("", Some(1)));
    assert!(err.contains("error[script.variable]: there is no variable `no` here\n --> eval:1:5\n"), "{err}");
    assert_eq!(ran(home.path(), &["eval", "1 +"]).2, Some(3));
    assert_eq!(ran(home.path(), &["eval"]).2, Some(2));
}

#[test]
fn long_values_are_cut_with_a_count() {
    let home = scratch();
    let shown = |text: &str| ran(home.path(), &["eval", text]).0;
    let list = shown("let list = []; for i in 0..1000 { list.push(`element ${i}`); } list");
    assert!(list.starts_with("  \"element 0\"\n") && list.ends_with("  .. and 950 more elements\n"), "{list}");
    let rows = shown("let list = []; for i in 0..70 { list.push(#{ i: i }); } list");
    assert!(rows.starts_with(" i\n 0\n") && rows.ends_with("49\n  .. and 20 more rows\n"), "{rows}");
    let blob = shown("blob(100000, 0)");
    assert!(blob.lines().count() == 18 && blob.ends_with(".. and 99744 more bytes\n"), "{blob}");
}

#[test]
fn a_new_recipe_is_complete() {
    let home = scratch();
    assert_eq!(ran(home.path(), &["new", "class-room"]), ("class-room.rhai\n".into(), String::new(), Some(0)));
    assert_eq!(ran(home.path(), &["check", "class-room.rhai"]).2, Some(0));
    let (help, _, code) = ran(home.path(), &["run", "class-room.rhai", "--help"]);
    assert!(
        code == Some(0)
            && help.contains("class-room: clone a Linux system onto many machines.")
            && help.contains("--nodes"),
        "{help}"
    );
    // What is there is never written over.
    std::fs::write(home.path().join("mine.rhai"), "mine").unwrap();
    let (_, err, code) = ran(home.path(), &["new", "mine"]);
    assert!(code == Some(1) && err.contains("error[new.write]") && err.contains("hint: "), "{err}");
    assert_eq!(std::fs::read_to_string(home.path().join("mine.rhai")).unwrap(), "mine");
    for (bad, better) in
        [("Class Room", "class_room"), ("../up", "up"), ("7", "classroom"), ("", "classroom"), ("-", "")]
    {
        let (_, err, code) = ran(home.path(), &["new", "--", bad]);
        assert!(code == Some(2) && err.contains("error[new.name]") && err.contains(better), "{bad}: {err}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
}

#[test]
fn a_new_recipe_rehearses() {
    let home = scratch();
    let source = home.path().join("source");
    std::fs::create_dir_all(source.join("etc")).unwrap();
    std::fs::write(source.join("etc/motd"), "hello\n").unwrap();
    ran(home.path(), &["new", "room"]);
    let (out, err, code) =
        ran(home.path(), &["run", "room.rhai", "--source", "source", "--disk-size", "256MiB", "--work", "work"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(out.matches("ok, same as the source").count(), 2, "{out}");
}
