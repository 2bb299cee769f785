//! The sources as the rules read them.

use std::path::{Path, PathBuf};

/// One file of this repository.
pub struct Source {
    /// From the root of the repository: `src/kit/mod.rs`.
    pub path: String,
    pub text: String,
}

/// A line of code without its comment, and its number.
pub struct Line<'a> {
    pub number: usize,
    pub code: &'a str,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    /// The room under `src/` it lies in; none for `src/lib.rs` and `src/main.rs`.
    pub fn room(&self) -> Option<&str> {
        let (room, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(room)
    }

    pub fn code(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().enumerate().map(|(at, line)| Line { number: at + 1, code: without_comment(line) })
    }
}

/// Up to a `//` that begins a comment: at the start, or after a blank, which it is in no URL.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.find(" //").map_or(line, |at| &line[..at])
}

/// All files below `folder` whose name ends in `ending`.
pub fn files(folder: &str, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut |path| {
        if path.to_string_lossy().ends_with(ending) {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push(Source { path: name, text: std::fs::read_to_string(&path).unwrap() });
        }
    });
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, each: &mut impl FnMut(PathBuf)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, each);
        } else {
            each(path);
        }
    }
}

#[test]
fn there_are_sources_and_comments_are_left_out() {
    assert!(files("src", ".rs").len() > 30);
    let source = Source::new("src/kit/x.rs", "/// doc\nlet a = 1; // why\nlet url = \"http://x\";");
    let code: Vec<_> = source.code().map(|line| line.code).collect();
    assert_eq!(code, ["", "let a = 1;", "let url = \"http://x\";"]);
    assert_eq!(source.room(), Some("kit"));
    assert_eq!(Source::new("src/main.rs", "").room(), None);
}
