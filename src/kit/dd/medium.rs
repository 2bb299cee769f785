//! What is read or written raw: a block device or a file.

use std::fs::File;
use std::io::{Error, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::host::{Fault, Result, format_size};

pub(super) struct Medium {
    pub path: PathBuf,
    pub file: File,
    /// Bytes; for a file that was just made, 0.
    pub size: u64,
    pub is_device: bool,
}

impl Medium {
    /// `fail` shapes the fault; both the kind and the verb are the caller's.
    pub(super) fn of(path: &Path, mut file: File, fail: impl Fn(Error) -> Fault) -> Result<Medium> {
        let kind = file.metadata().map_err(&fail)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(fail(Error::new(ErrorKind::InvalidInput, "it is neither a file nor a block device")));
        }
        // A device has no length in its metadata.
        let size = file.seek(SeekFrom::End(0)).map_err(&fail)?;
        Ok(Medium { path: path.into(), file, size, is_device: kind.is_block_device() })
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// What is known of its size, for messages.
    pub(super) fn measure(&self) -> String {
        format!("`{}` has {} bytes ({})", self.path.display(), self.size, format_size(self.size))
    }
}

/// Refuses what opening could wait for, or what is no place for raw data.
pub(super) fn refuse_others(path: &Path) -> std::io::Result<()> {
    match std::fs::metadata(path)?.file_type() {
        kind if kind.is_dir() => Err(Error::new(ErrorKind::IsADirectory, "it is a folder")),
        kind if kind.is_file() || kind.is_block_device() => Ok(()),
        _ => Err(Error::new(ErrorKind::InvalidInput, "it is neither a file nor a block device")),
    }
}
