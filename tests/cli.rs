//! The command line as a person sees it: transcripts in tests/cli, and the sessions that README and guides show, run
//! as they stand there. `TRYCMD=overwrite cargo test --test cli` writes down what is printed now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Programs that a transcript may run beside kar.
const PROGRAMS: [&str; 12] =
    ["cat", "cmp", "e2fsck", "head", "jq", "ls", "mount", "rm", "sed", "sfdisk", "sh", "umount"];

/// Pages with sessions and recipes in them.
const PAGES: [&str; 4] =
    ["README.md", "docs/guide/first-run.md", "docs/guide/writing-a-recipe.md", "docs/concepts/rehearsal.md"];

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> trycmd::TestCases {
    let cases = trycmd::TestCases::new();
    cases.register_bin("kar", PathBuf::from(env!("CARGO_BIN_EXE_kar")));
    cases.env("NO_COLOR", "1").timeout(Duration::from_secs(120));
    for program in PROGRAMS {
        let found = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(|dir| Path::new(dir).join(program));
        if let Some(path) = found.into_iter().find(|path| path.exists()) {
            cases.register_bin(program, path);
        }
    }
    cases
}

#[test]
fn transcripts() {
    cases().case("tests/cli/*.trycmd").run();
}

/// A whole recipe in a page: the text of a block that begins with three backticks and `rhai NAME`.
struct Recipe {
    name: String,
    text: String,
}

fn recipes(page: &str) -> Vec<Recipe> {
    let mut found = Vec::new();
    let mut current: Option<Recipe> = None;
    for line in page.lines() {
        match (&mut current, line.trim_end()) {
            (None, start) => {
                if let Some(name) = start.strip_prefix("```rhai ") {
                    current = Some(Recipe { name: name.trim().to_string(), text: String::new() });
                }
            }
            (Some(_), "```") => found.extend(current.take()),
            (Some(recipe), line) => recipe.text += &format!("{line}\n"),
        }
    }
    found
}

/// Lays a page out for trycmd, in a folder of its own: the sessions run in `NAME.in`, where the page's recipes are.
fn lay_out(page: &Path, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(page).unwrap();
    let copy = folder.join(page.file_name().unwrap());
    let inside = copy.with_extension("in");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(&copy, &text).unwrap();
    for recipe in recipes(&text) {
        std::fs::write(inside.join(recipe.name), recipe.text).unwrap();
    }
    copy
}

/// One page after the other: each rehearses on all of the machine.
#[test]
fn pages_show_what_is_printed() {
    for page in PAGES.map(|page| repo().join(page)) {
        let folder = tempfile::tempdir().unwrap();
        let copy = lay_out(&page, folder.path());
        let outcome = std::panic::catch_unwind(|| cases().case(&copy).run());
        if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
            std::fs::copy(&copy, &page).unwrap();
        }
        if let Err(panic) = outcome {
            eprintln!("in {}", page.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn recipes_in_pages_pass_the_check() {
    let mut count = 0;
    for page in PAGES {
        let folder = tempfile::tempdir().unwrap();
        let copy = lay_out(&repo().join(page), folder.path());
        let text = std::fs::read_to_string(&copy).unwrap();
        let whole = text.split("\n```rhai\n").skip(1).filter(|block| {
            let code = block.split("\n```").next().unwrap_or_default();
            code.contains("fn main(")
        });
        assert_eq!(whole.count(), 0, "{page}: a whole recipe needs a name behind its ```rhai");
        for recipe in recipes(&text) {
            count += 1;
            let inside = copy.with_extension("in");
            let mut command = Command::new(env!("CARGO_BIN_EXE_kar"));
            let output = command.arg("check").arg(&recipe.name).current_dir(inside).output().unwrap();
            assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(count >= 3, "the recipes are gone from the pages");
}
