//! What a person sees while typing: prompts, completion, help, several lines, errors, colours.

use crate::harness::scratch;
use crate::pty::Typed;

const HELLO: &str = concat!("kar ", env!("CARGO_PKG_VERSION"), ": `:help` for help, Ctrl-D to leave\n");

#[test]
fn lines_values_and_an_error_with_its_place() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line("let a = 40;");
    kar.line("a + 2");
    kar.line("[#{ name: \"node1\", bytes: 3145728, ok: true }, #{ name: \"node12\", bytes: 17, ok: false }]");
    kar.line("blob(18, 65)");
    kar.line("disk::opne(\"x\")");
    kar.line("a + b");
    kar.line("a");
    kar.shows(&format!(
        "{HELLO}{}",
        r#"kar> let a = 40;
kar> a + 2
42
kar> [#{ name: "node1", bytes: 3145728, ok: true }, #{ name: "node12", bytes: 17, ok: false }]
name    bytes  ok
node1   3 MiB  true
node12   17 B  false
kar> blob(18, 65)
a blob of 18 B
00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41  AAAAAAAAAAAAAAAA
00000010  41 41                                             AA
kar> disk::opne("x")
error[script.function]: there is no function `disk::opne(text)`
 --> repl:5:1:7
  |
1 | disk::opne("x")
  |       ^^^^

hint: did you mean `disk::open`?
kar> a + b
error[script.variable]: there is no variable `b` here
 --> repl:6:1:5
  |
1 | a + b
  |     ^

hint: functions see their parameters and `global::NAME` constants, nothing else from outside
kar> a
40
kar>"#
    ));
}

#[test]
fn completion_offers_what_fits() {
    let home = scratch();
    std::fs::write(home.path().join("disk.img"), "").unwrap();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line("let counter = 41; let server = tftp::serve(#{ bind: \"127.0.0.1:0\", root: \".\" });");
    kar.line("coun\t + 1");
    // Module, function, option, path; then the options that begin with a `b`.
    kar.keys("tft\ts\t#{ ro\t\"disk.\t\", b\t");
    kar.until("two options", |screen| screen.ends_with("bind   block\nkar> tftp::serve(#{ root: \"disk.img\", b"));
    // `bind` is given now, and `root` before it.
    kar.keys("i\t1, \t");
    kar.until("the others", |screen| {
        screen.ends_with(
            "limit      longest    read       transfers  write\nkar> tftp::serve(#{ root: \"disk.img\", bind: 1,",
        )
    });
    kar.keys("\x15tree::\t");
    kar.until("what a module has", |screen| screen.ends_with("kar> tree::"));
    kar.keys("\x15server.\t");
    kar.until("what a server has", |screen| screen.ends_with("kar> server."));
    kar.keys("\x15:t\t");
    kar.until("two commands", |screen| screen.ends_with("kar> :t"));
    kar.keys("y\tserver.po\t\r");
    kar.until("a type", |screen| screen.ends_with("int\nkar>"));
    kar.shows(&format!(
        "{HELLO}{}",
        r#"kar> let counter = 41; let server = tftp::serve(#{ bind: "127.0.0.1:0", root: "." });
kar> counter + 1
42
kar> tftp::serve(#{ root: "disk.img", b
bind   block
kar> tftp::serve(#{ root: "disk.img", bind: 1,
block      limit      longest    read       transfers  write
kar> tree::
compare(  digest(
kar> server.
address    addresses  join(      joined     next(      port       stop()
kar> :t
time  type
kar> :type server.port
int
kar>"#
    ));
}

#[test]
fn help_for_all_a_module_and_a_function() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 90, |_| {});
    let all = kar.line(":help");
    for line in [
        ":help [NAME]  what there is; a module, a function, a method",
        ":quit         close what is open and leave (also Ctrl-D)",
        "  tftp          boot files: a server, and a client",
        "  layout        Disk layouts: which partitions a node gets, their filesystems, where they are mounted.",
    ] {
        assert!(all.lines().any(|shown| shown == line), "{line}\nis not in\n{all}");
    }
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line(":help log");
    kar.line(":help task::sleep");
    kar.line(":help layout::linux");
    kar.line("/// Twice as much.\rfn twice(x) { x * 2 }");
    kar.line(":help twice");
    kar.line(":help twise");
    kar.line(":hepl");
    kar.line(":type");
    kar.line("exit");
    kar.shows(&format!(
        "{HELLO}{}",
        r#"kar> :help log
log: what a person reads while it runs

log::error(text)
    An error that does not end the recipe
log::info(text)
    Says something on standard error, with the node's name in front where the call works for one
log::journal(path: text)
    Writes the journal of this run to `path` from now on: a JSON line for each effect (time, duration, node, verb,
    object, result)
log::step(title)
    A heading: the flow enters a new part
log::trace(text)
    Shown only with `kar run --verbose`
log::warn(text)
    A warning: it goes on, but somebody should know
kar> :help task::sleep
task::sleep(time)

Waits. Ctrl-C ends it.

Errors:
- `task.time`: not a time (`"500ms"`, `"30s"`, or a number of seconds)

Example:
    task::sleep("10ms")
    task::sleep("soon")                // => throws value.time
kar> :help layout::linux
layout::linux(filesystem)

A plain Linux machine that boots by BIOS: room for a boot loader, swap, and the rest for the system.
kar> /// Twice as much.
fn twice(x) { x * 2 }
kar> :help twice
twice(x)

Twice as much.
kar> :help twise
error[doc.missing]: there is nothing called `twise`

hint: did you mean `twice`?
kar> :hepl
error[repl.command]: there is no command `:hepl`

hint: did you mean `:help`?
hint: `:help` lists them
kar> :type
error[repl.command]: something is missing: `:type EXPR`
kar> exit
error[script.variable]: there is no variable `exit` here
 --> repl:2:1:1
  |
1 | exit
  | ^^^^

hint: did you mean `:quit`?
kar>"#
    ));
}

#[test]
fn a_line_goes_on_until_it_is_whole() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line("fn add(a, b) {\r    // (not a bracket\r    a + b\r}");
    kar.line("add(1,\r  2)");
    kar.line("`one\rtwo`");
    kar.line("/* a word\rand more */ 7");
    kar.line("let x = [1, 2\r  3]");
    // Ctrl-C forgets what was typed so far.
    kar.keys("add(1,\r2\x03");
    kar.until("a fresh prompt", |screen| screen.ends_with("add(1,\n2\nkar>"));
    kar.line("\"open");
    kar.shows(&format!(
        "{HELLO}{}",
        r#"kar> fn add(a, b) {
    // (not a bracket
    a + b
}
kar> add(1,
  2)
3
kar> `one
two`
one
two
kar> /* a word
and more */ 7
7
kar> let x = [1, 2
  3]
error[script.syntax]: Expecting ',' to separate the items of this array literal
 --> repl:5:2:3
  |
2 |   3]
  |   ^
kar> add(1,
2
kar> "open
error[script.syntax]: Open string is not terminated
 --> repl:6:1:1
  |
1 | "open
  | ^^^^^
kar>"#
    ));
}

#[test]
fn variables_times_and_files() {
    let home = scratch();
    std::fs::write(
        home.path().join("site.rhai"),
        "const DEPTH = 3;\nimport \"std/layout\" as parts;\nfn deep(x) { x * global::DEPTH }\n",
    )
    .unwrap();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line(":vars");
    kar.line(":load site.rhai");
    kar.line("let list = [1, 2.5, \"a\"]; let f = |x| deep(x);");
    kar.line("f.call(4)");
    kar.line(":vars");
    kar.line(":type parts::linux(\"xfs\")");
    let took = kar.line(":time deep(5)");
    let (value, took) = took.split_once('\n').expect("a value and a time");
    assert!(value == "15" && took.ends_with("ms"), "{took}");
    kar.line(":load nothing.rhai");
    kar.shows(&format!(
        "{HELLO}{}",
        r#"kar> :vars
no variables yet
kar> :load site.rhai
kar> let list = [1, 2.5, "a"]; let f = |x| deep(x);
kar> f.call(4)
12
kar> :vars
name         type     value
const DEPTH  int      3
list         list     [1, 2.5, "a"]
f            closure  a closure
kar> :type parts::linux("xfs")
list
kar> :time deep(5)
15
TOOK
kar> :load nothing.rhai
error[script.missing]: there is no recipe `nothing.rhai`

hint: `kar recipes` lists those in the binary; a file is named by its path
kar>"#
            .replace("TOOK", took)
    ));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let home = scratch();
    let painted = |change: fn(&mut std::process::Command)| {
        let mut kar = Typed::start(home.path(), 60, change);
        assert_eq!(kar.line("[#{ a: 1 }]"), "a\n1");
        kar.line("nothing");
        kar.raw().contains("\x1b[1;3") || kar.raw().contains("\x1b[2m")
    };
    assert!(painted(|_| {}));
    assert!(!painted(|command| {
        command.env("NO_COLOR", "1");
    }));
}

#[test]
fn a_terminal_that_can_nothing_is_enough() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |command| {
        command.env("TERM", "dumb");
    });
    kar.line("let a = [1,\r2];");
    kar.line("a.len");
    kar.line("oops");
    kar.shows(&format!(
        "{HELLO}{}",
        r#"kar> let a = [1,
2];
kar> a.len
2
kar> oops
error[script.variable]: there is no variable `oops` here
 --> repl:3:1:1
  |
1 | oops
  | ^^^^

hint: functions see their parameters and `global::NAME` constants, nothing else from outside
kar>"#
    ));
    assert!(!kar.raw().contains('\x1b'), "{:?}", kar.raw());
    kar.keys("\x04");
    assert!(kar.ended().success());
}

#[test]
fn a_serial_line_that_says_no_size_is_enough() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |command| {
        command.env("TERM", "vt100");
    });
    kar.resize(0, 0);
    assert_eq!(kar.line("[#{ name: \"n\", bytes: 2048 }]"), "name  bytes\nn     2 KiB");
    kar.line("1 +\r 1");
    kar.shows(&format!(
        "{HELLO}kar> [#{{ name: \"n\", bytes: 2048 }}]\nname  bytes\nn     2 KiB\nkar> 1 +\n 1\n2\nkar>"
    ));
}
