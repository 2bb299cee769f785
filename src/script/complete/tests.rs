use std::sync::Arc;

use crate::host::{Host, Silent};
use crate::script::{Library, Session};

fn with(lines: &str, body: impl FnOnce(&dyn Fn(&str) -> Vec<String>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let (mut session, broken) = Session::new(&host, Library::default(), "repl");
    assert!(broken.is_empty());
    session.run(lines, &host.end().child()).map(drop).unwrap();
    body(&|line| session.complete(line, line.len()).1);
    host.end().set();
    host.release_all();
}

#[test]
fn modules_functions_variables_and_words() {
    with("let counter = 1; fn count(a) { a } fn nothing() { }", |at| {
        assert_eq!(at("cou"), ["count(", "counter"]);
        assert_eq!(at("noth"), ["nothing()"]);
        assert_eq!(at("let a = tft"), ["tftp::"]);
        assert_eq!(at("lay"), ["layout::"]);
        assert_eq!(at("tftp::s"), ["serve("]);
        assert_eq!(at("disk::l"), ["list()"]);
        assert!(at("layout::").contains(&"linux(".to_string()) && !at("layout::").contains(&"join(".to_string()));
        assert_eq!(at("whi"), ["while"]);
        assert!(at("// tft").is_empty() && at("nowhere::").is_empty());
    });
}

#[test]
fn members_by_the_type_of_what_is_there() {
    let lines = "let server = tftp::serve(#{ bind: \"127.0.0.1:0\", root: \".\" }); \
                 let report = #{ nodes: [#{ name: \"n1\", bytes: 5 }] };";
    with(lines, |at| {
        assert_eq!(at("server.p"), ["port"]);
        assert_eq!(at("server.s"), ["stop()"]);
        assert_eq!(at("server.ne"), ["next("]);
        assert_eq!(at("report.no"), ["nodes"]);
        assert_eq!(at("report.nodes[0].b"), ["bytes"]);
        assert_eq!(at("server.address.starts"), ["starts_with("]);
        assert_eq!(at("tftp::serve(#{ root: \".\" }).add"), ["address", "addresses"]);
        assert_eq!(at("f(1, disk::open(\"a\").si"), ["size"]);
        assert_eq!(at("\"abc\".le"), ["len"]);
        assert!(at("unknown.").is_empty() && at("1 + .").is_empty());
    });
}

#[test]
fn options_that_are_not_given_yet() {
    with("let server = tftp::serve(#{ bind: \"127.0.0.1:0\", root: \".\" });", |at| {
        assert_eq!(at("tftp::get(a, b, #{ "), ["blksize: ", "limit: ", "retries: ", "timeout: ", "windowsize: "]);
        assert_eq!(at("tftp::get(a, b, #{ limit: f(#{ x: 1 }), blksize: 5, r"), ["retries: "]);
        assert_eq!(at("server.next(#{ t"), ["timeout: "]);
        assert!(!at("tftp::get(a, b, #{ limit: ").contains(&"limit: ".to_string()));
        assert!(!at("tftp::get(a, b, [#{ ").contains(&"limit: ".to_string()));
    });
}

#[test]
fn paths_in_texts() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("disk.img"), "").unwrap();
    std::fs::create_dir(dir.path().join("dir")).unwrap();
    std::fs::write(dir.path().join(".hidden"), "").unwrap();
    let path = dir.path().display();
    with("", |at| {
        assert_eq!(at(&format!("disk::open(\"{path}/d")), ["dir/", "disk.img"]);
        assert_eq!(at(&format!("disk::open(\"{path}/")), ["dir/", "disk.img"]);
        assert_eq!(at(&format!("disk::open(\"{path}/.h")), [".hidden"]);
        assert!(at("disk::open(\"/nowhere/at/all/x").is_empty());
    });
}
