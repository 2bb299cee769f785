//! Decompression in front of a sink: what goes over the network or lies in files is small.

use std::io;

use ::zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::zstd::WINDOW_LOG;
use super::{Delivered, Sink};
use crate::host::{Cancel, Fault, Result};

pub struct IntoUnzstd {
    sink: Box<dyn Sink>,
    decoder: Decoder<'static>,
    plain: Vec<u8>,
    /// The compressed bytes taken.
    taken: u64,
    /// A frame is open: more has to come.
    open: bool,
}

/// Decompresses a stream of one or more zstd frames into `sink`.
///
/// # Errors
/// `stream.zstd`: the decoder gets no memory; later, the stream is damaged or ends early.
pub fn into_unzstd(sink: Box<dyn Sink>) -> Result<IntoUnzstd> {
    let make = || {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(decoder)
    };
    let fail = |error: io::Error| Fault::io("stream.zstd", format_args!("decompress into {}", sink.describe()), error);
    let decoder = make().map_err(fail)?;
    Ok(IntoUnzstd { sink, decoder, plain: vec![0; 1 << 20], taken: 0, open: false })
}

impl IntoUnzstd {
    fn fault(&self, why: &dyn std::fmt::Display) -> Fault {
        let message = format!("cannot decompress into {}: {why} (near byte {})", self.sink.describe(), self.taken);
        Fault::new("stream.zstd", message)
    }
}

impl Sink for IntoUnzstd {
    fn describe(&self) -> String {
        self.sink.describe()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.sink.heed(cancel);
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let mut input = InBuffer::around(data);
        loop {
            let before = input.pos();
            let mut output = OutBuffer::around(&mut self.plain[..]);
            let left = self.decoder.run(&mut input, &mut output);
            let (count, read) = (output.pos(), input.pos() - before);
            let left = left.map_err(|error| self.fault(&error))?;
            self.taken += read as u64;
            if read > 0 || count > 0 {
                self.open = left != 0;
            }
            if count > 0 {
                self.sink.write(&self.plain[..count])?;
            }
            // A full output may have more behind it.
            if input.pos() == data.len() && count < self.plain.len() {
                return Ok(());
            }
        }
    }

    fn finish(&mut self) -> Result<Delivered> {
        if self.open || self.taken == 0 {
            let fault = self.fault(&"it ends early");
            self.sink.abort(&fault);
            return Err(fault);
        }
        self.sink.finish()
    }

    fn abort(&mut self, why: &Fault) {
        self.sink.abort(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Cancel, Console, Silent};
    use crate::kit::stream::{Source, blob, copy, into_file, unzstd, zstd};

    fn packed(data: &[u8]) -> Vec<u8> {
        let mut source = zstd(Box::new(blob(data.to_vec())), 3).unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while let count @ 1.. = source.read(&mut buffer).unwrap() {
            all.extend(&buffer[..count]);
        }
        all
    }

    fn through(packed: Vec<u8>) -> (Result<()>, Option<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain");
        let mut sink = into_unzstd(Box::new(into_file(&path).unwrap())).unwrap();
        let meter = Silent.meter(None, "", None);
        let done = copy(&mut blob(packed), &mut sink, &meter, &Cancel::new()).map(drop);
        (done, std::fs::read(path).ok())
    }

    #[test]
    fn frames_in_pieces_become_the_bytes_again() {
        let first: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut both = packed(&first);
        both.extend(packed(b"second frame"));
        let (done, plain) = through(both);
        done.unwrap();
        assert_eq!(plain.unwrap(), [&first[..], b"second frame"].concat());
    }

    #[test]
    fn what_is_cut_damaged_or_empty_is_refused_and_leaves_nothing() {
        let data: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let whole = packed(&data);
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        let mut tail = whole.clone();
        tail.extend(b"no frame");
        for bad in [whole[..whole.len() - 1].to_vec(), whole[..5].to_vec(), damaged, tail, Vec::new()] {
            let (done, plain) = through(bad);
            assert_eq!(done.unwrap_err().kind, "stream.zstd");
            assert_eq!(plain, None);
        }
        // As the source's decoder has it.
        let mut source = unzstd(Box::new(blob(whole[..whole.len() - 1].to_vec()))).unwrap();
        let mut buffer = vec![0; 1 << 20];
        assert!(std::iter::from_fn(|| Some(source.read(&mut buffer))).take(9).any(|read| read.is_err()));
    }
}
