//! What the tests of this binary share.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use kar::host::{Cancel, Result};
use kar::kit::archive::{TarSink, TarSource};
use kar::kit::stream::{Delivered, Sink, Source};
use kar::kit::tree::{self, Manifest, Options};
use tempfile::TempDir;

/// A folder beside the build: the system's own may be a tmpfs, which has no room for all attributes.
pub fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A folder `name` in `parent`.
pub fn sub(parent: &TempDir, name: &str) -> std::path::PathBuf {
    let path = parent.path().join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

/// Runs a program that has to succeed and returns what it says.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {err}");
    String::from_utf8_lossy(&output.stdout).into_owned() + err.as_str()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn pack(dir: &Path, options: &Options) -> Result<Vec<u8>> {
    let mut source = TarSource::new(dir, options)?;
    let mut archive = Vec::new();
    let mut buffer = vec![0; 100_001];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(archive),
            length => archive.write_all(&buffer[..length]).unwrap(),
        }
    }
}

pub fn unpack(archive: &[u8], dir: &Path) -> Result<Delivered> {
    let mut sink = TarSink::new(dir)?;
    for chunk in archive.chunks(77_777) {
        sink.write(chunk)?;
    }
    sink.finish()
}

pub fn digest(dir: &Path) -> Manifest {
    tree::digest(dir, &Options::default(), &Cancel::new()).unwrap()
}

/// All differences of two trees, without those that begin with one of `but`: what the other program cannot do.
pub fn differences(here: &Path, there: &Path, but: &[&str]) -> Vec<String> {
    let differences = tree::compare(&digest(here), &digest(there)).into_iter().map(|found| found.to_string());
    differences.filter(|found| !but.iter().any(|known| found.starts_with(known))).collect()
}

pub fn assert_same(here: &Path, there: &Path) {
    assert_same_but(here, there, &[]);
}

pub fn assert_same_but(here: &Path, there: &Path, but: &[&str]) {
    assert_eq!(differences(here, there, but), Vec::<String>::new());
}
