//! Scripts with the error they must end in written above the failing line:
//!
//! ```text
//! //~ error[script.function]: `task` has no function `slep`
//! //~ hint: did you mean `task::sleep`?
//!     task::slep("1s");
//! ```
//!
//! A script without such a line must end well. Each runs as `kar run` in an empty folder of its own. Errors before the
//! first line runs are all found, so a script may expect several; while running there is one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    line: usize,
    /// `error[kind]: message`
    error: String,
    hints: Vec<String>,
}

fn scripts() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "rhai")).collect();
    files.sort();
    files
}

/// What the `//~` lines of a file say. Only the hints that are written down have to be there.
fn expected(file: &Path) -> Vec<Finding> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut found: Vec<Finding> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match line.trim().strip_prefix("//~ ") {
            Some(hint) if hint.starts_with("hint: ") => found.last_mut().unwrap().hints.push(hint.to_string()),
            Some(error) => {
                found.push(Finding { file: name(file), line: 0, error: error.to_string(), hints: Vec::new() });
                open = true;
            }
            None if open => {
                found.iter_mut().filter(|f| f.line == 0).for_each(|f| f.line = number + 1);
                open = false;
            }
            None => {}
        }
    }
    found
}

/// The findings in what kar printed.
fn printed(stderr: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for line in stderr.lines() {
        if line.starts_with("error[") {
            found.push(Finding { file: String::new(), line: 0, error: line.to_string(), hints: Vec::new() });
        } else if let (Some(place), Some(last)) = (line.trim().strip_prefix("--> "), found.last_mut()) {
            let mut parts = place.split(' ').next().unwrap().rsplitn(3, ':');
            let (_column, line) = (parts.next().unwrap(), parts.next().unwrap());
            last.line = line.parse().unwrap();
            last.file = name(Path::new(parts.next().unwrap()));
        } else if let (true, Some(last)) = (line.starts_with("hint: "), found.last_mut()) {
            last.hints.push(line.to_string());
        }
    }
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn run(file: &Path) -> (Vec<Finding>, Option<i32>, String) {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kar")).arg("run").arg(file).current_dir(&empty).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (printed(&stderr), output.status.code(), stderr)
}

#[test]
fn every_script_ends_as_it_says() {
    let files = scripts();
    assert!(files.len() >= 10, "the scripts are gone: {files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let mut wanted = expected(&file);
        // An error in a module stands in the module's file.
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/stdlib").join(name(&file));
        if module.is_file() {
            wanted.extend(expected(&module));
        }
        let (mut found, code, stderr) = run(&file);
        for (finding, want) in found.iter_mut().zip(&wanted) {
            finding.hints.retain(|hint| want.hints.contains(hint));
        }
        let fits = found == wanted && (code == Some(0)) == wanted.is_empty();
        if !fits {
            wrong.push(format!("{}: wanted {wanted:#?}\nexit {code:?}, printed:\n{stderr}", name(&file)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// In `kar check` too, which runs nothing. What a function imports is read when it is called, and closes no circle.
#[test]
fn modules_that_import_each_other_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = |a: &str, b: &str| {
        std::fs::write(folder.path().join("main.rhai"), "import \"a\" as a;\nfn main() { a::one(); }\n").unwrap();
        std::fs::write(folder.path().join("a.rhai"), a).unwrap();
        std::fs::write(folder.path().join("b.rhai"), b).unwrap();
        let run =
            |what| Command::new(env!("CARGO_BIN_EXE_kar")).args([what, "main.rhai"]).current_dir(&folder).output();
        ["check", "run"].map(|what| String::from_utf8(run(what).unwrap().stderr).unwrap())
    };
    let late = "fn one() { import \"b\" as b; b::two() }\n";
    let back = "import \"a\" as a;\nfn two() { 2 }\n";
    assert!(check(late, back).iter().all(|stderr| !stderr.contains("error[")));
    for stderr in check("import \"b\" as b;\nfn one() { b::two() }\n", back) {
        let wanted = "error[script.circle]: modules import each other in a circle: a.rhai -> b.rhai -> a.rhai\n --> b.rhai:1:8\n";
        assert!(stderr.contains(wanted), "{stderr}");
    }
}

/// Runs a script in `folder` that leaves a program behind and has written its number to the file `pid`, sends `signals`
/// then, and says whether the program is gone once kar is.
fn program_is_gone(script: &str, signals: usize) -> bool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.rhai"), script).unwrap();
    let mut kar =
        Command::new(env!("CARGO_BIN_EXE_kar")).args(["run", "main.rhai"]).current_dir(&folder).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let number = || std::fs::read_to_string(folder.path().join("pid")).ok()?.trim().parse::<u32>().ok();
    let program = loop {
        match number() {
            Some(number) => break number,
            None => assert!(Instant::now() < deadline, "the program did not start"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    for _ in 0..signals {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(kar.id().cast_signed()), nix::sys::signal::SIGINT);
        std::thread::sleep(Duration::from_millis(20));
    }
    kar.wait().unwrap();
    // A zombie has no command line any more.
    let gone = || std::fs::read(format!("/proc/{program}/cmdline")).unwrap_or_default().is_empty();
    while !gone() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    gone()
}

#[test]
fn programs_end_with_the_run() {
    let unwaited = r#"fn main() {
        task::start(|| proc::run("sh", ["-c", "echo $$ > new && mv new pid && exec sleep 600"]));
        while !fs::exists("pid") { task::sleep("5ms"); }
    }"#;
    assert!(program_is_gone(unwaited, 0));
    let stubborn = r#"fn main() {
        proc::run("sh", ["-c", "trap '' INT TERM; echo $$ > new && mv new pid; while true; do sleep 1; done"]);
    }"#;
    assert!(program_is_gone(stubborn, 2));
}

#[test]
fn the_reader_of_findings_sees_a_difference() {
    let text = "error[a.b]: no\n --> x/y.rhai:3:5 (built in)\n  |\n3 | x\n\nhint: do\n";
    let wanted =
        Finding { file: "y.rhai".into(), line: 3, error: "error[a.b]: no".into(), hints: vec!["hint: do".into()] };
    assert_eq!(printed(text), [wanted]);
    assert_ne!(printed(&text.replace(":3:", ":4:")), printed(text));
}

/// Runs a script that would never end by itself; gives the exit code and what it said.
fn run_away(body: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("away.rhai"), body).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_kar")).args(["run", "away.rhai"]).current_dir(&folder).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn recursion_without_end_is_told() {
    let told = "error[script.recursion]: functions call each other without end\n";
    let (code, said) = run_away("fn main(args) { again(1); }\nfn again(n) { again(n + 1) + 1 }\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with(told), "{said}");
    // In a task's thread there is as much room.
    let (code, said) =
        run_away("fn main(args) { task::each([1, 2], |n| again(n)); }\nfn again(n) { again(n + 1) + 1 }\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("functions call each other without end"), "{said}");
}

#[test]
fn memory_without_end_is_told_and_cannot_be_caught() {
    let (code, said) = run_away(
        "fn main(args) { try { grow(); } catch { } throw \"went on\"; }\nfn grow() { let s = \"x\"; loop { s += s; } }\n",
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error[script.memory]: the script holds "), "{said}");
}
