//! NTFS: the boot sector, and the label out of the file `$Volume` (Linux, fs/ntfs3/ntfs.h).

use super::ntfs::field::{long, power_or, short, unfixed};
use super::probe::{Probe, Read, found};

pub(super) fn ntfs(read: &Read<'_>) -> Option<Probe> {
    let boot = read(0, 512)?;
    // BitLocker keeps the boot sector's form and puts its own name there.
    if boot[3..11] == *b"-FVE-FS-" {
        return found("bitlocker", String::new(), String::new());
    }
    if boot[3..11] != *b"NTFS    " {
        return None;
    }
    let serial = u64::from_le_bytes(boot[72..80].try_into().ok()?);
    found("ntfs", label(read, &boot).unwrap_or_default(), format!("{serial:016X}"))
}

fn label(read: &Read<'_>, boot: &[u8]) -> Option<String> {
    let sector = short(boot, 11)? as u64;
    // A value above 0x80 is the negated power of two of the size.
    let cluster = match boot[13] {
        power @ 0xe0.. => sector.checked_shl(256 - u32::from(power))?,
        sectors => sector * u64::from(sectors),
    };
    let record = power_or(boot[64], cluster)?;
    if ![512, 1024, 2048, 4096].contains(&record) {
        return None;
    }
    let table = u64::from_le_bytes(boot[48..56].try_into().ok()?).checked_mul(cluster)?;
    // `$Volume` is file 3.
    let bytes = unfixed(b"FILE", read(table.checked_add(3 * record)?, record as usize)?)?;
    let mut at = short(&bytes, 20)?;
    loop {
        let (kind, length) = (long(&bytes, at)?, long(&bytes, at.checked_add(4)?)?);
        let attribute = bytes.get(at..at.checked_add(length)?)?;
        match kind {
            0x60 if *attribute.get(8)? == 0 => {
                let (size, start) = (long(attribute, 16)?, short(attribute, 20)?);
                let name = attribute.get(start..start.checked_add(size)?)?;
                let units = name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                return Some(char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect());
            }
            0xffff_ffff => return None,
            _ if length < 16 => return None,
            _ => at += length,
        }
    }
}
