//! The golden machine, and clones of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{kar, run};

/// The Debian system that `tests/run` builds.
#[track_caller]
pub fn debian() -> PathBuf {
    let target = kar().ancestors().nth(2).expect("the binary lies in a profile's folder of target");
    let tree = target.join("debian-tree");
    let built = target.join("debian-tree.made-by").is_file();
    assert!(built, "this test needs a Debian system: `tests/boot/debian-tree {}`", tree.display());
    tree
}

/// `kar WORDS` in a folder.
pub fn kar_in(folder: &Path, words: &[&str]) -> Output {
    Command::new(kar()).args(words).current_dir(folder).output().unwrap()
}

/// As `kar_in`; fails the test unless it ends well. Gives standard error.
#[track_caller]
pub fn kar_well(folder: &Path, words: &[&str]) -> String {
    let output = kar_in(folder, words);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kar {words:?}:\n{}{text}", String::from_utf8_lossy(&output.stdout));
    text
}

/// A rehearsal of the Linux recipe with one node; gives its disk image.
#[track_caller]
pub fn clone(folder: &Path, words: &[&str]) -> PathBuf {
    let debian = debian();
    let fixed = ["run", "linux", "--source", debian.to_str().unwrap(), "--nodes", "1", "--work", "room"];
    kar_well(folder, &[&fixed, words].concat());
    folder.join("room/node1.img")
}

/// A copy of an image, holes and all.
pub fn copy(image: &Path, to: &Path) {
    run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(image).arg(to));
}
