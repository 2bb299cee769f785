//! What a client is sent.

use std::fs::File;
use std::io::Result as IoResult;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The content of a file, real or made up.
#[derive(Clone)]
pub enum Body {
    Bytes(Arc<[u8]>),
    /// A file, and its size when it was opened: what a client was told.
    File(Arc<File>, u64),
}

impl Body {
    pub fn size(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(_, size) => *size,
        }
    }

    /// Fills `buffer` from byte `at`; less only at the end.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> IoResult<usize> {
        match self {
            Body::Bytes(bytes) => {
                let rest = &bytes[bytes.len().min(usize::try_from(at).unwrap_or(usize::MAX))..];
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
            Body::File(file, size) => {
                let length = buffer.len().min(usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX));
                let mut filled = 0;
                while filled < length {
                    match file.read_at(&mut buffer[filled..length], at + filled as u64) {
                        Ok(0) => break,
                        Ok(read) => filled += read,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(filled)
            }
        }
    }
}
