//! NTFS: the boot sector, and the label out of the file `$Volume` (Linux, fs/ntfs3/ntfs.h).

use super::probe::{Probe, Read, found};

pub(super) fn ntfs(read: &Read<'_>) -> Option<Probe> {
    let boot = read(0, 512)?;
    if boot[3..11] != *b"NTFS    " {
        return None;
    }
    let serial = u64::from_le_bytes(boot[72..80].try_into().ok()?);
    found("ntfs", label(read, &boot).unwrap_or_default(), format!("{serial:016X}"))
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at.checked_add(2)?).map(|field| usize::from(u16::from_le_bytes([field[0], field[1]])))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    Some(short(bytes, at)? | short(bytes, at.checked_add(2)?)? << 16)
}

fn label(read: &Read<'_>, boot: &[u8]) -> Option<String> {
    let sector = short(boot, 11)? as u64;
    // A value above 0x80 is the negated power of two of the size.
    let cluster = match boot[13] {
        power @ 0xe0.. => sector.checked_shl(256 - u32::from(power))?,
        sectors => sector * u64::from(sectors),
    };
    let record = match boot[64] as i8 {
        power @ -16..0 => 1u64 << -i32::from(power),
        clusters => cluster.checked_mul(u64::try_from(clusters).ok()?)?,
    };
    if ![512, 1024, 2048, 4096].contains(&record) {
        return None;
    }
    let table = u64::from_le_bytes(boot[48..56].try_into().ok()?).checked_mul(cluster)?;
    // `$Volume` is file 3.
    let bytes = unfixed(read(table.checked_add(3 * record)?, record as usize)?)?;
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

/// The last two bytes of each 512 are kept in a list at the front of the record; puts them back.
fn unfixed(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    if bytes.get(..4)? != b"FILE" {
        return None;
    }
    let (list, count) = (short(&bytes, 4)?, short(&bytes, 6)?);
    for sector in 1..count {
        let saved: [u8; 2] = bytes.get(list + 2 * sector..list + 2 * sector + 2)?.try_into().ok()?;
        bytes.get_mut(sector * 512 - 2..sector * 512)?.copy_from_slice(&saved);
    }
    Some(bytes)
}
