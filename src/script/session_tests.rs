use super::*;
use crate::host::Silent;

fn session<T>(body: impl FnOnce(Session, Host) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let (session, broken) = Session::new(&host, Library::default(), "repl");
    assert!(broken.is_empty());
    body(session, host)
}

#[test]
fn whole_incomplete_and_wrong_are_told_apart() {
    session(|session, _| {
        let mut wrong = Vec::new();
        for text in [
            "",
            "1",
            "let a = 1;",
            "// only words",
            "f(1)",
            "fn f(x) { x }",
            "if true { 1 } else { 2 }",
            "`a\nb`",
            "1 // (",
            "\"abc",
            "f(]",
            "let 1 = 2",
            "}",
            "let a = 1 2",
            "#{ a: 1, b 2",
            "'",
            "fn 1",
            "|x|",
        ] {
            wrong.extend((!session.is_whole(text)).then(|| format!("whole or wrong: {text:?}")));
        }
        for text in [
            "f(",
            "f(1,",
            "let a =",
            "1 +",
            "fn f(x) {",
            "if true {",
            "#{ a: 1,",
            "#{ a:",
            "[1, 2",
            "/* abc",
            "`abc",
            "f(1 // )",
            "fn f(x) {\n    let a = 1;\n",
            "fs::write(\"x\",\n",
            "/// Of a function",
            "let f = |x| {",
            "switch a {\n  1 => 2,",
            "`a ${ 1 + `",
            "if",
            "fn",
            "let",
            "a.",
            "fs::",
            "while true",
            "\"abc\\",
            "import \"a\" as",
        ] {
            wrong.extend(
                session
                    .is_whole(text)
                    .then(|| format!("more has to come: {text:?} {:?}", session.engine.compile(text).err())),
            );
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn variables_functions_and_modules_live_on() {
    session(|mut session, host| {
        let mut run = |text: &str| session.run(text, &host.end().child()).map(|value| value.to_string());
        run("let a = 2;").unwrap();
        run("fn twice(x) { x * 2 }").unwrap();
        run("let f = |x| twice(x) + 1;").unwrap();
        assert_eq!(run("f.call(a)").unwrap(), "5");
        run("fn twice(x) { x * 20 }").unwrap();
        assert_eq!(run("twice(a)").unwrap(), "40");
        assert_eq!(run("layout::linux(\"ext4\").len").unwrap(), "3");
        assert_eq!(
            run("fn names(kind) { layout::linux(kind).map(|part| part.name) } names(\"ext4\")").unwrap(),
            "[\"bios\", \"swap\", \"root\"]"
        );
        assert_eq!(run("task::each([1, 2], |n| twice(n) + layout::linux(\"xfs\").len)").unwrap(), "[23, 43]");
    });
}

#[test]
fn functions_see_the_constants_of_earlier_lines() {
    session(|mut session, host| {
        let mut run = |text: &str| session.run(text, &host.end().child()).map(|value| value.to_string());
        run("const A = 3; const C = 4; fn a() { global::A }").unwrap();
        assert_eq!(run("a() + global::C").unwrap(), "7");
        assert_eq!(run("task::each([1], |n| n + a())").unwrap(), "[4]");
        assert_eq!(run("const B = 5; fn b() { global::B } b()").unwrap(), "5");
        assert_eq!(run("a() + b()").unwrap(), "8");
        assert!(run("fn x() { global::X } x()").unwrap_err().fault.message.contains("X"));
    });
}

#[test]
fn an_error_stands_in_the_line_that_is_wrong() {
    session(|mut session, host| {
        let mut run = |text: &str| session.run(text, &host.end().child()).map(|value| value.to_string());
        run("fn bad() { throw \"one\" }").unwrap();
        run("let a = 1;\nfn bad() { throw \"two\" }").unwrap();
        let report = run("bad()").unwrap_err();
        let place = report.place.unwrap();
        assert_eq!((place.to_string().as_str(), place.text.as_str()), ("repl:2:2:12", "fn bad() { throw \"two\" }"));
        assert_eq!(report.frames[0].called_at, "repl:3:1:1");
        let report = run("1 +\n  nothing").unwrap_err();
        assert_eq!(report.place.unwrap().to_string(), "repl:4:2:3");
        assert_eq!(run("a").unwrap(), "1");
    });
}

#[test]
fn a_line_is_no_recipe_that_a_node_could_go_on_with() {
    session(|mut session, host| {
        let mut run = |text: &str| session.run(text, &host.end().child()).map(|value| value.to_string());
        run("let args = #{ nodes: 3 };").unwrap();
        let fault = run("node::job(args)").unwrap_err().fault;
        assert!(fault.kind == "node.job" && fault.message.contains("typed"), "{fault}");
    });
}

#[test]
fn a_second_let_closes_what_the_first_held() {
    session(|mut session, host| {
        let mut run = |text: &str| session.run(text, &host.end().child()).map(|value| value.to_string());
        run("let s = tftp::serve(#{ bind: \"127.0.0.1:0\", root: \".\" }); let b = 1;").unwrap();
        assert_eq!(host.held().len(), 1);
        run("let s = 5;").unwrap();
        assert_eq!(host.held().len(), 0);
        assert_eq!(run("s + b").unwrap(), "6");
    });
}

#[test]
fn a_cancelled_line_leaves_the_rest_alive() {
    session(|mut session, host| {
        let quick = host.end().child();
        session.run("let s = tftp::serve(#{ bind: \"127.0.0.1:0\", read: |r| \"x\" }); let t = task::start(|| { task::sleep(\"10ms\"); 7 }); ()", &quick).map(drop).unwrap();
        let cancel = host.end().child();
        cancel.set();
        for line in [
            "loop {}",
            "task::sleep(\"1h\")",
            "task::each([1, 2], |n| loop {})",
            "task::start(|| task::sleep(\"1h\")).wait()",
        ] {
            assert!(session.run(line, &cancel).unwrap_err().fault.is_stopped(), "{line}");
        }
        let again = host.end().child();
        assert_eq!(session.run("tftp::get(s.address, \"a\")", &again).unwrap().to_string(), "x");
        assert_eq!(session.run("t.wait()", &again).unwrap().to_string(), "7");
        // A server of the very line that is cancelled lives on as well.
        let late = host.end().child();
        let stop = late.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while host.held().len() < 2 {
                    std::thread::yield_now();
                }
                stop.set();
            });
            let line = "let u = tftp::serve(#{ bind: \"127.0.0.1:0\", read: |r| \"y\" }); loop {}";
            assert!(session.run(line, &late).unwrap_err().fault.is_stopped());
        });
        assert_eq!(session.run("tftp::get(u.address, \"a\")", &again).unwrap().to_string(), "y");
        host.end().set();
    });
}

#[test]
fn what_a_line_imports_stays_and_is_read_again_when_imported_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.rhai");
    session(|mut session, host| {
        let mut run = |text: &str| session.run(text, &host.end().child()).map(|value| value.to_string());
        std::fs::write(&file, "fn word() { \"one\" }").unwrap();
        let import = format!("import \"{}\" as site;", dir.path().join("site").display());
        run(&import).unwrap();
        assert_eq!(run("site::word()").unwrap(), "one");
        std::fs::write(&file, "fn word() { \"two\" }").unwrap();
        assert_eq!(run("site::word()").unwrap(), "one");
        run(&import).unwrap();
        assert_eq!(run("fn w() { site::word() } w()").unwrap(), "two");
    });
}
