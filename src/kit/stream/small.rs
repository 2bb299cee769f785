//! The smallest ends: bytes at hand, and nowhere.

use std::sync::Arc;

use super::{Again, Delivered, Sink, Source};
use crate::host::{Fault, Result};

/// Bytes that are there already.
pub struct Blob {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

pub fn blob(bytes: Vec<u8>) -> Blob {
    Blob { bytes: Arc::new(bytes), at: 0 }
}

impl Source for Blob {
    fn describe(&self) -> String {
        format!("blob of {} bytes", self.bytes.len())
    }

    fn size(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn again(&self) -> Option<Again> {
        let bytes = self.bytes.clone();
        Some(Arc::new(move || Ok(Box::new(Blob { bytes: bytes.clone(), at: 0 }))))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Takes everything and keeps nothing: to measure, or to learn a digest.
#[derive(Default)]
pub struct Discard {
    bytes: u64,
}

pub fn discard() -> Discard {
    Discard::default()
}

impl Sink for Discard {
    fn describe(&self) -> String {
        "nowhere".into()
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.bytes += data.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered> {
        Ok(Delivered { bytes: self.bytes, ..Delivered::default() })
    }

    fn abort(&mut self, _: &Fault) {}
}
