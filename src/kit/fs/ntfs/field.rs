//! Numbers in little-endian records, and the mark that every 512 bytes of a record end with.

pub(in crate::kit::fs) fn short(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at.checked_add(2)?).map(|field| usize::from(u16::from_le_bytes([field[0], field[1]])))
}

pub(in crate::kit::fs) fn long(bytes: &[u8], at: usize) -> Option<usize> {
    Some(short(bytes, at)? | short(bytes, at.checked_add(2)?)? << 16)
}

pub(in crate::kit::fs) fn quad(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// A size that is a number of units, or, negative, the power of two of bytes.
pub(in crate::kit::fs) fn power_or(value: u8, unit: u64) -> Option<u64> {
    match value as i8 {
        power @ -31..=-1 => Some(1u64 << -i32::from(power)),
        units @ 1.. => unit.checked_mul(u64::try_from(units).ok()?),
        _ => None,
    }
}

/// A record as it was before it was written: the last two bytes of each 512 are kept in a list at its front, and replaced by
/// a number that is the same in all of them. None where they differ: it was only written in part.
pub(in crate::kit::fs) fn unfixed(magic: &[u8; 4], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    if bytes.get(..4)? != magic {
        return None;
    }
    let (list, count) = (short(&bytes, 4)?, short(&bytes, 6)?);
    let mark = short(&bytes, list)?;
    for sector in 1..count {
        let place = list.checked_add(2 * sector)?;
        let saved: [u8; 2] = bytes.get(place..place.checked_add(2)?)?.try_into().ok()?;
        if short(&bytes, sector * 512 - 2)? != mark {
            return None;
        }
        bytes[sector * 512 - 2..sector * 512].copy_from_slice(&saved);
    }
    Some(bytes)
}
