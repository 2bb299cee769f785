//! Where the data of a file with holes stands, in the forms that archives had for it.
//!
//! Source: GNU tar manual, "Storing Sparse Files".

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::header::{self, Block};
use super::{BLOCK, number, padding};

/// Offset and length of each piece of data, ascending.
pub(super) type Extents = Vec<(u64, u64)>;

/// More pieces than any file has; what claims more is hostile.
const MOST: usize = 1 << 22;

/// The pieces of data in an open file; `None`: it has no holes, or its filesystem does not tell.
pub(super) fn of_file(file: &File, size: u64) -> io::Result<Option<Extents>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match lseek(file, at as i64, Whence::SeekData) {
            Ok(start) => (start as u64).min(size),
            Err(Errno::ENXIO) => break,
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let end = (lseek(file, start as i64, Whence::SeekHole)? as u64).min(size);
        if end <= start {
            break;
        }
        extents.push((start, end - start));
        at = end;
    }
    Ok((extents != [(0, size)]).then_some(extents))
}

/// The map that stands before the data in version 1.0: a count, then offset and length of each piece, in decimal
/// lines, filled up to a block. A hole at the end is closed by an empty piece there.
pub(super) fn map(extents: &[(u64, u64)], size: u64) -> Vec<u8> {
    let open = extents.last().is_none_or(|(start, length)| start + length < size);
    let mut map = format!("{}\n", extents.len() + usize::from(open));
    for (start, length) in extents {
        map += &format!("{start}\n{length}\n");
    }
    if open {
        map += &format!("{size}\n0\n");
    }
    let mut map = map.into_bytes();
    map.resize(map.len() + padding(map.len() as u64), 0);
    map
}

/// Gathers the decimal lines of a version 1.0 map, block by block.
#[derive(Default)]
pub(super) struct MapReader {
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl MapReader {
    /// The whole map, once its last line was in `block`; `Err`: what is wrong.
    pub(super) fn push(&mut self, block: &[u8]) -> Result<Option<Extents>, String> {
        for byte in block {
            match byte {
                b'0'..=b'9' if self.digits.len() < 20 => self.digits.push(*byte),
                b'\n' => {
                    self.numbers.push(decimal(&self.digits)?);
                    self.digits.clear();
                    let wanted = self.numbers[0];
                    if wanted > MOST as u64 {
                        return Err(format!("a sparse map claims {wanted} pieces"));
                    }
                    if self.numbers.len() as u64 == 1 + 2 * wanted {
                        return pairs(&self.numbers[1..]).map(Some);
                    }
                }
                _ => return Err("a sparse map is not made of numbers".to_string()),
            }
        }
        Ok(None)
    }
}

/// The value of `GNU.sparse.map` (version 0.1): `offset,length,offset,length`.
pub(super) fn from_commas(text: &[u8]) -> Result<Extents, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<u64> = text.split(|byte| *byte == b',').map(decimal).collect::<Result<_, _>>()?;
    pairs(&numbers)
}

pub(super) fn pairs(numbers: &[u64]) -> Result<Extents, String> {
    if !numbers.len().is_multiple_of(2) {
        return Err("a sparse map has an offset without a length".to_string());
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

pub(super) fn decimal(digits: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(digits).unwrap_or("");
    match text.parse::<i64>() {
        Ok(number) if number >= 0 => Ok(number as u64),
        _ => Err(format!("`{}` is not a number of bytes", digits.escape_ascii())),
    }
}

/// The old GNU form: four pieces in the header, 21 in each block that follows. `true`: another block follows.
pub(super) fn old_header(block: &Block, extents: &mut Extents) -> Result<(u64, bool), String> {
    old_pieces(&block[386..482], extents)?;
    let size = number::read(&block[483..495]).and_then(|size| u64::try_from(size).ok());
    Ok((size.ok_or("the size of a sparse file is not a number")?, block[482] != 0))
}

pub(super) fn old_extension(block: &Block, extents: &mut Extents) -> Result<bool, String> {
    if extents.len() > MOST {
        return Err(format!("a sparse map has more than {MOST} pieces"));
    }
    old_pieces(&block[..504], extents)?;
    Ok(block[504] != 0)
}

fn old_pieces(pieces: &[u8], extents: &mut Extents) -> Result<(), String> {
    for piece in pieces.chunks_exact(24) {
        if header::text(piece).is_empty() {
            break;
        }
        let read = |field| number::read(field).and_then(|number| u64::try_from(number).ok());
        match (read(&piece[..12]), read(&piece[12..])) {
            (Some(start), Some(length)) => extents.push((start, length)),
            _ => return Err("a sparse map is not made of numbers".to_string()),
        }
    }
    Ok(())
}

/// Ascending, apart, within the file, and as long together as the data that is there.
pub(super) fn check(extents: &[(u64, u64)], size: u64, stored: u64) -> Result<(), String> {
    let mut end = 0u64;
    let mut sum = 0u64;
    for (start, length) in extents {
        let next = start.checked_add(*length).filter(|next| *start >= end && *next <= size);
        end = next.ok_or_else(|| format!("a sparse map has {length} bytes at {start} in a file of {size}"))?;
        sum += length;
    }
    match sum == stored {
        true => Ok(()),
        false => Err(format!("a sparse map counts {sum} bytes, the archive has {stored}")),
    }
}

const _: () = assert!(BLOCK == 512, "the old GNU form has its places in a block");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_reads_back() {
        for (extents, size) in [(vec![], 7u64), (vec![(0, 5), (10, 5)], 15), (vec![(4096, 1)], 1 << 40)] {
            let map = map(&extents, size);
            assert_eq!(map.len() % BLOCK, 0);
            let mut reader = MapReader::default();
            let mut read = map.chunks(BLOCK).find_map(|block| reader.push(block).unwrap()).unwrap();
            read.retain(|(_, length)| *length > 0);
            assert_eq!(read, extents);
            check(&read, size, extents.iter().map(|(_, length)| length).sum()).unwrap();
        }
    }

    #[test]
    fn hostile_maps_are_refused() {
        assert!(MapReader::default().push(b"99999999999\n").is_err());
        assert!(MapReader::default().push(b"1\n99999999999999999999\n").is_err());
        assert!(MapReader::default().push(b"1\n\n").is_err());
        assert!(from_commas(b"1,2,3").is_err());
        assert!(check(&[(5, 5), (0, 5)], 10, 10).is_err());
        assert!(check(&[(0, 11)], 10, 11).is_err());
        assert!(check(&[(u64::MAX, 2)], 10, 2).is_err());
        assert!(check(&[(0, 5)], 10, 6).is_err());
    }
}
