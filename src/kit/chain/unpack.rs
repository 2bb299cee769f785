//! The bytes that a frame stands for.

use super::chunk::Chunk;
use super::frame::CHUNK;
use crate::host::{Fault, Result};

/// Expands what was compressed at the source. Its memory is used again from frame to frame.
#[derive(Default)]
pub struct Unpack {
    space: Vec<u8>,
}

impl Unpack {
    /// # Errors
    /// `chain.packed`: not as many bytes as the frame claims, or not compressed at all.
    pub fn data<'a>(&'a mut self, chunk: &'a Chunk) -> Result<&'a [u8]> {
        if !chunk.is_packed() {
            return Ok(chunk.payload());
        }
        self.expand(chunk.payload(), chunk.span(), chunk.offset())
    }

    fn expand(&mut self, payload: &[u8], span: usize, at: u64) -> Result<&[u8]> {
        let bad = |why: String| Fault::new("chain.packed", format!("cannot expand the stream at byte {at}: {why}"));
        self.space.resize(CHUNK, 0);
        let length = zstd::bulk::decompress_to_buffer(payload, &mut self.space[..]).map_err(|e| bad(e.to_string()))?;
        match length == span {
            true => Ok(&self.space[..length]),
            false => Err(bad(format!("{length} bytes instead of {span}"))),
        }
    }
}

/// Expands one payload, as a node does with what came over the network.
///
/// # Errors
/// `chain.packed`: not `span` bytes, or not compressed at all.
pub fn expand(payload: &[u8], span: usize) -> Result<Vec<u8>> {
    Unpack::default().expand(payload, span, 0).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_expanded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<usize>(), by in 1u8..) {
            let _ = expand(&bytes, bytes.len());
            let mut packed = zstd::bulk::compress(&bytes, 1).unwrap();
            prop_assert_eq!(expand(&packed, bytes.len()).unwrap(), &bytes[..]);
            prop_assert!(expand(&packed, bytes.len() + 1).is_err());
            let at = at % packed.len();
            packed[at] ^= by;
            let _ = expand(&packed, bytes.len());
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
        assert_eq!(expand(&bomb, CHUNK).unwrap_err().kind, "chain.packed");
    }
}
