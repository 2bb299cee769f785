//! One run at a time in a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::host::{Fault, Result};
use crate::kit::disk::holder;

/// Takes the lock of a file or folder that is there (flock(2)). It goes with the returned file, so a killed process
/// leaves none.
///
/// # Errors
/// `fs.locked` names the process that has it; `fs.lock`
pub fn lock(path: &Path) -> Result<File> {
    let fail = |error| Fault::io("fs.lock", format_args!("lock `{}`", path.display()), error);
    let file = File::open(path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(fail(error)),
        Err(TryLockError::WouldBlock) => {
            let by = holder(&file).unwrap_or_else(|| "another process".into());
            Err(Fault::new("fs.locked", format!("`{}` is in use by {by}", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        let fault = lock(dir.path()).unwrap_err();
        assert_eq!(fault.kind, "fs.locked");
        assert!(fault.message.ends_with("is in use by this run"), "{fault}");
        drop(first);
        lock(dir.path()).unwrap();
        assert_eq!(lock(&dir.path().join("no")).unwrap_err().kind, "fs.lock");
    }
}
