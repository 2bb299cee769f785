//! What lives on between lines, what Ctrl-C ends and what it does not, and what is closed at the end.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::leftovers::leftovers;
use crate::harness::{eventually, kar, run, scratch};
use crate::pty::Typed;

/// A TFTP server on a port of its own; gives the port.
fn serve(kar: &mut Typed, name: &str) -> u16 {
    let read = r#"|req| `${word}: ${req.path}`"#;
    kar.line(&format!("let word = \"hello\"; let {name} = tftp::serve(#{{ bind: \"127.0.0.1:0\", read: {read} }});"));
    kar.line(&format!("{name}.port")).parse().expect("a port is a number")
}

/// What another process gets from the server.
fn asked(port: u16, path: &str) -> String {
    let text = format!("print(tftp::get(\"127.0.0.1:{port}\", \"{path}\"))");
    run(Command::new(kar()).args(["eval", &text])).trim().to_string()
}

#[test]
fn ctrl_c_ends_the_line_and_not_the_session() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    let port = serve(&mut kar, "server");
    kar.line("let n = 0; let side = task::start(|| { while !fs::exists(\"go\") { task::sleep(\"5ms\"); } 7 });");
    for (at, work) in [
        "task::sleep(\"1h\")",
        "loop { n += 1; }",
        "server.next()",
        "proc::run(\"sleep\", [\"1000\"])",
        "task::each([1, 2], |x| task::sleep(\"1h\"))",
        "task::each([1, 2], |x| loop { })",
        "side.wait()",
        "try { task::sleep(\"1h\") } catch { print(\"caught\") }",
    ]
    .iter()
    .enumerate()
    {
        // The line says that it runs: a Ctrl-C before that would be one at the prompt.
        kar.prompt();
        kar.keys(&format!("print(\"run {at}\"); {work}\r"));
        kar.until("the line at work", |screen| screen.lines().any(|line| line == format!("run {at}")));
        kar.keys("\x03");
        kar.until(work, |screen| screen.ends_with("stopped\nkar>"));
        assert!(!kar.screen().contains("\ncaught"));
        kar.keys("\x0c");
        kar.shows("kar>");
    }
    assert_eq!(kar.line("n > 0"), "true");
    // Server, closure and task of earlier lines never noticed.
    assert_eq!(asked(port, "boot"), "hello: boot");
    assert_eq!(kar.line("tftp::get(server.address, \"again\")"), "\"hello: again\"");
    kar.line("fs::write(\"go\", \"\")");
    assert_eq!(kar.line("side.wait()"), "7");
}

#[test]
fn a_server_is_seen_answers_and_is_closed_at_the_end() {
    let home = scratch();
    let journal = home.path().join("journal");
    let mut kar = Typed::start(home.path(), 60, |_| {});
    assert_eq!(kar.line(":handles"), "nothing is open");
    kar.line("log::journal(\"journal\")");
    let (first, second) = (serve(&mut kar, "one"), serve(&mut kar, "two"));
    let held = format!("open             closed by\n127.0.0.1:{first}  tftp.stop\n127.0.0.1:{second}  tftp.stop");
    let bare = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(bare(&kar.line(":handles")), bare(&held));
    // The closure goes on working, with what it captured.
    assert_eq!(kar.line("1 + 1"), "2");
    assert_eq!(asked(first, "a/b"), "hello: a/b");
    let pid = kar.pid();
    let listens = format!("process {pid} listens on udp port {first}");
    assert!(leftovers(home.path(), Some(pid)).contains(&listens));
    // One that no variable keeps is closed with its line, and that is said.
    let said = kar.line("tftp::serve(#{ bind: \"127.0.0.1:0\", root: \".\" })");
    assert!(said.contains("tftpserver\n  address  127.0.0.1:") && said.contains("no variable keeps it"), "{said}");
    kar.prompt();
    kar.keys("\x04");
    assert!(kar.ended().success());
    for port in [first, second] {
        std::net::UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    }
    let journal = std::fs::read_to_string(journal).unwrap();
    let stops: Vec<&str> = journal.lines().filter(|line| line.contains("tftp.stop")).collect();
    let order: Vec<bool> = stops.iter().rev().take(2).map(|line| line.contains(&format!(":{first}\""))).collect();
    assert_eq!(order, [true, false], "the newest is closed first: {stops:#?}");
}

#[test]
fn history_of_an_earlier_session() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line("let first = 1;");
    kar.line("fn f() {\r  5\r}");
    kar.prompt();
    // Killed: nothing is written at the end, all of it is there.
    kill(Pid::from_raw(kar.pid() as i32), Signal::SIGKILL).unwrap();
    kar.ended();
    assert!(home.path().join(".local/state/kar/history").is_file());
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.prompt();
    kar.keys("\x1b[A");
    kar.until("the last line", |screen| screen.ends_with("kar> fn f() {\n  5\n}"));
    kar.keys("\r");
    kar.prompt();
    kar.keys("\x1b[A\x1b[A\x1b[A\x1b[A");
    kar.until("the line before", |screen| screen.ends_with("kar> let first = 1;"));
    kar.keys("\r");
    kar.prompt();
    assert_eq!(kar.line("f() + first"), "6");

    let state = scratch();
    let mut kar = Typed::start(home.path(), 60, |command| {
        command.env("XDG_STATE_HOME", state.path());
    });
    kar.line("7");
    assert!(state.path().join("kar/history").is_file());
    let mut kar = Typed::start(home.path(), 60, |command| {
        command.env_remove("HOME");
    });
    assert_eq!(kar.line("7"), "7", "no home is no reason to fail");
}

#[test]
fn what_a_server_says_stands_above_the_line_that_is_typed() {
    let home = scratch();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    kar.line(
        "let s = tftp::serve(#{ bind: \"127.0.0.1:0\", read: |req| { log::info(`asked for ${req.path}`); \"x\" } });",
    );
    let port: u16 = kar.line("s.port").parse().unwrap();
    kar.keys("1 + ");
    kar.until("what is typed", |screen| screen.ends_with("kar> 1 +"));
    assert_eq!(asked(port, "kernel"), "x");
    kar.until("both", |screen| screen.ends_with("asked for kernel\nkar> 1 +"));
    kar.keys("1\r");
    kar.until("the value", |screen| screen.ends_with("asked for kernel\nkar> 1 + 1\n2\nkar>"));
}

#[test]
fn a_session_that_is_told_to_end_closes_what_is_open() {
    for at_work in [false, true] {
        let home = scratch();
        let mut kar = Typed::start(home.path(), 60, |_| {});
        let port = serve(&mut kar, "server");
        if at_work {
            kar.keys("print(\"at\" + \"work\"); task::sleep(\"1h\")\r");
            kar.until("the line at work", |screen| screen.lines().any(|line| line == "atwork"));
        }
        kill(Pid::from_raw(kar.pid() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(kar.ended().code(), Some(130));
        eventually(Duration::from_secs(10), "the port is free", || {
            std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
        });
    }
}

#[test]
fn a_line_that_does_not_end_is_no_prison() {
    let home = scratch();
    let pipe = home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut kar = Typed::start(home.path(), 60, |_| {});
    let port = serve(&mut kar, "server");
    // Nobody will ever open the other end.
    kar.keys("print(\"at\" + \"work\"); log::journal(\"pipe\")\r");
    kar.until("the line at work", |screen| screen.lines().any(|line| line == "atwork"));
    // Two that come at once count as one: as a person would, press again while nothing is said.
    while !kar.appears("hint: Ctrl-C once more ends kar itself", Duration::from_millis(500)) {
        kar.keys("\x03");
    }
    kar.keys("\x03");
    assert_eq!(kar.ended().code(), Some(130));
    std::net::UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
}
