//! The data of one file on its way into an archive.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::sys::stat::{FileStat, fstat};

use crate::host::{Fault, Result};
use crate::kit::tree::show;

/// A file whose data is being sent.
pub(super) struct Body {
    pub file: File,
    pub path: Vec<u8>,
    pub stat: FileStat,
    /// Offset and length of what is left, last piece first.
    pub extents: Vec<(u64, u64)>,
    /// Bytes of data in all.
    pub stored: u64,
}

impl Body {
    /// 0: all is sent.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some((at, left)) = self.extents.last_mut() else { return Ok(0) };
        let length = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        loop {
            match self.file.read_at(&mut buffer[..length], *at) {
                Ok(0) => {
                    let end = *at;
                    return Err(self.shorter(end));
                }
                Ok(count) => {
                    *at += count as u64;
                    *left -= count as u64;
                    if *left == 0 {
                        self.extents.pop();
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn shorter(&self, now: u64) -> Fault {
        let (path, then) = (show(&self.path), self.stat.st_size);
        Fault::new("tar.changed", format!("`{path}` became shorter while it was read: {then} bytes, then {now}"))
            .hint("stop what writes to it, exclude it, or clone from a snapshot")
    }

    fn failed(&self, error: impl Into<std::io::Error>) -> Fault {
        Fault::io("tree.read", format_args!("read `{}`", show(&self.path)), error)
    }

    /// Looks once more at the end: a warning for what has changed without harm.
    pub(super) fn changed(&self) -> Result<Option<String>> {
        let now = fstat(&self.file).map_err(|error| self.failed(error))?;
        let (path, then) = (show(&self.path), &self.stat);
        if now.st_size < then.st_size {
            return Err(self.shorter(now.st_size as u64));
        }
        let size = then.st_size;
        if now.st_size > size {
            return Ok(Some(format!("`{path}` grew while it was read; the archive has its first {size} bytes")));
        }
        let written = (now.st_mtime, now.st_mtime_nsec) != (then.st_mtime, then.st_mtime_nsec);
        Ok(written.then(|| format!("`{path}` was written to while it was read")))
    }
}
