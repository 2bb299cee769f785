//! Clears what makes a disk look like something: tables and signatures.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

use super::{DiskId, Geometry, Label, Layout};

/// Everything that programs look for lies in the first or last MiB: filesystems, LVM, arrays (1.0 at the end, 0.90
/// within the last 128 KiB), both GPTs. The second copy of a btrfs superblock lies at 64 MiB.
const EDGE: u64 = 1 << 20;
const BTRFS_COPY: u64 = 64 << 20;

/// Clears the signatures of both GPT headers, where they stand.
pub(super) fn gpt(file: &File, geometry: Geometry) -> Result<()> {
    let unit = u64::from(geometry.sector_size);
    for lba in [1, geometry.sectors - 1] {
        let mut signature = [0; 8];
        file.read_exact_at(&mut signature, lba * unit)?;
        if &signature == b"EFI PART" {
            file.write_all_at(&vec![0; unit as usize], lba * unit)?;
        }
    }
    Ok(())
}

pub(super) fn all(file: &File, size: u64, layout: Option<&Layout>) -> Result<()> {
    // The partitions first: after the table is gone nobody knows where they were.
    if let Some(layout) = layout {
        for part in &layout.partitions {
            edges(file, layout.bytes(part.start), layout.bytes(part.size), size)?;
        }
    }
    edges(file, 0, size, size)
}

fn edges(file: &File, start: u64, length: u64, size: u64) -> Result<()> {
    let end = start.saturating_add(length).min(size);
    zero(file, start, end.min(start.saturating_add(EDGE)))?;
    zero(file, end.saturating_sub(EDGE).max(start), end)?;
    zero(file, start.saturating_add(BTRFS_COPY), end.min(start.saturating_add(BTRFS_COPY + 4096)))
}

/// Zeros what is not zero yet: a sparse image stays sparse.
fn zero(file: &File, start: u64, end: u64) -> Result<()> {
    let zeros = [0; 4096];
    let mut at = start;
    while at < end {
        let length = (end - at).min(4096) as usize;
        let mut found = [0; 4096];
        file.read_exact_at(&mut found[..length], at)?;
        if found[..length] != zeros[..length] {
            file.write_all_at(&zeros[..length], at)?;
        }
        at += length as u64;
    }
    Ok(())
}

/// The layout of a disk without a table.
pub(super) fn nothing(geometry: Geometry) -> Layout {
    Layout {
        label: Label::Mbr,
        id: DiskId::Signature(0),
        geometry,
        first_usable: 1,
        last_usable: geometry.sectors,
        entries: 128,
        partitions: Vec::new(),
        device: None,
        warnings: Vec::new(),
        changes: Vec::new(),
    }
}
