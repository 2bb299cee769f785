//! What was written goes to the disk while the stream goes on, a window at a time.
//!
//! Left to the end, gigabytes would wait in memory, and an error of the disk would come without a place.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

/// Bytes; one window is on its way while the next one fills.
const WINDOW: u64 = 16 << 20;

/// How far a medium is written out. Places are bytes from its start.
pub(super) struct Flush {
    /// All before it is on the disk.
    done: u64,
    /// All before it is on its way.
    started: u64,
}

impl Flush {
    pub(super) fn from(start: u64) -> Flush {
        Flush { done: start, started: start }
    }

    /// Tells that all before `end` was written to memory.
    ///
    /// # Errors
    /// With the range that the disk did not take.
    pub(super) fn wrote(&mut self, file: &File, end: u64) -> Result<(), (Range<u64>, io::Error)> {
        if end.saturating_sub(self.started) < WINDOW {
            return Ok(());
        }
        let wait = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        let before = self.done..self.started;
        range(file, before.clone(), wait).map_err(|error| (before, error))?;
        let next = self.started..end;
        range(file, next.clone(), libc::SYNC_FILE_RANGE_WRITE).map_err(|error| (next, error))?;
        (self.done, self.started) = (self.started, end);
        Ok(())
    }

    /// What is not known to be on the disk, of all before `end`.
    pub(super) fn open(&self, end: u64) -> Range<u64> {
        self.done.min(end)..end
    }
}

fn range(file: &File, range: Range<u64>, flags: libc::c_uint) -> io::Result<()> {
    // A length of 0 would mean all to the end.
    if range.is_empty() {
        return Ok(());
    }
    let (at, length) = (range.start.cast_signed(), (range.end - range.start).cast_signed());
    // SAFETY: numbers only, and a descriptor that lives through the call.
    match Errno::result(unsafe { libc::sync_file_range(file.as_raw_fd(), at, length, flags) }) {
        Ok(_) => Ok(()),
        // It is a hint: the sync at the end is what counts.
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::ESPIPE) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
