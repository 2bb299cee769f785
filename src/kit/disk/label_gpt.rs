//! GPT read and written (UEFI 2.10 section 5.3).
//!
//! The gpt crate makes headers, entries and checksums. It renumbers partitions, believes any number in a header and
//! does not fall back to the second array, so what goes where is decided here, on areas held in memory.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use gpt::disk::LogicalBlockSize;
use gpt::header::{Header, HeaderBuilder, read_header_from_arbitrary_device};
use gpt::mbr::ProtectiveMBR;
use gpt::partition;

use super::table::read_at;
use super::{DiskId, Geometry, Kind, Label, Layout, Partition};
use crate::host::{Fault, Result};

/// More entries than any tool writes; a hostile header does not get to choose how much is read.
const MOST_ENTRIES: u32 = 1024;

/// In the warning about a backup header that a disk has outgrown.
pub(super) const ELSEWHERE: &str = "not at the end of the disk";

/// Bytes and where they go.
pub(super) type Area = (u64, Vec<u8>);

pub(super) fn read(file: &impl FileExt, geometry: Geometry) -> Result<Layout> {
    let primary = read_copy(file, geometry, 1);
    let (mut layout, warning) = match primary {
        Ok((layout, backup_lba)) => {
            let warning = match read_copy(file, geometry, backup_lba) {
                Err(fault) => Some(format!("backup GPT: {}", fault.message)),
                Ok((backup, _)) if backup.partitions != layout.partitions || backup.id != layout.id => {
                    Some("backup GPT: lists other partitions than the primary one".into())
                }
                Ok(_) if backup_lba != geometry.sectors - 1 => {
                    Some(format!("backup GPT: at sector {backup_lba}, {ELSEWHERE} (sector {})", geometry.sectors - 1))
                }
                Ok(_) => None,
            };
            (layout, warning)
        }
        Err(first) => match read_copy(file, geometry, geometry.sectors - 1) {
            Ok((layout, _)) => (layout, Some(format!("primary GPT: {}; the backup was read", first.message))),
            Err(second) => {
                let message = format!("the GPT is damaged: primary: {}; backup: {}", first.message, second.message);
                return Err(Fault::new("table.damaged", message)
                    .hint("`sgdisk --verify` looks closer; writing a new table replaces it"));
            }
        },
    };
    layout.warnings.extend(warning);
    layout.warnings.extend(super::flaws::flaws(&layout));
    Ok(layout)
}

/// Whether the primary header is whole.
pub(super) fn is_there(file: &impl FileExt, geometry: Geometry) -> bool {
    read_copy(file, geometry, 1).is_ok()
}

fn block(geometry: Geometry) -> LogicalBlockSize {
    if geometry.sector_size == 4096 { LogicalBlockSize::Lb4096 } else { LogicalBlockSize::Lb512 }
}

fn damaged(why: impl Into<String>) -> Fault {
    Fault::new("table.damaged", why)
}

/// One copy, by the sector of its header: all of it checked before any number in it is used.
fn read_copy(file: &impl FileExt, geometry: Geometry, lba: u64) -> Result<(Layout, u64)> {
    let unit = u64::from(geometry.sector_size);
    if lba == 0 || lba >= geometry.sectors {
        return Err(damaged(format!("its header is said to be at sector {lba} of {}", geometry.sectors)));
    }
    // The crate reads a header at the second sector of what it is given.
    let mut area = vec![0; unit as usize];
    area.extend(read_at(file, lba * unit, unit as usize)?);
    let header = read_header_from_arbitrary_device(&mut Cursor::new(&area), block(geometry))
        .map_err(|error| damaged(error.to_string()))?;
    if header.header_size_le != 92 || header.part_size != 128 || !(1..=MOST_ENTRIES).contains(&header.num_parts) {
        return Err(damaged(format!(
            "header of {} bytes with {} entries of {} bytes",
            header.header_size_le, header.num_parts, header.part_size
        )));
    }
    let array = geometry.array(header.num_parts);
    let array_end = header.part_start.checked_add(array);
    if header.current_lba != lba || header.part_start < 2 || array_end.is_none_or(|end| end > geometry.sectors) {
        return Err(damaged(format!(
            "header at sector {lba} points to {} and {}",
            header.current_lba, header.part_start
        )));
    }
    let bytes = read_at(file, header.part_start * unit, header.num_parts as usize * 128)?;
    let entries = partition::file_read_partitions(
        &mut Cursor::new(&bytes),
        &Header { part_start: 0, ..header.clone() },
        block(geometry),
    )
    .map_err(|error| damaged(error.to_string()))?;
    let (mut partitions, mut warnings) = (Vec::new(), Vec::new());
    for (number, entry) in entries.into_iter().filter(|(_, entry)| entry.is_used()) {
        let Ok(size) = entry.sectors_len() else {
            warnings.push(format!(
                "partition {number} ends at sector {} before it starts at {}: left out",
                entry.last_lba, entry.first_lba
            ));
            continue;
        };
        partitions.push(Partition {
            number,
            start: entry.first_lba,
            size,
            kind: Kind::Guid(entry.part_type_guid.guid),
            uuid: Some(entry.part_guid),
            name: entry.name,
            attrs: entry.flags,
        });
    }
    let layout = Layout {
        label: Label::Gpt,
        id: DiskId::Guid(header.disk_guid),
        geometry,
        first_usable: header.first_usable,
        last_usable: header.last_usable,
        entries: header.num_parts,
        partitions,
        device: None,
        warnings,
        changes: Vec::new(),
    };
    Ok((layout, header.backup_lba))
}

/// The areas that make up the table, in the order in which they are to be written: the backup first, so that at every
/// moment one whole copy stands. `boot` is the disk's first 512 bytes; its boot code and disk signature stay.
pub(super) fn areas(layout: &Layout, boot: &[u8]) -> Result<Vec<Area>> {
    let (geometry, unit) = (layout.geometry, layout.geometry.sector_size as usize);
    let array = geometry.array(layout.entries);
    let last = geometry.sectors - 1;
    let mut areas = Vec::new();
    for primary in [false, true] {
        let (part_start, at) = if primary { (2, 1) } else { (last - array, last) };
        let base = part_start.min(at);
        let mut window = Window { base: base * unit as u64, inner: Cursor::new(vec![0; (array as usize + 1) * unit]) };
        let mut header = header(layout, primary, last)?;
        header.part_start = part_start;
        for part in &layout.partitions {
            entry(part)
                .write_to_device(&mut window, u64::from(part.number) - 1, part_start, block(geometry), 128)
                .map_err(|error| failed(error.to_string()))?;
        }
        let written = if primary {
            header.write_primary(&mut window, block(geometry))
        } else {
            header.write_backup(&mut window, block(geometry))
        };
        written.map_err(|error| failed(error.to_string()))?;
        areas.push((window.base, window.inner.into_inner()));
    }
    // The protective partition covers the disk, or as much of it as 32 bits can say.
    let protective = ProtectiveMBR::with_lb_size(u32::try_from(last).unwrap_or(u32::MAX)).to_bytes();
    let mut sector = boot.to_vec();
    sector.get_mut(446..512).ok_or_else(|| failed("short boot sector"))?.copy_from_slice(&protective[446..]);
    areas.push((0, sector));
    Ok(areas)
}

fn failed(why: impl Into<String>) -> Fault {
    Fault::new("table.write", format!("cannot make GPT: {}", why.into()))
}

fn header(layout: &Layout, primary: bool, last: u64) -> Result<Header> {
    let DiskId::Guid(guid) = layout.id else { return Err(failed("the disk id is no GUID")) };
    let mut header = HeaderBuilder::new()
        .primary(primary)
        .disk_guid(guid)
        .backup_lba(last)
        .num_parts(layout.entries)
        .build(block(layout.geometry))
        .map_err(|error| failed(error.to_string()))?;
    header.num_parts = layout.entries;
    header.first_usable = layout.first_usable;
    header.last_usable = layout.last_usable;
    Ok(header)
}

fn entry(part: &Partition) -> partition::Partition {
    let mut entry = partition::Partition::zero();
    if let Kind::Guid(guid) = part.kind {
        entry.part_type_guid = guid.into();
    }
    entry.part_guid = part.uuid.unwrap_or_default();
    entry.first_lba = part.start;
    entry.last_lba = part.end() - 1;
    entry.flags = part.attrs;
    entry.name = part.name.clone();
    entry
}

/// A piece of a disk in memory, addressed as on the disk.
#[derive(Debug)]
struct Window {
    base: u64,
    inner: Cursor<Vec<u8>>,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Write for Window {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.inner.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let SeekFrom::Start(at) = to else { return Err(std::io::ErrorKind::Unsupported.into()) };
        let inside = at.checked_sub(self.base).ok_or(std::io::ErrorKind::InvalidInput)?;
        self.inner.seek(SeekFrom::Start(inside)).map(|inside| inside + self.base)
    }
}
