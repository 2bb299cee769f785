//! A disk, a partition or an image as a sink.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::flush::Flush;
use super::medium::{Medium, refuse_others};
use super::zero;
use crate::host::{Cancel, Fault, Result, format_size};
use crate::kit::stream::{BLOCK, Delivered, Sink};

#[derive(Debug, Clone, Default)]
pub struct IntoOptions {
    /// Where on the target the stream begins, in bytes.
    pub offset: u64,
    /// Reads everything back at the end and compares.
    pub verify: bool,
}

/// Writes a medium from front to back.
///
/// The first block, where tables, boot code and superblocks lie, is cleared first and written last: a target that was
/// not written to its end, whatever ended it, neither boots nor mounts. Aborted, it clears the backup GPT as well.
pub struct RawSink {
    medium: Medium,
    /// It was made here: it grows as needed, and goes away on abort.
    fresh: bool,
    offset: u64,
    verify: bool,
    cancel: Cancel,
    /// The first bytes, up to a block; on the medium they are zeros until the end.
    head: Vec<u8>,
    /// Where the next byte of the stream belongs, and how far it reaches.
    at: u64,
    bytes: u64,
    flush: Flush,
    /// With `verify`, a digest for each block of the stream, and the one being made.
    digests: Vec<blake3::Hash>,
    hash: blake3::Hasher,
    ended: bool,
}

/// An image that is there keeps its size and what lies outside the written range; a missing one is made.
///
/// # Errors
/// - `dd.open`: it cannot be written, or is neither a file nor a block device
/// - `dd.small`: `offset` lies beyond its end; and at [`Sink::expect`] or the first write that does not fit
/// - `dd.write`, `dd.verify` later
pub fn into(path: &Path, options: &IntoOptions) -> Result<RawSink> {
    let fail = |error| Fault::io("dd.open", format_args!("write `{}`", path.display()), error);
    let mut open = OpenOptions::new();
    open.read(true).write(true);
    let (file, made) = match refuse_others(path) {
        Ok(()) => (open.open(path).map_err(fail)?, false),
        // What looks like a device is not made as a file in /dev: a misspelt disk would fill the memory.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.starts_with("/dev") => {
            (open.create_new(true).open(path).map_err(fail)?, true)
        }
        Err(error) => return Err(fail(error)),
    };
    let medium = Medium::of(path, file, fail)?;
    let sink = RawSink {
        fresh: made || (!medium.is_device && medium.size == 0),
        medium,
        offset: options.offset,
        verify: options.verify,
        cancel: Cancel::new(),
        head: Vec::new(),
        at: 0,
        bytes: 0,
        flush: Flush::from(options.offset),
        digests: Vec::new(),
        hash: blake3::Hasher::new(),
        ended: false,
    };
    sink.fits(0).map(|()| sink)
}

impl RawSink {
    fn fits(&self, bytes: u64) -> Result<()> {
        let end = self.offset.checked_add(bytes).filter(|end| i64::try_from(*end).is_ok());
        if end.is_some_and(|end| self.fresh || end <= self.medium.size) {
            return Ok(());
        }
        let room = self.medium.size.saturating_sub(self.offset);
        let from = if self.offset > 0 { format!(" from offset {}", self.offset) } else { String::new() };
        let message = format!("cannot write {bytes} bytes{from}: {}, room for {room}", self.medium.measure());
        let fault = Fault::new("dd.small", message);
        Err(match self.medium.is_device {
            true => fault,
            false => fault.hint("an image that is there keeps its size: remove it to have it made anew"),
        })
    }

    fn fault(&self, verb: &str, at: u64, error: io::Error) -> Fault {
        let what = format!("{verb} `{}` at byte {at}", self.medium.path.display());
        Fault::io("dd.write", what, error)
    }

    fn place(&self, data: &[u8], at: u64) -> Result<()> {
        let mut done = 0;
        while done < data.len() {
            let here = at + done as u64;
            let stretch = zero::stretch(&data[done..], here);
            let piece = &data[done..done + stretch.len];
            let written = match stretch.zero {
                true => zero::clear(&self.medium, here, stretch.len as u64, self.fresh),
                false => self.medium.file.write_all_at(piece, here),
            };
            written.map_err(|error| self.fault("write", here, error))?;
            done += stretch.len;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let open = self.flush.open(self.offset + self.at);
        self.medium.file.sync_all().map_err(|error| self.not_taken(open, error))
    }

    /// A write that the disk refused after memory had taken it.
    fn not_taken(&self, range: Range<u64>, error: io::Error) -> Fault {
        let name = self.medium.path.display();
        let what = format!("write `{name}` at byte {} (somewhere up to {})", range.start, range.end);
        Fault::io("dd.write", what, error).hint("the disk is failing, or what it lies on is full")
    }

    fn digest(&mut self, mut data: &[u8]) {
        while self.verify && !data.is_empty() {
            let room = BLOCK - self.hash.count() as usize;
            let (piece, rest) = data.split_at(room.min(data.len()));
            self.hash.update(piece);
            if self.hash.count() as usize == BLOCK {
                self.close_digest();
            }
            data = rest;
        }
    }

    fn close_digest(&mut self) {
        self.digests.push(self.hash.finalize());
        self.hash.reset();
    }

    fn settle(&mut self) -> Result<()> {
        if self.fresh && self.offset + self.bytes > self.medium.size {
            let end = self.offset + self.bytes;
            self.medium.file.set_len(end).map_err(|error| self.fault("write", end, error))?;
        }
        // The rest is on the disk before the head makes it whole.
        self.sync()?;
        let head = std::mem::take(&mut self.head);
        self.place(&head, self.offset)?;
        self.sync()?;
        if self.verify { self.check() } else { Ok(()) }
    }

    /// Reads everything back, from the disk and not from memory.
    fn check(&mut self) -> Result<()> {
        if self.hash.count() > 0 {
            self.close_digest();
        }
        let file = &self.medium.file;
        // Clean pages are dropped; a kernel that keeps some lets us compare memory for these.
        let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        let mut block = vec![0; BLOCK];
        let mut at = 0;
        for digest in &self.digests {
            if self.cancel.is_set() {
                return Err(Fault::stopped());
            }
            let count = usize::try_from(self.bytes - at).unwrap_or(BLOCK).min(BLOCK);
            let here = self.offset + at;
            file.read_exact_at(&mut block[..count], here).map_err(|error| self.fault("read back", here, error))?;
            if blake3::hash(&block[..count]) != *digest {
                let name = self.medium.path.display();
                let message =
                    format!("`{name}` does not hold what was written: bytes {here} to {}", here + count as u64);
                return Err(Fault::new("dd.verify", message).hint("the disk or its controller is failing: replace it"));
            }
            at += count as u64;
        }
        Ok(())
    }

    /// Leaves the head cleared, which keeps the rest from passing for whole; what was made here goes.
    fn give_up(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.fresh {
            let _ = std::fs::remove_file(&self.medium.path);
        } else {
            // More than boot code: the table went with the head, and its second copy must not bring it back.
            if self.offset == 0 && self.bytes >= 512 {
                let _ = zero::clear_backup_table(&self.medium);
            }
            let _ = self.medium.file.sync_all();
        }
    }
}

impl Sink for RawSink {
    fn describe(&self) -> String {
        self.medium.name()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    fn expect(&mut self, bytes: u64) -> Result<()> {
        self.fits(bytes)
    }

    /// What is read back at the end is compared in the order in which it came.
    fn can_seek(&self) -> bool {
        !self.verify
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        if self.at != position && self.bytes == 0 {
            // The first block is the last to be written, whatever comes first.
            let head = position.min(BLOCK as u64);
            self.fits(position)?;
            zero::clear(&self.medium, self.offset, head, self.fresh)
                .map_err(|error| self.fault("write", self.offset, error))?;
            self.bytes = position;
        }
        self.sync()?;
        self.at = position;
        self.flush = Flush::from(self.offset + position);
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let end = self.at.saturating_add(data.len() as u64);
        self.fits(end).map_err(|mut fault| {
            let room = self.medium.size.saturating_sub(self.offset);
            fault.message = format!(
                "cannot write `{}` at byte {}: the stream goes on past its end ({} in all, room for {room} bytes)",
                self.medium.path.display(),
                self.medium.size,
                format_size(self.medium.size)
            );
            fault
        })?;
        let room = (BLOCK as u64).saturating_sub(self.at) as usize;
        let (head, rest) = data.split_at(data.len().min(room));
        if !head.is_empty() {
            // Exactly what the stream will cover: a boot sector of 446 bytes must not cost the table behind it.
            let at = self.offset + self.at;
            zero::clear(&self.medium, at, head.len() as u64, self.fresh)
                .map_err(|error| self.fault("write", at, error))?;
        }
        self.head.extend_from_slice(head);
        self.place(rest, self.offset + self.at + head.len() as u64)?;
        self.digest(data);
        (self.at, self.bytes) = (end, self.bytes.max(end));
        let flushed = self.flush.wrote(&self.medium.file, self.offset + end);
        flushed.map_err(|(range, error)| self.not_taken(range, error))
    }

    fn finish(&mut self) -> Result<Delivered> {
        if let Err(fault) = self.settle() {
            self.unmake();
            return Err(fault);
        }
        self.ended = true;
        Ok(Delivered { bytes: self.bytes, ..Delivered::default() })
    }

    fn abort(&mut self, _: &Fault) {
        self.give_up();
    }
}

impl RawSink {
    /// The head may be written already when the end fails.
    fn unmake(&mut self) {
        let head = self.bytes.min(BLOCK as u64);
        let _ = zero::clear(&self.medium, self.offset, head, false);
        self.give_up();
    }
}

impl Drop for RawSink {
    fn drop(&mut self) {
        self.give_up();
    }
}
