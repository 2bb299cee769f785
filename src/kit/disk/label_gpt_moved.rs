//! A GPT put on another disk as it stands, with only those fields changed that say how big the disk is.

use std::os::unix::fs::FileExt;

use super::label_gpt::Area;
use super::table::read_at;
use super::{Geometry, Layout};
use crate::host::{Fault, Result};

/// Fields of a header, UEFI 2.10 table 5-5: bytes from its start.
const SIZE: usize = 12;
const CRC: usize = 16;
const MY_LBA: usize = 24;
const ALTERNATE_LBA: usize = 32;
const LAST_USABLE_LBA: usize = 48;
const ENTRY_LBA: usize = 72;

/// Both headers and arrays of the primary GPT of `file`, for a disk of `target`: backup first. Reserved bytes, unused
/// entries and the place of the primary array stay; where the disk is as big, so do the bytes of the backup.
///
/// # Errors
/// `table.read`; `table.damaged`: the primary copy, which the caller found to be good, is not.
pub(super) fn moved(file: &impl FileExt, layout: &Layout, target: Geometry) -> Result<Vec<Area>> {
    let unit = u64::from(target.sector_size);
    let array = target.array(layout.entries);
    let (_, last_usable) = target.usable(layout.label, layout.entries)?;
    let last = target.sectors - 1;
    let old = read_at(file, unit, unit as usize)?;
    let field = |header: &[u8], at: usize| {
        let bytes = header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or_else(|| Fault::new("table.damaged", "the primary GPT header is short"))
    };
    let entries_at = field(&old, ENTRY_LBA)?;
    let entries = read_at(file, entries_at.saturating_mul(unit), (array * unit) as usize)?;
    let same = target == layout.geometry && field(&old, ALTERNATE_LBA)? == last;
    let mut primary = old.clone();
    let mut backup = old.clone();
    let (mut backup_at, mut copies) = (last - array, entries.clone());
    if same {
        backup = read_at(file, last * unit, unit as usize)?;
        backup_at = field(&backup, ENTRY_LBA)?;
        copies = read_at(file, backup_at.saturating_mul(unit), (array * unit) as usize)?;
    } else {
        for (header, my, other, place) in [(&mut primary, 1, last, entries_at), (&mut backup, last, 1, last - array)] {
            let new = [(MY_LBA, my), (ALTERNATE_LBA, other), (LAST_USABLE_LBA, last_usable), (ENTRY_LBA, place)];
            for (at, value) in new {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            seal(header)?;
        }
    }
    Ok(vec![(backup_at * unit, copies), (last * unit, backup), (entries_at * unit, entries), (unit, primary)])
}

/// The checksum of a header covers as many bytes as it says it has.
fn seal(header: &mut [u8]) -> Result<()> {
    header[CRC..CRC + 4].fill(0);
    let size = u32::from_le_bytes([header[SIZE], header[SIZE + 1], header[SIZE + 2], header[SIZE + 3]]) as usize;
    let covered = header.get(..size).ok_or_else(|| Fault::new("table.damaged", "GPT header longer than a sector"))?;
    let crc = crc32fast::hash(covered);
    header[CRC..CRC + 4].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Makes a protective entry that covered the old disk, or goes past the new one, cover the new one; one that says
/// "as much as there is" stays. Entries of a hybrid stay. True when a byte changed.
pub(super) fn stretch_protective(sector: &mut [u8], old: Geometry, new: Geometry) -> bool {
    let mut changed = false;
    for entry in sector[446..510].chunks_exact_mut(16).filter(|entry| entry[4] == 0xee) {
        let start = u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]);
        let size = u32::from_le_bytes([entry[12], entry[13], entry[14], entry[15]]);
        let end = u64::from(start) + u64::from(size);
        if size != u32::MAX && (end == old.sectors || end > new.sectors) {
            let covers = new.sectors.saturating_sub(start.into());
            entry[12..].copy_from_slice(&u32::try_from(covers).unwrap_or(u32::MAX).to_le_bytes());
            changed = true;
        }
    }
    changed
}
