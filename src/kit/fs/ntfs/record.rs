//! A record of the master file table, and the attributes in it (Linux, fs/ntfs3/ntfs.h).

use super::field::{long, quad, short, unfixed};

/// A stretch of a file: clusters from `first` of the file on lie at `at` of the volume; None: a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub first: u64,
    pub count: u64,
    pub at: Option<u64>,
}

pub(super) struct Record(Vec<u8>);

/// One attribute, its header included.
#[derive(Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub kind: u32,
    bytes: &'a [u8],
}

impl Record {
    pub fn parse(bytes: Vec<u8>) -> Option<Record> {
        unfixed(b"FILE", bytes).map(Record)
    }

    pub fn in_use(&self) -> bool {
        short(&self.0, 22).is_some_and(|flags| flags & 1 != 0)
    }

    /// Counts how often the record was given to another file.
    pub fn sequence(&self) -> Option<u64> {
        short(&self.0, 16).map(|number| number as u64)
    }

    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        let mut at = short(&self.0, 20).unwrap_or(usize::MAX);
        std::iter::from_fn(move || {
            let (kind, length) = (long(&self.0, at)?, long(&self.0, at.checked_add(4)?)?);
            let bytes = self.0.get(at..at.checked_add(length)?).filter(|_| kind != 0xffff_ffff && length >= 16)?;
            at += length;
            Some(Attribute { kind: kind as u32, bytes })
        })
    }
}

impl<'a> Attribute<'a> {
    /// Of an attribute that lies in the record itself.
    pub fn resident(self) -> Option<&'a [u8]> {
        let (size, start) = (long(self.bytes, 16)?, short(self.bytes, 20)?);
        (self.bytes[8] == 0).then(|| self.bytes.get(start..start.checked_add(size)?))?
    }

    /// Named `name`, in the letters that NTFS itself uses for names.
    pub fn is(self, kind: u32, name: &str) -> bool {
        let (length, start) = (usize::from(self.bytes[9]), short(self.bytes, 10));
        let own = start.and_then(|start| self.bytes.get(start..start.checked_add(2 * length)?)).unwrap_or_default();
        self.kind == kind
            && (length == 0) == name.is_empty()
            && name.encode_utf16().flat_map(u16::to_le_bytes).eq(own.iter().copied())
    }

    /// Bytes in all, where it lies outside the record and this is its first piece.
    pub fn size(self) -> Option<u64> {
        (self.bytes[8] == 1).then(|| quad(self.bytes, 48))?
    }

    /// Compressed or encrypted: what lies on the disk is not what the file holds.
    pub fn is_coded(self) -> bool {
        short(self.bytes, 12).is_none_or(|flags| flags & 0x40ff != 0)
    }

    /// The clusters it lies in.
    pub fn runs(self) -> Option<Vec<Run>> {
        let mut first = quad(self.bytes, 16)?;
        let mut rest = self.bytes.get(short(self.bytes, 32)?..)?;
        let mut place = 0i64;
        let mut runs = Vec::new();
        while let Some((head, after)) = rest.split_first().filter(|(head, _)| **head != 0) {
            let (count_bytes, place_bytes) = (usize::from(head & 15), usize::from(head >> 4));
            let (count, after) = number(after, count_bytes)?;
            let (step, after) = number(after, place_bytes)?;
            let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
            place = place.checked_add(step)?;
            let at = if place_bytes == 0 { None } else { Some(u64::try_from(place).ok()?) };
            runs.push(Run { first, count, at });
            first = first.checked_add(count)?;
            rest = after;
        }
        Some(runs)
    }
}

/// A signed number of up to 8 bytes, and what stands behind it.
fn number(bytes: &[u8], length: usize) -> Option<(i64, &[u8])> {
    let (own, rest) = bytes.split_at_checked(length).filter(|_| length <= 8)?;
    let negative = own.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..length].copy_from_slice(own);
    Some((i64::from_le_bytes(whole), rest))
}
