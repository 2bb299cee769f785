//! A table as it stands on a disk, in sectors, and the rules it has to keep.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::{Kind, Label};
use crate::host::{Fault, Result, format_size};

/// Bit 2 of the GPT attributes, legacy BIOS bootable; stands for MBR's active flag too.
pub const BOOTABLE: u64 = 1 << 2;

/// What a table needs to know of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Geometry {
    /// Whole sectors.
    pub sectors: u64,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector_size: u32,
}

impl Geometry {
    /// Sectors in 1 MiB: what partitions are aligned to.
    pub fn align(&self) -> u64 {
        (1 << 20) / u64::from(self.sector_size)
    }

    /// Sectors of a GPT entry array.
    pub fn array(&self, entries: u32) -> u64 {
        (u64::from(entries) * 128).div_ceil(u64::from(self.sector_size))
    }

    /// The sectors that partitions may take, first and last.
    ///
    /// # Errors
    /// `table.space`: no table of this kind fits.
    pub fn usable(&self, label: Label, entries: u32) -> Result<(u64, u64)> {
        let (first, last) = match label {
            Label::Gpt => {
                let array = self.array(entries);
                (2 + array, self.sectors.saturating_sub(2 + array))
            }
            // Both fields of an entry are 32 bits wide.
            Label::Mbr => (1, self.sectors.saturating_sub(1).min(u64::from(u32::MAX))),
        };
        if first > last {
            let size = format_size(self.sectors.saturating_mul(self.sector_size.into()));
            return Err(Fault::new(
                "table.space",
                format!("a disk of {size} is too small for a {} table", label.name()),
            ));
        }
        Ok((first, last))
    }
}

/// What names the disk: GPT's GUID, MBR's signature in bytes 440-443.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskId {
    Guid(Uuid),
    Signature(u32),
}

impl DiskId {
    pub fn random(label: Label) -> Self {
        let uuid = Uuid::new_v4();
        match label {
            Label::Gpt => DiskId::Guid(uuid),
            Label::Mbr => DiskId::Signature((uuid.as_u128() as u32).max(1)),
        }
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskId::Guid(guid) => f.write_str(&guid.to_string().to_uppercase()),
            DiskId::Signature(signature) => write!(f, "0x{signature:08x}"),
        }
    }
}

/// One partition. Sectors are the disk's logical ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// From 1; on MBR 1 to 4 are primary, from 5 on logical.
    pub number: u32,
    pub start: u64,
    pub size: u64,
    pub kind: Kind,
    /// The partition's own GUID; only GPT has one.
    pub uuid: Option<Uuid>,
    /// At most 36 UTF-16 units. MBR has no room for it: there it lives as long as the value.
    pub name: String,
    /// GPT attribute bits; on MBR only [`BOOTABLE`].
    pub attrs: u64,
}

impl Partition {
    /// The sector after the last.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    pub fn is_bootable(&self) -> bool {
        self.attrs & BOOTABLE != 0
    }

    /// Number and name, as messages call it: `2 (root)`.
    pub fn title(&self) -> String {
        if self.name.is_empty() { self.number.to_string() } else { format!("{} ({})", self.number, self.name) }
    }
}

/// A whole table on a disk of known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub label: Label,
    pub id: DiskId,
    pub geometry: Geometry,
    /// First and last sector for partitions, both included.
    pub first_usable: u64,
    pub last_usable: u64,
    /// Places in a GPT entry array; 128 unless a disk says otherwise.
    pub entries: u32,
    /// By number, gaps allowed.
    pub partitions: Vec<Partition>,
    /// Where it was read, for the names in a dump.
    pub device: Option<String>,
    /// What the reader noticed though it could go on: a damaged copy, overlaps, a hybrid MBR.
    pub warnings: Vec<String>,
    /// What fitting, mending or copying did to it, in words; empty for a table as it was read.
    pub changes: Vec<String>,
}

impl Layout {
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|part| part.number == number)
    }

    /// MBR's extended partition.
    pub fn extended(&self) -> Option<&Partition> {
        self.partitions.iter().find(|part| part.number <= 4 && part.kind.is_extended())
    }

    pub fn bytes(&self, sectors: u64) -> u64 {
        sectors.saturating_mul(self.geometry.sector_size.into())
    }

    /// Alignment is a matter of speed, not of correctness: told, not refused.
    pub fn misaligned(&self) -> Vec<String> {
        let align = self.geometry.align();
        let off = self.partitions.iter().filter(|part| part.start % align != 0 && !part.kind.is_extended());
        off.map(|part| format!("partition {} starts at sector {}, no multiple of 1 MiB", part.number, part.start))
            .collect()
    }

    /// The rules that any tool may rely on: types that fit the label, numbers in range and once, everything within
    /// the usable sectors, nothing over another, logical partitions inside the extended one with room for the EBRs.
    ///
    /// # Errors
    /// `table.number`, `table.kind`, `table.name`, `table.space`, `table.overlap`, `table.extended`, `table.id`.
    pub fn check(&self) -> Result<()> {
        let (first, last) = self.geometry.usable(self.label, self.entries)?;
        if self.first_usable < first || self.last_usable > last || self.first_usable > self.last_usable {
            let message = format!(
                "usable sectors {} to {} do not lie within {first} to {last}",
                self.first_usable, self.last_usable
            );
            return Err(Fault::new("table.space", message));
        }
        self.check_id()?;
        let mut numbers = HashSet::new();
        for part in &self.partitions {
            if part.number == 0 || !numbers.insert(part.number) {
                return Err(Fault::new(
                    "table.number",
                    format!("partition number {} is 0 or given twice", part.number),
                ));
            }
            self.check_one(part)?;
        }
        if self.label == Label::Mbr {
            super::label_mbr::check_extended(self)?;
        }
        self.check_overlap()
    }

    fn check_id(&self) -> Result<()> {
        let fits = matches!((self.label, self.id), (Label::Gpt, DiskId::Guid(_)) | (Label::Mbr, DiskId::Signature(_)));
        if !fits {
            return Err(Fault::new("table.id", format!("a {} table has no disk id `{}`", self.label.name(), self.id)));
        }
        let mut uuids = HashSet::new();
        match self.partitions.iter().filter_map(|part| part.uuid).find(|uuid| !uuids.insert(*uuid)) {
            Some(twice) => Err(Fault::new("table.id", format!("two partitions have the same UUID {twice}"))),
            None => Ok(()),
        }
    }

    fn check_one(&self, part: &Partition) -> Result<()> {
        let number = part.number;
        let fits = match (self.label, part.kind) {
            (Label::Gpt, Kind::Guid(guid)) => !guid.is_nil() && part.uuid.is_some_and(|uuid| !uuid.is_nil()),
            (Label::Mbr, Kind::Byte(byte)) => byte != 0 && part.uuid.is_none() && part.attrs & !BOOTABLE == 0,
            _ => false,
        };
        if !fits {
            let message =
                format!("type, UUID or attributes of partition {number} do not fit a {} table", self.label.name());
            return Err(Fault::new("table.kind", message));
        }
        if self.label == Label::Gpt {
            if number > self.entries {
                let message = format!("partition number {number} is past the {} entries of the table", self.entries);
                return Err(Fault::new("table.number", message));
            }
            if part.name.encode_utf16().count() > 36 || part.name.contains('\0') {
                let message = format!("name `{}` of partition {number} is longer than 36 characters", part.name);
                return Err(Fault::new("table.name", message));
            }
        }
        let inside = part.start >= self.first_usable
            && part.start.checked_add(part.size).is_some_and(|end| end - 1 <= self.last_usable)
            && (self.label == Label::Gpt || part.size <= u64::from(u32::MAX));
        if part.size == 0 || !inside {
            let message = format!(
                "partition {number} (sector {}, {} sectors) does not lie within the usable sectors {} to {}",
                part.start, part.size, self.first_usable, self.last_usable
            );
            return Err(Fault::new("table.space", message));
        }
        Ok(())
    }

    fn check_overlap(&self) -> Result<()> {
        let mut parts: Vec<_> = self.partitions.iter().filter(|part| !part.kind.is_extended()).collect();
        parts.sort_by_key(|part| part.start);
        for pair in parts.windows(2) {
            if pair[0].end() > pair[1].start {
                return Err(overlap(pair[0], pair[1]));
            }
        }
        let Some(extended) = self.extended() else { return Ok(()) };
        match parts.iter().find(|p| p.number <= 4 && p.start < extended.end() && extended.start < p.end()) {
            Some(part) => Err(overlap(extended, part)),
            None => Ok(()),
        }
    }
}

pub(super) fn overlap(one: &Partition, other: &Partition) -> Fault {
    let message = format!(
        "partitions {} (sectors {} to {}) and {} (sectors {} to {}) overlap",
        one.number,
        one.start,
        one.end() - 1,
        other.number,
        other.start,
        other.end() - 1
    );
    Fault::new("table.overlap", message)
}
