//! The files a script names, in a folder.

use std::path::{Component, Path};

use crate::host::{Fault, Result};

/// A file below a folder; a name that leads out of it is one that is not there.
///
/// # Errors
/// `boot.file`: it is there and cannot be read.
pub fn file_in(dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let name = Path::new(name.trim_start_matches('/'));
    if name.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Ok(None);
    }
    let path = dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("boot.file", format_args!("read `{}`", path.display()), error)),
    }
}
