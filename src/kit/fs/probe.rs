//! What a device holds, read from its superblocks.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

use super::{probe_fat, probe_ntfs};
use crate::host::{Fault, Result};

/// A filesystem or other content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// As mount(8) names it: ext2, ext3, ext4, xfs, btrfs, vfat, ntfs, swap, luks, lvm, iso9660, squashfs,
    /// bitlocker.
    pub kind: String,
    /// Empty when it has none.
    pub label: String,
    /// As blkid writes it: a UUID, `1A2B-3C4D` on vfat, 16 digits on ntfs. Empty when it has none.
    pub uuid: String,
}

/// Bytes at a place, or nothing where the device has none. Lengths are chosen here, never by what was read.
pub(super) type Read<'a> = dyn Fn(u64, usize) -> Option<Vec<u8>> + 'a;

/// What a device or image file holds; None for nothing known.
///
/// # Errors
/// `fs.open`: it cannot be read.
pub fn probe(device: &Path) -> Result<Option<Probe>> {
    let fail = |error| Fault::io("fs.open", format_args!("probe `{}`", device.display()), error);
    let file = File::open(device).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(std::io::ErrorKind::IsADirectory.into()));
    }
    Ok(find(&|offset, length| {
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, offset).ok().map(|()| buffer)
    }))
}

/// As [`probe`], of bytes in memory.
pub fn probe_bytes(bytes: &[u8]) -> Option<Probe> {
    find(&|offset, length| {
        let start = usize::try_from(offset).ok()?;
        bytes.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
    })
}

fn find(read: &Read<'_>) -> Option<Probe> {
    // Those with a long magic number first: FAT has next to none.
    let readers = [luks, lvm, xfs, btrfs, swap, ext, squashfs, iso9660, probe_ntfs::ntfs, probe_fat::vfat];
    readers.iter().find_map(|reader| reader(read))
}

pub(super) fn found(kind: &str, label: String, uuid: String) -> Option<Probe> {
    Some(Probe { kind: kind.to_string(), label, uuid })
}

/// A text in a field of fixed length: up to the first NUL, without blanks at its end.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).trim_end().to_string()
}

fn uuid(field: &[u8]) -> String {
    match Uuid::from_slice(field) {
        Ok(uuid) if !uuid.is_nil() => uuid.to_string(),
        _ => String::new(),
    }
}

fn long(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Linux, fs/ext4/ext4.h, `struct ext4_super_block`. The three kinds differ in features: a journal makes ext3, any
/// feature that ext3 does not know makes ext4.
fn ext(read: &Read<'_>) -> Option<Probe> {
    let block = read(1024, 1024)?;
    if block[56..58] != [0x53, 0xef] {
        return None;
    }
    const JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const INCOMPAT_EXT3: u32 = 0x2 | 0x4 | 0x10;
    const RO_COMPAT_EXT3: u32 = 0x1 | 0x2 | 0x4;
    let (compat, incompat, ro_compat) = (long(&block, 92), long(&block, 96), long(&block, 100));
    if incompat & JOURNAL_DEVICE != 0 {
        return None;
    }
    let kind = match (compat & JOURNAL != 0, incompat & !INCOMPAT_EXT3 | ro_compat & !RO_COMPAT_EXT3) {
        (_, 1..) => "ext4",
        (true, _) => "ext3",
        (false, _) => "ext2",
    };
    found(kind, text(&block[120..136]), uuid(&block[104..120]))
}

/// Linux, fs/xfs/libxfs/xfs_format.h, `struct xfs_dsb`.
fn xfs(read: &Read<'_>) -> Option<Probe> {
    let block = read(0, 512)?;
    (block[..4] == *b"XFSB").then(|| found("xfs", text(&block[108..120]), uuid(&block[32..48])))?
}

/// Linux, include/uapi/linux/btrfs_tree.h, `struct btrfs_super_block` at 64 KiB.
fn btrfs(read: &Read<'_>) -> Option<Probe> {
    let block = read(64 << 10, 1024)?;
    (block[64..72] == *b"_BHRfS_M").then(|| found("btrfs", text(&block[299..555]), uuid(&block[32..48])))?
}

/// Linux, include/linux/swap.h: the magic stands at the end of the first page, and pages differ in size.
fn swap(read: &Read<'_>) -> Option<Probe> {
    for page in [4096, 8192, 16384, 65536] {
        let magic = read(page - 10, 10)?;
        if magic == b"SWAPSPACE2" {
            let header = read(1024, 512)?;
            return found("swap", text(&header[28..44]), uuid(&header[12..28]));
        }
    }
    None
}

/// LUKS1 and LUKS2 on-disk formats: the UUID is text at byte 168 in both.
fn luks(read: &Read<'_>) -> Option<Probe> {
    let header = read(0, 512)?;
    let label = if header.get(6..8) == Some(&[0, 2]) { text(&header[24..72]) } else { String::new() };
    (header[..6] == *b"LUKS\xba\xbe").then(|| found("luks", label, text(&header[168..208])))?
}

/// LVM2, lib/format_text/layout.h: a label in one of the first four sectors; the UUID is 32 letters behind it.
fn lvm(read: &Read<'_>) -> Option<Probe> {
    for sector in 0..4 {
        let label = read(sector * 512, 512)?;
        if label[..8] == *b"LABELONE" && label[24..32] == *b"LVM2 001" {
            let letters = text(&label[32..64]);
            let cuts = [(0, 6), (6, 10), (10, 14), (14, 18), (18, 22), (22, 26), (26, 32)];
            let groups: Vec<&str> = cuts.iter().filter_map(|(from, to)| letters.get(*from..*to)).collect();
            return found("lvm", String::new(), groups.join("-"));
        }
    }
    None
}

/// Linux, fs/squashfs/squashfs_fs.h.
fn squashfs(read: &Read<'_>) -> Option<Probe> {
    let block = read(0, 96)?;
    (block[..4] == *b"hsqs" && block[28..30] == [4, 0]).then(|| found("squashfs", String::new(), String::new()))?
}

/// ECMA-119 section 8.4: the primary volume descriptor.
fn iso9660(read: &Read<'_>) -> Option<Probe> {
    let block = read(32 << 10, 128)?;
    (block[..6] == *b"\x01CD001").then(|| found("iso9660", text(&block[40..72]), String::new()))?
}
