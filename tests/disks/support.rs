//! Image files, and the tools that judge them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kar::kit::disk::{Disk, OpenOptions, create};

/// A folder of its own for one test.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("kar-disks-").tempdir().unwrap()
}

/// As [`folder`], in memory where there is such a place: flushing hundreds of images to a real disk takes its time.
pub fn memory_folder() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let place = if shm.is_dir() { shm.to_path_buf() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("kar-disks-").tempdir_in(place).unwrap()
}

pub fn image(dir: &tempfile::TempDir, name: &str, size: u64) -> PathBuf {
    let path = dir.path().join(name);
    create(&path, size, false).unwrap();
    path
}

pub fn open(path: &Path) -> Disk {
    Disk::open(path, OpenOptions { write: true, ..OpenOptions::default() }).unwrap()
}

pub fn open_with(path: &Path, sector_size: u32) -> Disk {
    let options = OpenOptions { write: true, sector_size: Some(sector_size), ..OpenOptions::default() };
    Disk::open(path, options).unwrap()
}

/// Runs a program that has to succeed; its output, both streams.
pub fn run(program: &str, args: &[&str]) -> String {
    let (ok, text) = try_run(program, args);
    assert!(ok, "{program} {args:?}: {text}");
    text
}

pub fn try_run(program: &str, args: &[&str]) -> (bool, String) {
    let done =
        Command::new(program).args(args).stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// Feeds a script to `sfdisk IMAGE`.
pub fn sfdisk(image: &Path, script: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("sfdisk")
        .args(["--no-reread", "--no-tell-kernel", "-q"])
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "sfdisk: {text}\n{script}");
    text
}

/// `sfdisk -d` in a form that compares: blanks run together.
pub fn dump(image: &Path) -> Vec<String> {
    squeezed(&run("sfdisk", &["-d", image.to_str().unwrap()]))
}

pub fn squeezed(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

/// Waits for something that happens soon.
pub fn soon(what: &str, mut happened: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < until, "{what} did not happen within 10 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
