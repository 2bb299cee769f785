//! FAT12, FAT16 and FAT32 (Microsoft Extensible Firmware Initiative FAT32 File System Specification 1.03).

use super::probe::{Probe, Read, found, text};

/// Most of a root folder that is searched for the label, which stands first on any disk made by a tool.
const MOST_ROOT: u64 = 32 << 10;

struct Boot {
    bytes: Vec<u8>,
}

impl Boot {
    fn short(&self, at: usize) -> u64 {
        u64::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    fn long(&self, at: usize) -> u64 {
        self.short(at) | self.short(at + 2) << 16
    }

    fn is_fat(&self) -> bool {
        let jump = matches!((self.bytes[0], self.bytes[2]), (0xeb, 0x90) | (0xe9, _));
        let (sector, cluster, fats) = (self.short(11), self.bytes[13], self.bytes[16]);
        jump && matches!(sector, 512 | 1024 | 2048 | 4096)
            && cluster.is_power_of_two()
            && (1..=2).contains(&fats)
            && self.short(14) > 0
            && self.bytes[510..512] == [0x55, 0xaa]
    }
}

pub(super) fn vfat(read: &Read<'_>) -> Option<Probe> {
    let boot = Boot { bytes: read(0, 512)? };
    if !boot.is_fat() {
        return None;
    }
    let (sector, fats) = (boot.short(11), u64::from(boot.bytes[16]));
    let is_32 = boot.short(22) == 0 && boot.long(36) > 0;
    // FAT32 has a few fields more before serial number and label.
    let extended = if is_32 { 64 } else { 36 };
    let fat_size = if is_32 { boot.long(36) } else { boot.short(22) };
    let data = (boot.short(14) + fats * fat_size) * sector;
    let (root, length) = match is_32 {
        false => (data, boot.short(17) * 32),
        true => {
            let cluster = sector * u64::from(boot.bytes[13]);
            (data + boot.long(44).saturating_sub(2) * cluster, cluster)
        }
    };
    // Only with 0x29 the fields are there.
    let signed = boot.bytes[extended + 2] == 0x29;
    let label = volume_entry(read, root, length.min(MOST_ROOT));
    let label = label.or_else(|| signed.then(|| text(&boot.bytes[extended + 7..extended + 18])));
    let label = label.filter(|label| label != "NO NAME").unwrap_or_default();
    let serial = boot.long(extended + 3);
    let uuid = if signed { format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff) } else { String::new() };
    found("vfat", label, uuid)
}

/// The label as an entry of the root folder: attribute 8, and not a piece of a long name (15).
fn volume_entry(read: &Read<'_>, root: u64, length: u64) -> Option<String> {
    let folder = read(root, length as usize)?;
    let entries = folder.chunks_exact(32).take_while(|entry| entry[0] != 0);
    entries
        .filter(|entry| entry[0] != 0xe5 && entry[11] & 0x18 == 0x08 && entry[11] != 0x0f)
        .map(|e| text(&e[..11]))
        .next()
}
