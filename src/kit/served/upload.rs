//! A file on its way in: beside its place first, in its place at the end.

use std::fs::File;
use std::io::{Error, ErrorKind, Result as IoResult, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Gone again unless it was finished.
pub struct Upload {
    folder: File,
    name: String,
    part: String,
    file: File,
    bytes: u64,
    limit: u64,
    finished: bool,
}

impl Upload {
    /// To become `name` in `folder`, of `limit` bytes at most.
    pub fn begin(folder: File, name: &str, limit: u64) -> IoResult<Upload> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let part = format!(".kar-{}-{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&folder, part.as_str(), flags, Mode::from_bits_truncate(0o644)).map_err(Error::from)?;
        Ok(Upload { folder, name: name.into(), part, file: File::from(file), bytes: 0, limit, finished: false })
    }

    pub fn at(path: &Path, limit: u64) -> IoResult<Upload> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
        Upload::begin(File::open(folder)?, name, limit)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// # Errors
    /// `FileTooLarge` beyond the limit; the disk's own.
    pub fn write(&mut self, data: &[u8]) -> IoResult<()> {
        if self.bytes + data.len() as u64 > self.limit {
            let why = format!("it has more than the limit of {} bytes", self.limit);
            return Err(Error::new(ErrorKind::FileTooLarge, why));
        }
        self.file.write_all(data)?;
        self.bytes += data.len() as u64;
        Ok(())
    }

    /// Starts anew, from the first byte.
    pub fn rewind(&mut self) -> IoResult<()> {
        use std::io::Seek;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.bytes = 0;
        Ok(())
    }

    /// Safely on the disk and under its name, or gone.
    pub fn finish(mut self) -> IoResult<u64> {
        self.file.sync_all()?;
        renameat(&self.folder, self.part.as_str(), &self.folder, self.name.as_str()).map_err(Error::from)?;
        self.finished = true;
        // The new name itself has to reach the disk; a folder that cannot be flushed has no more to give.
        let _ = self.folder.sync_all();
        Ok(self.bytes)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.finished {
            let _ = unlinkat(&self.folder, self.part.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}
