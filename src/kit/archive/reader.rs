//! The parser: members of an archive, one after the other, from a stream.

use std::io::BufRead;

use super::header::{self, Block};
use super::pax::Pax;
use super::{BLOCK, Entry, number, padding};
use crate::host::{Fault, Result};

/// Longest extended header or long name that is taken; a header with the largest attributes the kernel has is
/// about 1 MiB.
const MOST_RECORDS: u64 = 16 << 20;

/// Reads v7, ustar, pax, GNU and star archives. Nothing in them is trusted: numbers are checked before they are
/// used, memory grows only with what was really read.
///
/// All faults are `tar.format` (no archive, or a damaged one) or `tar.truncated`, and name the offset in the stream.
pub struct Reader<R> {
    input: R,
    /// Bytes of the archive taken.
    pub(super) offset: u64,
    global: Pax,
    /// Data and padding of the current member that nobody has read yet.
    pub(super) left: u64,
    padding: u64,
    pub(super) warnings: Vec<String>,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        let global = Pax::default();
        Reader { input, offset: 0, global, left: 0, padding: 0, warnings: Vec::new(), ended: false }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The next member; its data that was not read is skipped. `None` at the mark that ends an archive; without
    /// that mark it is a fault, since an archive cut between two members looks whole otherwise.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip_data()?;
        let mut local: Option<Pax> = None;
        let (mut long_path, mut long_target) = (None, None);
        loop {
            let at = self.offset;
            let Some(block) = self.header()? else { return Ok(None) };
            let size = self.size_of(&block, at)?;
            match block[header::TYPE] {
                b'x' | b'X' => {
                    let records = self.records(size)?;
                    let mut pax = local.take().unwrap_or_else(|| self.global.clone());
                    pax.apply(&records).map_err(|why| damaged(at, why))?;
                    local = Some(pax);
                }
                b'g' => {
                    let records = self.records(size)?;
                    self.global.apply(&records).map_err(|why| damaged(at, why))?;
                }
                b'L' => long_path = Some(self.long_name(size)?),
                b'K' => long_target = Some(self.long_name(size)?),
                b'V' => {
                    // A volume label. What GNU tar stores with one belongs to nobody.
                    self.set_data(size);
                    self.skip_data()?;
                }
                b'M' | b'N' => {
                    let what = "a part of a multi-volume archive cannot be unpacked alone";
                    return Err(damaged(at, what.to_string()));
                }
                _ => {
                    let mut pax = local.unwrap_or_else(|| self.global.clone());
                    pax.path = long_path.or(pax.path);
                    pax.target = long_target.or(pax.target);
                    return self.member(&block, size, pax, at).map(Some);
                }
            }
        }
    }

    /// A header, or `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Block>> {
        let at = self.offset;
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            BLOCK => {}
            0 if at == 0 => return Err(truncated(at, "the stream is empty, not an archive")),
            0 => return Err(truncated(at, "the archive has no end mark")),
            _ => return Err(truncated(self.offset, "the archive ends within a header")),
        }
        if block == [0; BLOCK] {
            match self.fill(&mut block)? {
                BLOCK if block == [0; BLOCK] => {}
                0 => self.warnings.push(format!("the archive ends with one zero block instead of two, at {at}")),
                BLOCK => return Err(damaged(at, "a zero block stands where a header belongs".to_string())),
                _ => return Err(truncated(self.offset, "the archive ends within its end mark")),
            }
            self.ended = true;
            return Ok(None);
        }
        if !header::is_sealed(&block) {
            let what = if at == 0 { "this is not a tar archive" } else { "the header's checksum is wrong" };
            return Err(damaged(at, what.to_string()));
        }
        Ok(Some(block))
    }

    fn size_of(&self, block: &Block, at: u64) -> Result<u64> {
        let size = number::read(&block[header::SIZE]).and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| damaged(at, "the size is not a number of bytes".to_string()))
    }

    pub(super) fn set_data(&mut self, size: u64) {
        self.left = size;
        self.padding = padding(size) as u64;
    }

    fn records(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MOST_RECORDS {
            return Err(damaged(self.offset, format!("an extended header claims {size} bytes")));
        }
        self.set_data(size);
        let mut records = Vec::new();
        self.data(size, |chunk| {
            records.extend_from_slice(chunk);
            Ok(())
        })?;
        self.skip_data()?;
        Ok(records)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut name = self.records(size)?;
        name.truncate(header::text(&name).len());
        Ok(name)
    }

    /// Hands the next `length` bytes of the member's data to `take`, piece by piece.
    pub fn data(&mut self, length: u64, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut wanted = length.min(self.left);
        while wanted > 0 {
            let chunk = self.input.fill_buf().map_err(|error| unreadable(self.offset, error))?;
            if chunk.is_empty() {
                return Err(truncated(self.offset, &format!("{} bytes of a member are missing", self.left)));
            }
            let count = chunk.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
            take(&chunk[..count])?;
            self.input.consume(count);
            self.offset += count as u64;
            self.left -= count as u64;
            wanted -= count as u64;
        }
        Ok(())
    }

    fn skip_data(&mut self) -> Result<()> {
        self.data(self.left, |_| Ok(()))?;
        self.left = std::mem::take(&mut self.padding);
        self.data(self.left, |_| Ok(()))
    }

    /// Takes what stands behind the end of the archive: tar pads to records of 10 KiB.
    pub fn drain(&mut self) -> Result<()> {
        loop {
            let length = self.input.fill_buf().map_err(|error| unreadable(self.offset, error))?.len();
            if length == 0 {
                return Ok(());
            }
            self.input.consume(length);
            self.offset += length as u64;
        }
    }

    pub(super) fn fill(&mut self, block: &mut Block) -> Result<usize> {
        let mut filled = 0;
        while filled < BLOCK {
            let chunk = self.input.fill_buf().map_err(|error| unreadable(self.offset, error))?;
            if chunk.is_empty() {
                break;
            }
            let count = chunk.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&chunk[..count]);
            self.input.consume(count);
            self.offset += count as u64;
            filled += count;
        }
        Ok(filled)
    }
}

pub(super) fn damaged(offset: u64, why: String) -> Fault {
    Fault::new("tar.format", format!("cannot read the archive at byte {offset}: {why}"))
}

pub(super) fn truncated(offset: u64, why: &str) -> Fault {
    Fault::new("tar.truncated", format!("the archive is cut short at byte {offset}: {why}"))
}

/// A fault that travelled inside an I/O error comes out as it was.
fn unreadable(offset: u64, error: std::io::Error) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) => Fault::io("tar.read", format_args!("read the archive at byte {offset}"), error),
    }
}
