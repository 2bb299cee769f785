//! What an archive holds, without unpacking it.

use std::io::{self, BufReader, Read};

use super::{Entry, Reader};
use crate::host::Result;
use crate::kit::stream::Source;

const BUFFER: usize = 256 << 10;

/// The members of an archive, read as they are asked for. Ends after the first fault.
pub struct List<R> {
    reader: Reader<BufReader<R>>,
    over: bool,
}

/// Lists an archive from anything that reads.
pub fn list<R: Read>(archive: R) -> List<R> {
    List { reader: Reader::new(BufReader::with_capacity(BUFFER, archive)), over: false }
}

/// Lists an archive from a source.
pub fn list_source(source: Box<dyn Source>) -> List<impl Read> {
    list(SourceReader(source))
}

impl<R: Read> Iterator for List<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if self.over {
            return None;
        }
        let next = self.reader.next_entry().and_then(|entry| match entry {
            Some(entry) => Ok(Some(entry)),
            // To the end: only then has a source said that all was well.
            None => self.reader.drain().map(|()| None),
        });
        self.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// A source as a reader; its faults travel inside I/O errors.
struct SourceReader(Box<dyn Source>);

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(io::Error::other)
    }
}
