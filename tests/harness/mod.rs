//! What the tests stand on: scratch folders, bounded waits, the built binary, network namespaces, a look for leftovers.
#![allow(dead_code, reason = "each test binary uses a part of the harness")]

pub mod leftovers;
pub mod netns;
pub mod vm;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A folder of the test's own, gone when dropped.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("kar-test-").tempdir().expect("a temporary folder can be made")
}

/// The binary under test.
pub fn kar() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kar"))
}

/// Polls until `done` holds; fails the test at the deadline, naming `what` did not happen.
#[track_caller]
pub fn eventually(deadline: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !done() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The path of a program the test drives; fails with the Debian package that has it.
#[track_caller]
pub fn need(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("this test needs `{program}`: apt-get install {package}"))
}

/// A file that a Debian package brings; fails with the package's name.
#[track_caller]
pub fn need_file(path: &str, package: &str) -> String {
    assert!(Path::new(path).is_file(), "this test needs `{path}`: apt-get install {package}");
    path.to_string()
}

/// Runs a command to its end; fails the test with its output unless it ends well. Returns what it printed.
#[track_caller]
pub fn run(command: &mut std::process::Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?} ended with {}:\n{stdout}{stderr}", out.status);
    stdout.into_owned()
}
