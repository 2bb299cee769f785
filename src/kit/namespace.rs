//! Who this process is, and what it sees of the machine.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, unshare};

use crate::host::{Fault, Result};

/// Holds the number of the network namespace that a run was moved to.
const MARK: &str = "KAR_NETWORK";

/// Whether this process may do all that root may.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn number() -> Option<String> {
    Some(std::fs::metadata("/proc/thread-self/ns/net").ok()?.ino().to_string())
}

/// Starts this program again with the same words in a network namespace of its own, which ends with it. Returns only where
/// that was done before, or cannot be done: other threads keep the namespace that they have, so it is the program that moves.
///
/// # Errors
/// `net.isolate`: the kernel refuses.
pub fn isolate_network() -> Result<()> {
    let mark = std::env::var(MARK).ok();
    if mark.is_some() && mark == number() {
        return Ok(());
    }
    let fail =
        |error: std::io::Error| Fault::io("net.isolate", "make a network namespace", error).hint("this needs root");
    let words: Vec<CString> =
        std::env::args_os().map(|word| CString::new(word.into_vec()).unwrap_or_default()).collect();
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| fail(error.into()))?;
    let own = format!("{MARK}={}", number().unwrap_or_default());
    let old = std::env::vars_os().filter(|(name, _)| name != MARK);
    let env: Vec<CString> = old
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .chain([own.into_bytes()])
        .map(|entry| CString::new(entry).unwrap_or_default())
        .collect();
    match nix::unistd::execve(c"/proc/self/exe", &words, &env) {
        Ok(never) => match never {},
        Err(error) => Err(fail(error.into())),
    }
}
