//! What a program prints, up to a bound: the beginning and the end, without the middle.

use std::collections::VecDeque;

/// Collects bytes; keeps the first half of `limit` and the last half of it.
pub(crate) struct Kept {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes left out between the two.
    lost: u64,
}

impl Kept {
    pub(crate) fn new(limit: usize) -> Self {
        Kept { half: limit / 2, head: Vec::new(), tail: VecDeque::new(), lost: 0 }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        let skipped = rest.len().saturating_sub(self.half);
        let rest = &rest[skipped..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..over);
        self.tail.extend(rest);
        self.lost += (skipped + over) as u64;
    }

    pub(crate) fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.lost > 0 {
            bytes.extend_from_slice(format!("\n[.. {} bytes left out ..]\n", self.lost).as_bytes());
        }
        bytes.extend(&self.tail);
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_kept_whatever_the_pieces() {
        let all: Vec<u8> = (b'a'..=b'z').collect();
        for piece in 1..=all.len() {
            let mut kept = Kept::new(8);
            all.chunks(piece).for_each(|chunk| kept.add(chunk));
            assert_eq!(kept.text(), "abcd\n[.. 18 bytes left out ..]\nwxyz", "pieces of {piece}");
        }
    }

    #[test]
    fn what_fits_is_kept_whole() {
        for piece in 1..=8 {
            let mut kept = Kept::new(8);
            b"abcdefgh".chunks(piece).for_each(|chunk| kept.add(chunk));
            assert_eq!(kept.text(), "abcdefgh");
        }
    }
}
