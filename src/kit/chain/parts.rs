//! What a sink has of the stream: all of it from the beginning on, or, at a node that joined a running chain, first what came
//! from there on and then what it had missed. The digest is the same.

use std::collections::BTreeMap;
use std::ops::Range;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use super::chunk::End;
use crate::host::{Fault, Result};

/// A stream is taken up in its middle at a multiple of this: BLAKE3 is a tree, and its branches are hashed in any order.
pub const BRANCH: u64 = 1 << 20;

enum Hashed {
    /// From the beginning.
    Whole(Box<blake3::Hasher>),
    /// By branches, of which one is being made.
    Branches { done: BTreeMap<u64, ChainingValue>, current: Box<blake3::Hasher> },
}

pub struct Parts {
    hashed: Hashed,
    /// Position of the next byte that is wanted.
    at: u64,
    /// Where the first part began; 0 for the whole stream.
    start: u64,
    /// The end of the stream, once the first part is here.
    end: Option<End>,
}

/// What follows when a part is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The stream is here, and is what the server sent: its digest.
    Whole(String),
    /// What is before this is still to come; nothing but it is, or (with `None`) nothing of the stream is here.
    Missing(Option<u64>),
}

impl Parts {
    pub fn new() -> Parts {
        Parts { hashed: Hashed::Whole(Box::default()), at: 0, start: 0, end: None }
    }

    /// Position of the next byte that is wanted.
    #[cfg(test)]
    fn at(&self) -> u64 {
        self.at
    }

    /// Told before the first byte where it comes from: nowhere but at the beginning all of it is wanted. Gives where the
    /// first part begins.
    pub fn begin(&mut self, at: u64) -> u64 {
        (self.start, self.at) = (at.next_multiple_of(BRANCH), at.next_multiple_of(BRANCH));
        self.hashed = match self.start {
            0 => Hashed::Whole(Box::default()),
            start => Hashed::Branches { done: BTreeMap::new(), current: branch(start) },
        };
        self.start
    }

    /// What of the bytes that came from `at` on is wanted, hashed: neither what is before the first part nor, when the first
    /// part is here, what is in it.
    pub fn take<'a>(&mut self, at: u64, data: &'a [u8]) -> &'a [u8] {
        let from = self.at.saturating_sub(at).min(data.len() as u64);
        let limit = if self.end.is_some() { self.start } else { u64::MAX };
        let to = limit.saturating_sub(at).min(data.len() as u64).max(from);
        let data = &data[from as usize..to as usize];
        match &mut self.hashed {
            Hashed::Whole(hasher) => drop(hasher.update(data)),
            Hashed::Branches { done, current } => {
                let (mut at, mut rest) = (self.at, data);
                while !rest.is_empty() {
                    let room = BRANCH - at % BRANCH;
                    let (piece, after) = rest.split_at(rest.len().min(room as usize));
                    current.update(piece);
                    at += piece.len() as u64;
                    if at % BRANCH == 0 {
                        done.insert(at / BRANCH - 1, current.finalize_non_root());
                        *current = branch(at);
                    }
                    rest = after;
                }
            }
        }
        self.at += data.len() as u64;
        data
    }

    /// The stream, or the round that brings what is missing, ends here.
    ///
    /// # Errors
    /// `chain.digest`: what came is not what the server sent.
    pub fn over(&mut self, end: &End) -> Result<Ended> {
        let damaged = |what: String, end: &End| {
            let text =
                format!("the stream came damaged: {what}, the server sent {} bytes with {}", end.length, end.hex());
            Err(Fault::new("chain.digest", text))
        };
        match (&mut self.hashed, self.end) {
            (Hashed::Whole(hasher), _) => {
                let (digest, bytes) = (hasher.finalize(), hasher.count());
                if digest.as_bytes() == &end.digest && bytes == end.length {
                    return Ok(Ended::Whole(digest.to_hex().to_string()));
                }
                damaged(format!("{bytes} bytes with digest {}", digest.to_hex()), end)
            }
            // It joined when there was nothing left to take.
            (Hashed::Branches { .. }, None) if self.at == self.start => {
                *self = Parts::new();
                Ok(Ended::Missing(None))
            }
            (Hashed::Branches { done, current }, None) => {
                if self.at != end.length {
                    return damaged(format!("it came as far as byte {}", self.at), end);
                }
                if !self.at.is_multiple_of(BRANCH) {
                    done.insert(self.at / BRANCH, current.finalize_non_root());
                }
                *current = branch(0);
                (self.end, self.at) = (Some(*end), 0);
                Ok(Ended::Missing(Some(self.start)))
            }
            (Hashed::Branches { done, .. }, Some(whole)) => {
                if self.at != self.start {
                    return damaged(format!("of its beginning came {} of {} bytes", self.at, self.start), &whole);
                }
                match root(done, whole.length) {
                    Some(digest) if digest.as_bytes() == &whole.digest => Ok(Ended::Whole(digest.to_hex().to_string())),
                    Some(digest) => damaged(format!("in two parts, with digest {}", digest.to_hex()), &whole),
                    None => damaged("not all of it".into(), &whole),
                }
            }
        }
    }

    /// Length of the whole stream, as far as that is known.
    pub fn length(&self, end: &End) -> u64 {
        self.end.map_or(end.length, |whole| whole.length)
    }
}

fn branch(at: u64) -> Box<blake3::Hasher> {
    let mut hasher = Box::<blake3::Hasher>::default();
    hasher.set_input_offset(at);
    hasher
}

/// The hash of a stream of more than one branch.
fn root(branches: &BTreeMap<u64, ChainingValue>, length: u64) -> Option<blake3::Hash> {
    let middle = left_subtree_len(length);
    let (left, right) = (value(branches, 0..middle)?, value(branches, middle..length)?);
    Some(merge_subtrees_root(&left, &right, Mode::Hash))
}

fn value(branches: &BTreeMap<u64, ChainingValue>, range: Range<u64>) -> Option<ChainingValue> {
    let length = range.end - range.start;
    if length <= BRANCH {
        return branches.get(&(range.start / BRANCH)).copied();
    }
    let middle = range.start + left_subtree_len(length);
    let (left, right) = (value(branches, range.start..middle)?, value(branches, middle..range.end)?);
    Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives the parts these bytes of the stream, in pieces; what they wanted of it.
    fn give(parts: &mut Parts, stream: &[u8], from: usize, piece: usize, kept: &mut [u8]) {
        for (number, data) in stream[from..].chunks(piece).enumerate() {
            let at = (from + number * piece) as u64;
            let before = parts.at();
            let wanted = parts.take(at, data);
            // What it begins with may lie behind the end of the stream: nothing of it is wanted then.
            if !wanted.is_empty() {
                kept[before as usize..][..wanted.len()].copy_from_slice(wanted);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Wherever it is taken up, and whatever the pieces: every byte is taken once, and the digest is the stream's.
        #[test]
        fn the_end_first_is_as_good(length in 0..5 * BRANCH as usize + 100, from in any::<proptest::sample::Index>(),
            piece in 1000..3_000_000usize, exact in any::<bool>(), bent in any::<Option<proptest::sample::Index>>()) {
            let mut stream = vec![0; length];
            blake3::Hasher::new().finalize_xof().fill(&mut stream);
            let digest = blake3::hash(&stream);
            let end = End { length: length as u64, digest: *digest.as_bytes() };
            let mut from = from.index(length + 1);
            if exact { from -= from % BRANCH as usize; }
            let mut parts = Parts::new();
            let mut kept = vec![0; length];
            let start = parts.begin(from as u64);
            give(&mut parts, &stream, from, piece, &mut kept);
            let mut over = parts.over(&end).unwrap();
            if let Ended::Missing(missing) = over {
                prop_assert_eq!(missing, (start < length as u64).then_some(start));
                let until = missing.map_or(length, |start| (start as usize + 70_000).min(length));
                if let (Some(at), Some(start)) = (bent, missing) {
                    stream[at.index(start as usize)] ^= 1;
                    give(&mut parts, &stream[..until], 0, piece, &mut kept);
                    prop_assert_eq!(parts.over(&end).unwrap_err().kind, "chain.digest");
                    return Ok(());
                }
                give(&mut parts, &stream[..until], 0, piece, &mut kept);
                over = parts.over(&End { length: until as u64, ..end }).unwrap();
            }
            prop_assert_eq!(over, Ended::Whole(digest.to_hex().to_string()));
            prop_assert!(kept == stream);
            prop_assert_eq!(parts.length(&end), length as u64);
        }
    }
}
