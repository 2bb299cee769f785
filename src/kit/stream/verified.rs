//! A source that has to be what it was.

use super::Source;
use crate::host::{Cancel, Fault, Result};

/// Passes a source on, and ends in a fault unless all of it has the digest.
pub struct Verified {
    source: Box<dyn Source>,
    wanted: blake3::Hash,
    hash: blake3::Hasher,
    bytes: u64,
}

/// `digest` is a BLAKE3 of 64 hexadecimal digits, as [`super::Report`] has it.
///
/// # Errors
/// `stream.argument`: it is no such digest.
pub fn verified(source: Box<dyn Source>, digest: &str) -> Result<Verified> {
    let wanted = blake3::Hash::from_hex(digest).map_err(|_| {
        let message = format!("cannot verify {}: `{digest}` is no digest of 64 hexadecimal digits", source.describe());
        Fault::new("stream.argument", message)
    })?;
    Ok(Verified { source, wanted, hash: blake3::Hasher::new(), bytes: 0 })
}

impl Source for Verified {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn size(&self) -> Option<u64> {
        self.source.size()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.source.heed(cancel);
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.source.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            self.hash.update(&buffer[..count]);
            self.bytes += count as u64;
            return Ok(count);
        }
        let found = self.hash.finalize();
        if found == self.wanted {
            return Ok(0);
        }
        let (name, bytes) = (self.source.describe(), self.bytes);
        let message = format!(
            "`{name}` is not what it was: {bytes} bytes with digest {}.., not {}..",
            &found.to_hex()[..16],
            &self.wanted.to_hex()[..16]
        );
        Err(Fault::new("stream.digest", message)
            .hint("it was changed or damaged since its digest was taken: make it anew"))
    }
}
