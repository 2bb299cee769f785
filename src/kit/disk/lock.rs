//! One writer at a time: an exclusive lock on a disk or image opened for writing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::host::{Fault, Result};

/// udev looks at a block device with a shared lock, for a moment; another run keeps its lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the lock; it goes with the open file, so a killed process leaves none. On block devices this is also what
/// udev respects (systemd's block device locking): it does not probe a disk while it is rewritten.
///
/// # Errors
/// `disk.locked` names the process that has it.
pub(super) fn lock(file: &File, path: &Path) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(Fault::io("disk.lock", format_args!("lock `{}`", path.display()), error));
            }
        }
        // An image has no udev to wait for.
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        if is_file || Instant::now() >= until {
            let by = holder(file).map_or(String::new(), |by| format!(" by {by}"));
            return Err(Fault::new("disk.locked", format!("`{}` is already open for writing{by}", path.display()))
                .hint("two runs cannot write one disk: wait for the other, or take another image"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The process that holds a lock on the same file: /proc/locks (proc_locks(5)).
pub fn holder(file: &File) -> Option<String> {
    let inode = file.metadata().ok()?.ino().to_string();
    let text = std::fs::read_to_string("/proc/locks").ok()?;
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let same = words.get(1) == Some(&"FLOCK") && words.get(5)?.rsplit(':').next() == Some(inode.as_str());
        let process = same.then(|| words.get(4)).flatten()?;
        if *process == std::process::id().to_string() {
            return Some("this run".into());
        }
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        Some(format!("process {process} ({})", name.trim()))
    })
}
