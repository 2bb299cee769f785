//! MBR read and written, with extended and logical partitions.
//!
//! mbrman reads and makes single sectors. It places EBRs in 32 bit arithmetic (one past 4 GiB lands elsewhere on the
//! disk), so the chain of EBRs is walked and laid here.

use std::io::Cursor;
use std::os::unix::fs::FileExt;

use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

use super::label_gpt::Area;
use super::layout::BOOTABLE;
use super::table::read_at;
use super::{DiskId, Geometry, Kind, Label, Layout, Partition};
use crate::host::{Fault, Result};

/// More logical partitions than any system makes devices for.
const MOST_LOGICAL: usize = 124;

pub(super) enum Found {
    Nothing,
    Mbr,
    Protective { hybrid: bool },
}

fn parse(sector: &[u8]) -> Option<MBRHeader> {
    MBRHeader::read_from(&mut Cursor::new(sector.get(..512)?)).ok()
}

/// What the first sector is. The boot sector of a filesystem bears the same signature, without entries or with
/// entries that no table has.
pub(super) fn what(boot: &[u8]) -> Found {
    let Some(header) = parse(boot) else { return Found::Nothing };
    let used = header.iter().filter(|(_, entry)| entry.is_used()).count();
    if header.iter().any(|(_, entry)| entry.sys == 0xee) {
        return Found::Protective { hybrid: used > 1 };
    }
    let filesystem = [&boot[3..11] == b"NTFS    ", &boot[54..57] == b"FAT", &boot[82..85] == b"FAT"];
    if used == 0 && filesystem.contains(&true) { Found::Nothing } else { Found::Mbr }
}

pub(super) fn read(file: &impl FileExt, geometry: Geometry, boot: &[u8]) -> Result<Layout> {
    let damaged = || Fault::new("table.damaged", "the MBR cannot be read");
    let header = parse(boot).ok_or_else(damaged)?;
    let mut partitions = Vec::new();
    for (number, entry) in header.iter().filter(|(_, entry)| entry.is_used() && entry.sectors > 0) {
        partitions.push(partition(number as u32, 0, entry));
    }
    let (first_usable, last_usable) = geometry.usable(Label::Mbr, 128)?;
    let mut layout = Layout {
        label: Label::Mbr,
        id: DiskId::Signature(u32::from_le_bytes(header.disk_signature)),
        geometry,
        first_usable,
        last_usable,
        entries: 128,
        partitions,
        device: None,
        warnings: Vec::new(),
        changes: Vec::new(),
    };
    if let Some(extended) = layout.extended().cloned() {
        let chain = chain(file, geometry, &extended)?;
        layout.partitions.extend(chain.partitions);
        layout.warnings.extend(chain.broken);
    }
    layout.warnings.extend(super::flaws::flaws(&layout));
    Ok(layout)
}

fn partition(number: u32, base: u64, entry: &MBRPartitionEntry) -> Partition {
    Partition {
        number,
        start: base + u64::from(entry.starting_lba),
        size: entry.sectors.into(),
        kind: Kind::Byte(entry.sys),
        uuid: None,
        name: String::new(),
        attrs: if entry.boot == BOOT_ACTIVE { BOOTABLE } else { 0 },
    }
}

/// The chain of EBRs, as far as it goes.
pub(super) struct Chain {
    /// The sector of each.
    pub at: Vec<u64>,
    pub partitions: Vec<Partition>,
    /// Why it ended before its end.
    pub broken: Option<String>,
}

/// Walks the chain of EBRs. It ends at a link that leads out of the extended partition or back: with a warning, since
/// what was read so far is good.
pub(super) fn chain(file: &impl FileExt, geometry: Geometry, extended: &Partition) -> Result<Chain> {
    let mut chain = Chain { at: Vec::new(), partitions: Vec::new(), broken: None };
    let mut at = extended.start;
    loop {
        let why = if at < extended.start || at >= extended.end() || at >= geometry.sectors {
            Some("leads out of the extended partition".into())
        } else if chain.at.contains(&at) {
            Some(format!("leads back there after {} boot records: a loop", chain.at.len()))
        } else if chain.at.len() > MOST_LOGICAL {
            Some(format!("goes on after {MOST_LOGICAL} boot records"))
        } else {
            None
        };
        let broken = |why: &str| Some(format!("chain of logical partitions at sector {at}: {why}"));
        if let Some(why) = why {
            chain.broken = broken(&why);
            return Ok(chain);
        }
        let sector = read_at(file, at * u64::from(geometry.sector_size), 512)?;
        let Some(ebr) = parse(&sector) else {
            chain.broken = broken("no boot record there");
            return Ok(chain);
        };
        chain.at.push(at);
        // A deleted one leaves an empty entry; the kernel does not count it.
        if ebr.partition_1.sectors > 0 && ebr.partition_1.is_used() && !leads_on(&ebr.partition_1) {
            let number = 5 + chain.partitions.len() as u32;
            chain.partitions.push(partition(number, at, &ebr.partition_1));
        }
        if !leads_on(&ebr.partition_2) || ebr.partition_2.sectors == 0 {
            return Ok(chain);
        }
        at = extended.start + u64::from(ebr.partition_2.starting_lba);
    }
}

/// mbrman counts c5 and d5 among the extended types; Linux and sfdisk do not.
fn leads_on(entry: &MBRPartitionEntry) -> bool {
    Kind::Byte(entry.sys).is_extended()
}

/// The rules of extended and logical partitions, and where each EBR goes.
pub(super) fn check_extended(layout: &Layout) -> Result<()> {
    let fault = |message: String| Err(Fault::new("table.extended", message));
    let extended: Vec<_> = layout.partitions.iter().filter(|part| part.kind.is_extended()).collect();
    if let Some(part) = extended.iter().find(|part| part.number > 4) {
        return fault(format!("partition {} cannot be an extended one: it is logical itself", part.number));
    }
    if extended.len() > 1 {
        return fault(format!("{} extended partitions: a table has room for one", extended.len()));
    }
    let logical: Vec<_> = layout.partitions.iter().filter(|part| part.number > 4).collect();
    let Some(extended) = extended.first() else {
        return match logical.first() {
            Some(part) => fault(format!("partition {} is logical, but there is no extended partition", part.number)),
            None => Ok(()),
        };
    };
    if logical.len() > MOST_LOGICAL {
        return fault(format!("{} logical partitions: more than {MOST_LOGICAL}", logical.len()));
    }
    let mut numbers: Vec<u32> = logical.iter().map(|part| part.number).collect();
    numbers.sort_unstable();
    if let Some((index, number)) = numbers.iter().enumerate().find(|(index, number)| **number != 5 + *index as u32) {
        let message = format!("logical partition {number} comes after {}: they are counted without gaps", 4 + index);
        return Err(Fault::new("table.number", message));
    }
    if let Some(part) = logical.iter().find(|part| part.start <= extended.start || part.end() > extended.end()) {
        return fault(format!(
            "logical partition {} (sectors {} to {}) does not lie within the extended one (sectors {} to {})",
            part.number,
            part.start,
            part.end() - 1,
            extended.start,
            extended.end() - 1
        ));
    }
    ebr_places(layout, extended).map(|_| ())
}

/// The sector of each EBR, in the order of the numbers: the first at the start of the extended partition, the others
/// one step of alignment before their partition, or right behind the one before it where that is closer.
fn ebr_places(layout: &Layout, extended: &Partition) -> Result<Vec<(Partition, u64)>> {
    let mut logical: Vec<_> = layout.partitions.iter().filter(|part| part.number > 4).cloned().collect();
    logical.sort_by_key(|part| part.number);
    let mut places = Vec::new();
    for (index, part) in logical.iter().enumerate() {
        let before = logical.iter().filter(|other| other.end() <= part.start).map(Partition::end).max();
        let lowest = before.unwrap_or(extended.start).max(extended.start + u64::from(index > 0 && before.is_none()));
        let at = match index {
            0 => extended.start,
            _ => part.start.saturating_sub(layout.geometry.align()).max(lowest),
        };
        if at >= part.start || places.iter().any(|(_, taken)| *taken == at) {
            let message = format!("no free sector before logical partition {} for its boot record", part.number);
            return Err(Fault::new("table.extended", message).hint("leave 1 MiB before each logical partition"));
        }
        places.push((part.clone(), at));
    }
    Ok(places)
}

/// CHS in the usual 255 heads and 63 sectors; past its reach the highest value, as fdisk writes it.
fn chs(lba: u64) -> CHS {
    match u32::try_from(lba).ok().and_then(|lba| CHS::from_lba_exact(lba, 1023, 255, 63).ok()) {
        Some(chs) => chs,
        None => CHS::new(1023, 254, 63),
    }
}

fn entry(sys: u8, active: bool, start: u64, base: u64, size: u64) -> Result<MBRPartitionEntry> {
    let narrow = |value: u64| {
        u32::try_from(value)
            .map_err(|_| Fault::new("table.space", format!("sector {value} is past the reach of an MBR")))
    };
    Ok(MBRPartitionEntry {
        boot: if active { BOOT_ACTIVE } else { BOOT_INACTIVE },
        first_chs: chs(start),
        sys,
        last_chs: chs(start + size - 1),
        starting_lba: narrow(start - base)?,
        sectors: narrow(size)?,
    })
}

fn byte(kind: Kind) -> Result<u8> {
    match kind {
        Kind::Byte(byte) => Ok(byte),
        Kind::Guid(guid) => Err(Fault::new("table.kind", format!("an MBR has no partition type `{guid}`"))),
    }
}

/// The areas that make up the table: the EBRs first, so that the first sector never points to old ones. The boot code
/// in `boot` stays.
pub(super) fn areas(layout: &Layout, boot: &[u8]) -> Result<Vec<Area>> {
    let failed = |error: mbrman::Error| Fault::new("table.write", format!("cannot make MBR: {error}"));
    let unit = u64::from(layout.geometry.sector_size);
    let mut areas = Vec::new();
    if let Some(extended) = layout.extended() {
        let places = ebr_places(layout, extended)?;
        if places.is_empty() {
            areas.push((extended.start * unit, sector(&MBRHeader::new([0; 4])).map_err(failed)?));
        }
        for (index, (part, at)) in places.iter().enumerate() {
            let mut ebr = MBRHeader::new([0; 4]);
            ebr.partition_1 = entry(byte(part.kind)?, part.is_bootable(), part.start, *at, part.size)?;
            if let Some((next, next_at)) = places.get(index + 1) {
                ebr.partition_2 = entry(0x05, false, *next_at, extended.start, next.end() - next_at)?;
            }
            areas.push((at * unit, sector(&ebr).map_err(failed)?));
        }
    }
    let DiskId::Signature(signature) = layout.id else {
        return Err(Fault::new("table.id", "the disk id of an MBR is its signature"));
    };
    let mut header = MBRHeader::new(signature.to_le_bytes());
    for part in layout.partitions.iter().filter(|part| part.number <= 4) {
        if let Some(place) = header.get_mut(part.number as usize) {
            *place = entry(byte(part.kind)?, part.is_bootable(), part.start, 0, part.size)?;
        }
    }
    let mut first = sector(&header).map_err(failed)?;
    first[..440].copy_from_slice(&boot[..440]);
    areas.push((0, first));
    Ok(areas)
}

fn sector(header: &MBRHeader) -> mbrman::Result<Vec<u8>> {
    let mut cursor = Cursor::new(vec![0; 512]);
    header.write_into(&mut cursor)?;
    Ok(cursor.into_inner())
}
