//! The 512 bytes before each member (POSIX.1-2017 pax, "ustar Interchange Format").

use std::ops::Range;

use super::{BLOCK, number};

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
pub(super) const PREFIX: Range<usize> = 345..500;
/// star's prefix is shorter: times stand behind it, and `tar` at the very end.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_MAGIC: Range<usize> = 508..512;

pub(super) type Block = [u8; BLOCK];

/// An empty ustar header.
pub(super) fn empty() -> Block {
    let mut block = [0; BLOCK];
    block[MAGIC].copy_from_slice(b"ustar\x0000");
    block
}

/// The sum of all bytes, its own field counted as blanks.
fn sums(block: &Block) -> (i64, i64) {
    let mut unsigned = 0;
    let mut signed = 0;
    for (at, byte) in block.iter().enumerate() {
        let byte = if CHECKSUM.contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    (unsigned, signed)
}

pub(super) fn seal(block: &mut Block) {
    let (sum, _) = sums(block);
    let text = format!("{sum:06o}\0 ");
    block[CHECKSUM].copy_from_slice(text.as_bytes());
}

/// Old tars summed signed bytes.
pub(super) fn is_sealed(block: &Block) -> bool {
    let (unsigned, signed) = sums(block);
    number::read(&block[CHECKSUM]).is_some_and(|sum| sum == unsigned || sum == signed)
}

/// Up to the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// ustar or GNU: v7 headers have no device numbers.
pub(super) fn has_devices(block: &Block) -> bool {
    block[MAGIC].starts_with(b"ustar")
}

/// The name with the prefix that ustar and star put before it. GNU keeps other things in that place.
pub(super) fn path(block: &Block) -> Vec<u8> {
    let name = text(&block[NAME]);
    let prefix = match () {
        _ if !block[MAGIC].starts_with(b"ustar\0") => &[],
        _ if &block[STAR_MAGIC] == b"tar\0" => text(&block[STAR_PREFIX]),
        _ => text(&block[PREFIX]),
    };
    if prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// Puts a path into name and prefix; false, and a shortened name, when it has no room there.
pub(super) fn set_path(block: &mut Block, path: &[u8]) -> bool {
    if path.len() <= NAME.len() {
        block[NAME][..path.len()].copy_from_slice(path);
        return true;
    }
    // The first slash that leaves a name short enough; nothing behind a slash at the end is no name.
    let earliest = path.len() - NAME.len() - 1;
    let slash = (earliest.max(1)..path.len() - 1).find(|at| path[*at] == b'/');
    match slash.filter(|at| *at <= PREFIX.len()) {
        Some(at) => {
            block[PREFIX][..at].copy_from_slice(&path[..at]);
            block[NAME][..path.len() - at - 1].copy_from_slice(&path[at + 1..]);
            true
        }
        None => {
            block[NAME].copy_from_slice(&path[..NAME.len()]);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_where_they_can() {
        for (length, fits) in [(100, true), (101, true), (255, true), (257, false)] {
            let mut path = b"a/".repeat(length);
            path.truncate(length);
            path[length - 1] = b'z';
            let mut block = empty();
            assert_eq!(set_path(&mut block, &path), fits, "{length}");
            if fits {
                assert_eq!(super::path(&block), path);
            }
        }
        assert!(!set_path(&mut empty(), &[b'x'; 101]));
        assert!(!set_path(&mut empty(), &[&b"/"[..], &[b'x'; 101]].concat()));
    }

    #[test]
    fn a_changed_byte_breaks_the_seal() {
        let mut block = empty();
        set_path(&mut block, b"a");
        seal(&mut block);
        assert!(is_sealed(&block));
        block[0] = b'b';
        assert!(!is_sealed(&block));
    }
}
