//! Compression on the way (RFC 8878), as the zstd program writes and reads it.

use std::io::{self, BufReader, Read};
use std::ops::RangeInclusive;

use ::zstd::stream::read::{Decoder, Encoder};

use super::Source;
use crate::host::{Cancel, Fault, Result};

/// What the format knows; 3 is the program's own choice, negative ones are faster.
pub const LEVELS: RangeInclusive<i64> = -7..=22;

/// What a frame may ask us to keep in memory: 2^27 bytes, the most that level 22 writes without `--long`, and where
/// the zstd program itself stops unless told otherwise.
pub(super) const WINDOW_LOG: u32 = 27;

/// Lets a source be read by zstd, and keeps its fault, which says more than an i/o error can.
struct Feed {
    source: Box<dyn Source>,
    fault: Option<Fault>,
    taken: u64,
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buffer) {
            Ok(count) => {
                self.taken += count as u64;
                Ok(count)
            }
            Err(fault) => {
                let error = io::Error::other(fault.to_string());
                self.fault = Some(fault);
                Err(error)
            }
        }
    }
}

fn feed(source: Box<dyn Source>) -> BufReader<Feed> {
    BufReader::with_capacity(128 << 10, Feed { source, fault: None, taken: 0 })
}

/// The source's own fault where it has one, else what zstd says of the data.
fn fault(feed: &mut Feed, verb: &str, error: &io::Error) -> Fault {
    feed.fault.take().unwrap_or_else(|| {
        let what = format!("cannot {verb} {}: {error} (near byte {})", feed.source.describe(), feed.taken);
        let fault = Fault::new("stream.zstd", what);
        if error.to_string().contains("too much memory") {
            return fault
                .hint("it was compressed with --long or --ultra beyond a window of 128 MiB; compress it again");
        }
        fault
    })
}

/// A source, compressed.
pub struct Zstd(Encoder<'static, BufReader<Feed>>);

/// Compresses a source into one frame with a checksum. `level` as in [`LEVELS`].
///
/// # Errors
/// `stream.zstd`: no such level, or the encoder gets no memory.
pub fn zstd(source: Box<dyn Source>, level: i64) -> Result<Zstd> {
    let level = i32::try_from(level).ok().filter(|_| LEVELS.contains(&level)).ok_or_else(|| {
        let (low, high) = (LEVELS.start(), LEVELS.end());
        Fault::new("stream.zstd", format!("cannot compress at level {level}: levels go from {low} to {high}"))
    })?;
    let name = source.describe();
    let make = || {
        let mut encoder = Encoder::with_buffer(feed(source), level)?;
        encoder.include_checksum(true)?;
        Ok(Zstd(encoder))
    };
    make().map_err(|error: io::Error| Fault::io("stream.zstd", format_args!("compress {name}"), error))
}

impl Source for Zstd {
    fn describe(&self) -> String {
        format!("zstd of {}", self.0.get_ref().get_ref().source.describe())
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.0.get_mut().get_mut().source.heed(cancel);
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer).map_err(|error| fault(self.0.get_mut().get_mut(), "compress", &error))
    }
}

/// A compressed source, plain.
pub struct Unzstd {
    decoder: Decoder<'static, BufReader<Feed>>,
    /// Something came out or the input was at least a frame: nothing at all is no zstd stream.
    over: bool,
}

/// Decompresses a source of one or more frames. Input that is cut, damaged or followed by something else is a fault
/// at the read that meets it.
///
/// # Errors
/// `stream.zstd`: the decoder gets no memory.
pub fn unzstd(source: Box<dyn Source>) -> Result<Unzstd> {
    let name = source.describe();
    let make = || {
        let mut decoder = Decoder::with_buffer(feed(source))?;
        decoder.window_log_max(WINDOW_LOG)?;
        Ok(Unzstd { decoder, over: false })
    };
    make().map_err(|error: io::Error| Fault::io("stream.zstd", format_args!("decompress {name}"), error))
}

impl Source for Unzstd {
    fn describe(&self) -> String {
        format!("unzstd of {}", self.decoder.get_ref().get_ref().source.describe())
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.decoder.get_mut().get_mut().source.heed(cancel);
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.over {
            return Ok(0);
        }
        let count =
            self.decoder.read(buffer).map_err(|error| fault(self.decoder.get_mut().get_mut(), "decompress", &error))?;
        self.over = count == 0 && !buffer.is_empty();
        let feed = self.decoder.get_mut().get_mut();
        if self.over && feed.taken == 0 {
            return Err(fault(feed, "decompress", &io::Error::other("it is empty")));
        }
        Ok(count)
    }
}
