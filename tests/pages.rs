//! README, guides and concepts show what is really printed: every session in them is run as it stands there, every whole
//! recipe passes the check, every link leads somewhere.
//!
//! A session is a block that begins with three backticks and `console`; all sessions of a page run one after the other
//! in one folder, which has a Debian system in `golden`. A whole recipe is a block that begins with `rhai NAME`; it is in
//! that folder under this name, as is any other file in a block that begins with `text NAME`.
//! `PAGES=write cargo test --test pages` writes down what is printed now.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages that people wrote; the reference has tests of its own.
fn pages() -> Vec<PathBuf> {
    let mut pages = ["README.md", "docs/architecture.md", "docs/performance.md"].map(|page| repo().join(page)).to_vec();
    for folder in ["docs/guide", "docs/concepts"] {
        let entries = std::fs::read_dir(repo().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    pages.sort();
    pages
}

/// One fenced block: the words behind its backticks, and the lines in it.
struct Block {
    info: String,
    lines: Vec<String>,
    /// Of the first line inside, from 0.
    at: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut current: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut current, line.strip_prefix("```")) {
            (None, Some(info)) => {
                current = Some(Block { info: info.trim().to_string(), lines: Vec::new(), at: number + 1 });
            }
            (Some(_), Some(_)) => found.extend(current.take()),
            (Some(block), None) => block.lines.push(line.to_string()),
            (None, None) => {}
        }
    }
    assert!(current.is_none(), "a block without an end");
    found
}

/// The page's whole recipes, written into `folder`; gives their names.
fn recipes(page: &str, folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for block in blocks(page) {
        if let Some(name) = block.info.strip_prefix("text ") {
            std::fs::write(folder.join(name), block.lines.join("\n") + "\n").unwrap();
            continue;
        }
        let Some(name) = block.info.strip_prefix("rhai ") else {
            let whole = block.info == "rhai" && block.lines.iter().any(|line| line.starts_with("fn main("));
            assert!(!whole, "line {}: a whole recipe needs a name behind `rhai`", block.at);
            continue;
        };
        std::fs::write(folder.join(name), block.lines.join("\n") + "\n").unwrap();
        names.push(name.to_string());
    }
    names
}

/// What a shell prints for `command`, both outputs as they come, and its exit code. `$?` is that of the one before.
fn shell(folder: &Path, command: &str, before: i32) -> (Vec<String>, i32) {
    let kar = Path::new(env!("CARGO_BIN_EXE_kar")).parent().unwrap();
    let mut path = OsString::from(kar);
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let script = format!("exec 2>&1; (exit {before}); {command}");
    let mut shell = Command::new("timeout");
    shell.args(["180", "bash", "-c"]).arg(script).current_dir(folder).env("PATH", path).env("LC_ALL", "C.UTF-8");
    let output = shell.output().unwrap();
    // The folder as a person has it.
    let text = String::from_utf8_lossy(&output.stdout).replace(&*folder.to_string_lossy(), "/root");
    (text.lines().map(|line| line.trim_end().to_string()).collect(), output.status.code().unwrap_or(-1))
}

/// What is left of the lines when numbers, digests, UUIDs, temporary names and widths of columns are taken out, in order
/// of the alphabet: nodes work side by side, and say so in any order.
fn essence(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = lines.iter().map(|line| words(line)).filter(|line| !line.is_empty()).collect();
    all.sort();
    all
}

fn words(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut plain = String::new();
        let mut run = String::new();
        for c in word.chars().chain([' ']) {
            if c.is_alphanumeric() || c == '.' || c == '-' {
                run.push(c);
                continue;
            }
            let bare = run.strip_prefix("0x").unwrap_or(&run);
            let hex = bare.chars().all(|c| c.is_ascii_hexdigit() || ".-".contains(c));
            let number = hex && (run.contains(|c: char| c.is_ascii_digit()) || run.len() == 36);
            // Which loop device is free is the machine's business.
            let loop_device =
                run.strip_prefix("loop").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            plain += if number || loop_device { "0" } else { &run };
            run.clear();
            plain.push(c);
        }
        plain.trim().to_string()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs the sessions of a page. Gives the page with what was printed, and what differs.
fn sessions(page: &str, folder: &Path) -> (String, Vec<String>) {
    let mut lines: Vec<String> = page.lines().map(str::to_string).collect();
    let mut wrong = Vec::new();
    let mut printed: Vec<(usize, usize, Vec<String>)> = Vec::new();
    let mut code = 0;
    for block in blocks(page).into_iter().filter(|block| block.info == "console") {
        let mut new = Vec::new();
        let mut rest = &block.lines[..];
        while let Some((first, after)) = rest.split_first() {
            let command = first.strip_prefix("$ ").unwrap_or_else(|| panic!("no `$ ` begins `{first}`"));
            let length = after.iter().position(|line| line.starts_with("$ ")).unwrap_or(after.len());
            let (got, ended) = shell(folder, command, code);
            code = ended;
            if essence(&got) != essence(&after[..length]) {
                wrong.push(format!(
                    "$ {command}\n{}\n--- the page has:\n{}",
                    got.join("\n"),
                    after[..length].join("\n")
                ));
            }
            // An empty line sets a command apart from what the one before printed.
            if new.last().is_some_and(|line: &String| !line.starts_with("$ ") && !line.is_empty()) {
                new.push(String::new());
            }
            new.push(first.clone());
            new.extend(got);
            rest = &after[length..];
        }
        printed.push((block.at, block.lines.len(), new));
    }
    for (at, length, new) in printed.into_iter().rev() {
        lines.splice(at..at + length, new);
    }
    (lines.join("\n") + "\n", wrong)
}

/// Calls `look` with each page's path, its text, and a folder that holds its recipes.
fn each_page(look: impl Fn(&Path, &str, &Path)) {
    for path in pages() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        recipes(&text, folder.path());
        // A golden system to clone, the one that tests/boot/debian-tree makes.
        let debian = Path::new(env!("CARGO_BIN_EXE_kar")).ancestors().nth(2).unwrap().join("debian-tree");
        std::os::unix::fs::symlink(debian, folder.path().join("golden")).unwrap();
        look(&path, &text, folder.path());
    }
}

#[test]
fn sessions_print_what_the_pages_show() {
    each_page(|path, text, folder| {
        let golden = folder.join("golden");
        // Without it, PAGES=write would write down the errors.
        assert!(golden.is_dir(), "the pages need `tests/boot/debian-tree {}`", golden.read_link().unwrap().display());
        let (new, wrong) = sessions(text, folder);
        if std::env::var_os("PAGES").is_some_and(|mode| mode == "write") {
            std::fs::write(path, new).unwrap();
            return;
        }
        assert!(wrong.is_empty(), "{}:\n{}", path.display(), wrong.join("\n\n"));
    });
}

#[test]
fn recipes_in_pages_pass_the_check() {
    let mut count = 0;
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        for name in recipes(&text, folder.path()) {
            let mut check = Command::new(env!("CARGO_BIN_EXE_kar"));
            let output = check.arg("check").arg(&name).current_dir(&folder).output().unwrap();
            assert!(output.status.success(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
            count += 1;
        }
    }
    assert!(count >= 4, "the recipes are gone from the pages");
}

#[test]
fn links_lead_somewhere() {
    each_page(|path, text, _| {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file: PathBuf = path.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(link.contains("://") || file.exists(), "{}: `{link}` is not there", path.display());
        }
    });
}

#[test]
fn a_wrong_session_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let page = "```console\n$ echo node1 took 12 s\nnode1 took 3 s\n\n$ false\n$ echo $?\n1\n```\n";
    let (new, wrong) = sessions(page, folder.path());
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(new, page.replace("took 3", "took 12"));
    let (_, wrong) = sessions("```console\n$ echo node1 failed\nnode1 took 3 s\n```\n", folder.path());
    assert_eq!(wrong.len(), 1);
}
