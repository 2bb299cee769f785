//! The files of an NTFS that tell its state, read without mounting it.

use super::super::probe::Read;
use super::field::{long, power_or, quad, short, unfixed};
use super::record::{Record, Run};

/// Files of fixed number.
pub(super) const LOG: u64 = 2;
pub(super) const VOLUME: u64 = 3;
pub(super) const ROOT: u64 = 5;
pub(super) const BITMAP: u64 = 6;

/// Kinds of attributes.
const ATTRIBUTE_LIST: u32 = 0x20;
const DATA: u32 = 0x80;
const INDEX_ROOT: u32 = 0x90;
const INDEX_ALLOCATION: u32 = 0xa0;
const INDEX_BITMAP: u32 = 0xb0;

/// More than any list of attributes, and than any root folder, has.
const MOST_OF_A_LIST: u64 = 256 << 10;
const MOST_OF_A_FOLDER: u64 = 64 << 20;

pub(super) struct Volume<'a> {
    read: &'a Read<'a>,
    pub cluster: u64,
    /// Clusters of the volume; one sector behind them holds the copy of the boot sector.
    pub clusters: u64,
    /// Bytes of the volume with that sector.
    pub size: u64,
    record: usize,
    block: usize,
    table: Vec<Run>,
}

/// What a file holds: its bytes, or where they lie.
pub(super) enum Content {
    Inside(Vec<u8>),
    Outside { runs: Vec<Run>, size: u64, coded: bool },
}

impl Content {
    pub fn size(&self) -> u64 {
        match self {
            Content::Inside(bytes) => bytes.len() as u64,
            Content::Outside { size, .. } => *size,
        }
    }
}

impl<'a> Volume<'a> {
    /// None: no NTFS, or nothing that can be believed.
    pub fn open(read: &'a Read<'a>) -> Option<Volume<'a>> {
        let boot = read(0, 512)?;
        if boot[3..11] != *b"NTFS    " {
            return None;
        }
        let sector = short(&boot, 11)? as u64;
        let sectors = quad(&boot, 40)?;
        let cluster = match boot[13] {
            power @ 0xe0.. => sector.checked_shl(256 - u32::from(power))?,
            count => sector * u64::from(count),
        };
        let good = |size: u64, most: u64| size.is_power_of_two() && (512..=most).contains(&size);
        let (record, block) = (power_or(boot[64], cluster)?, power_or(boot[68], cluster)?);
        if !good(sector, 4096) || !good(cluster, 2 << 20) || !good(record, 4096) || !good(block, 64 << 10) {
            return None;
        }
        let size = sectors.checked_add(1)?.checked_mul(sector)?;
        let place = quad(&boot, 48)?;
        let mut volume = Volume {
            read,
            cluster,
            clusters: sectors.checked_mul(sector)? / cluster,
            size,
            record: record as usize,
            block: block as usize,
            // The table's own record says where the rest of it is.
            table: vec![Run { first: 0, count: (record * 16).div_ceil(cluster), at: Some(place) }],
        };
        // Twice: pieces of a scattered table are named in records that the first pieces hold.
        for _ in 0..2 {
            let Content::Outside { runs, .. } = volume.content(0, DATA, "")? else { return None };
            volume.table = runs;
        }
        Some(volume)
    }

    fn record(&self, number: u64) -> Option<Record> {
        let bytes = self.along(&self.table, number.checked_mul(self.record as u64)?, self.record)?;
        Record::parse(bytes)
    }

    /// An attribute of a file, put together from all records it is spread over.
    fn content(&self, number: u64, kind: u32, name: &str) -> Option<Content> {
        let base = self.record(number)?;
        let list = match base.attributes().find(|attribute| attribute.kind == ATTRIBUTE_LIST) {
            None => Vec::new(),
            Some(list) => match list.resident() {
                Some(bytes) => bytes.to_vec(),
                None => {
                    let size = list.size().filter(|size| *size <= MOST_OF_A_LIST)?;
                    self.along(&list.runs()?, 0, size as usize)?
                }
            },
        };
        let mut others = Vec::new();
        let mut at = 0;
        while let (Some(own), Some(length)) = (long(&list, at), short(&list, at + 4)) {
            let other = quad(&list, at + 16)? & 0xffff_ffff_ffff;
            if own as u32 == kind && other != number && !others.contains(&other) {
                others.push(other);
            }
            at += length.max(26);
        }
        let mut records = vec![base];
        for other in others {
            // Pieces of the table that are named in pieces not known yet come the second time.
            match self.record(other) {
                Some(record) => records.push(record),
                None if number == 0 => {}
                None => return None,
            }
        }
        let (mut runs, mut size, mut coded) = (Vec::new(), None, false);
        for attribute in records.iter().flat_map(Record::attributes).filter(|attribute| attribute.is(kind, name)) {
            if let Some(bytes) = attribute.resident() {
                return Some(Content::Inside(bytes.to_vec()));
            }
            let pieces = attribute.runs()?;
            // Only the first piece says how big the whole is.
            if pieces.first().is_none_or(|run| run.first == 0) {
                size = attribute.size();
                coded = attribute.is_coded();
            }
            runs.extend(pieces);
        }
        runs.sort_by_key(|run| run.first);
        Some(Content::Outside { runs, size: size?, coded })
    }

    /// The unnamed data of a file; None: it has none, or is damaged.
    pub fn data(&self, number: u64) -> Option<Content> {
        self.content(number, DATA, "")
    }

    /// An attribute of `$Volume` that lies in its record.
    pub fn of_volume(&self, kind: u32) -> Option<Vec<u8>> {
        let record = self.record(VOLUME)?;
        record.attributes().find(|attribute| attribute.kind == kind)?.resident().map(<[u8]>::to_vec)
    }

    /// Up to `length` bytes of a content from `offset` on.
    pub fn bytes(&self, content: &Content, offset: u64, length: usize) -> Option<Vec<u8>> {
        let length = length.min(usize::try_from(content.size().checked_sub(offset)?).unwrap_or(usize::MAX));
        match content {
            Content::Inside(bytes) => {
                let start = usize::try_from(offset).ok()?;
                bytes.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
            }
            Content::Outside { coded: true, .. } => None,
            Content::Outside { runs, .. } => self.along(runs, offset, length),
        }
    }

    /// `length` bytes of a file that lies in `runs`. Callers bound the length.
    fn along(&self, runs: &[Run], offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let at = offset.checked_add(bytes.len() as u64)?;
            let (cluster, within) = (at / self.cluster, at % self.cluster);
            let run = runs.iter().find(|run| run.first <= cluster && cluster - run.first < run.count)?;
            let left = run.first.checked_add(run.count)?.checked_sub(cluster)?.checked_mul(self.cluster)? - within;
            let count = (length - bytes.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
            match run.at {
                None => bytes.resize(bytes.len() + count, 0),
                Some(place) => {
                    let place = place.checked_add(cluster - run.first).filter(|place| *place < self.clusters)?;
                    bytes.extend((self.read)(place.checked_mul(self.cluster)?.checked_add(within)?, count)?);
                }
            }
        }
        Some(bytes)
    }

    /// The number of a file in the root folder. `Err` where the folder cannot be read.
    pub fn in_root(&self, name: &str) -> Result<Option<u64>, ()> {
        let look = |entries: &[u8]| found(entries, name).filter(|reference| self.stands(*reference));
        let Some(Content::Inside(root)) = self.content(ROOT, INDEX_ROOT, "$I30") else { return Err(()) };
        let start = long(&root, 16).map_or(usize::MAX, |offset| offset.saturating_add(16));
        let large = root.get(28).is_some_and(|flags| flags & 1 != 0);
        if let Some(reference) = look(root.get(start..).ok_or(())?) {
            return Ok(Some(reference & 0xffff_ffff_ffff));
        }
        if !large {
            return Ok(None);
        }
        let blocks = self.content(ROOT, INDEX_ALLOCATION, "$I30").ok_or(())?;
        let count = Some(blocks.size()).filter(|size| *size <= MOST_OF_A_FOLDER).ok_or(())? / self.block as u64;
        let used = self.content(ROOT, INDEX_BITMAP, "$I30");
        let used = used.and_then(|bits| self.bytes(&bits, 0, count as usize / 8 + 1)).ok_or(())?;
        for number in 0..count {
            // What stands in a block that is free now was there once.
            if used.get(number as usize / 8).is_none_or(|bits| bits >> (number % 8) & 1 == 0) {
                continue;
            }
            let block = self.bytes(&blocks, number * self.block as u64, self.block);
            let block = block.and_then(|bytes| unfixed(b"INDX", bytes)).ok_or(())?;
            let (start, end) = (long(&block, 24).ok_or(())?, long(&block, 28).ok_or(())?);
            let entries = block.get(start.saturating_add(24)..end.saturating_add(24)).ok_or(())?;
            if let Some(reference) = look(entries) {
                return Ok(Some(reference & 0xffff_ffff_ffff));
            }
        }
        Ok(None)
    }

    /// Whether the file that a reference means is still that one.
    fn stands(&self, reference: u64) -> bool {
        let record = self.record(reference & 0xffff_ffff_ffff);
        record.is_some_and(|record| record.in_use() && record.sequence() == Some(reference >> 48))
    }
}

/// The reference of the entry with this name, without regard to case.
fn found(entries: &[u8], name: &str) -> Option<u64> {
    let mut at = 0;
    loop {
        let (length, flags) = (short(entries, at + 8)?, short(entries, at + 12)?);
        if flags & 2 != 0 {
            return None;
        }
        let letters = usize::from(*entries.get(at + 16 + 64)?);
        let own = entries.get(at + 82..at + 82 + 2 * letters)?;
        let own = own.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let lower = |unit: u16| char::from_u32(unit.into()).map_or('\u{fffd}', |letter| letter.to_ascii_lowercase());
        if own.map(lower).eq(name.chars()) {
            return quad(entries, at);
        }
        at = at.checked_add(length.max(16))?;
    }
}
