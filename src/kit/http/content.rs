//! Bodies as hyper asks for them: files and memory in large blocks, each counted.

use std::future::Future;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::kit::served::{Body, Tally};

/// Bytes that are read and written at once: a few of them are in the cache of a processor together.
const BLOCK: usize = 256 << 10;

/// Buffers that are not in use, for the next block of the same body.
type Home = Arc<Mutex<Vec<Vec<u8>>>>;

/// A buffer on loan to hyper; comes home when it was sent.
struct Lent {
    buffer: Vec<u8>,
    length: usize,
    home: Home,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Ok(mut home) = self.home.lock() {
            home.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// A part of a body on its way out.
pub struct Content {
    body: Body,
    at: u64,
    end: u64,
    home: Home,
    /// A read that had to wait for the disk.
    reading: Option<JoinHandle<(Vec<u8>, IoResult<usize>)>>,
    tally: Option<Tally>,
}

impl Content {
    pub fn new(body: Body, first: u64, end: u64) -> Content {
        Content { body, at: first, end, home: Home::default(), reading: None, tally: None }
    }

    pub fn whole(body: Body) -> Content {
        let size = body.size();
        Content::new(body, 0, size)
    }

    pub fn text(text: impl Into<String>) -> Content {
        Content::whole(Body::Bytes(text.into().into_bytes().into()))
    }

    /// Tells of its end.
    pub fn counted(mut self, mut tally: Tally) -> Content {
        // Nothing will be asked for.
        if self.at == self.end {
            tally.finish();
        }
        self.tally = Some(tally);
        self
    }

    pub fn length(&self) -> u64 {
        self.end - self.at
    }

    fn lend(&mut self, buffer: Vec<u8>, read: IoResult<usize>) -> Option<IoResult<Frame<Bytes>>> {
        let short = || Error::new(ErrorKind::UnexpectedEof, "the file became shorter while it was sent");
        let length = match read.and_then(|length| if length == 0 { Err(short()) } else { Ok(length) }) {
            Ok(length) => length,
            Err(error) => {
                if let Some(tally) = &mut self.tally {
                    tally.why(&error);
                }
                return Some(Err(error));
            }
        };
        self.at += length as u64;
        if let Some(tally) = &mut self.tally {
            tally.add(length as u64);
            if self.at == self.end {
                tally.finish();
            }
        }
        Some(Ok(Frame::data(Bytes::from_owner(Lent { buffer, length, home: self.home.clone() }))))
    }
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<IoResult<Frame<Bytes>>>> {
        let this = &mut *self;
        if let Some(reading) = &mut this.reading {
            let Poll::Ready(done) = Pin::new(reading).poll(context) else { return Poll::Pending };
            this.reading = None;
            let (buffer, read) = done.unwrap_or_else(|error| (Vec::new(), Err(Error::other(error))));
            return Poll::Ready(this.lend(buffer, read));
        }
        if this.at == this.end {
            return Poll::Ready(None);
        }
        let length = BLOCK.min(usize::try_from(this.end - this.at).unwrap_or(BLOCK));
        let at = this.at;
        let mut buffer = this.home.lock().ok().and_then(|mut home| home.pop()).unwrap_or_default();
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let read = match &this.body {
            Body::Bytes(_) => this.body.read_at(&mut buffer[..length], at),
            Body::File(file, _) => match at_hand(file, &mut buffer[..length], at) {
                Some(read) => Ok(read),
                None => {
                    let body = this.body.clone();
                    let mut reading = tokio::task::spawn_blocking(move || {
                        let read = body.read_at(&mut buffer[..length], at);
                        (buffer, read)
                    });
                    let done = Pin::new(&mut reading).poll(context);
                    let Poll::Ready(done) = done else {
                        this.reading = Some(reading);
                        return Poll::Pending;
                    };
                    let (buffer, read) = done.unwrap_or_else(|error| (Vec::new(), Err(Error::other(error))));
                    return Poll::Ready(this.lend(buffer, read));
                }
            },
        };
        Poll::Ready(this.lend(buffer, read))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end && self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

/// Reads what the system has in memory; `None` where it would have to wait for a disk, and where it cannot tell.
fn at_hand(file: &std::fs::File, buffer: &mut [u8], at: u64) -> Option<usize> {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let offset = libc::off_t::try_from(at).ok()?;
    // SAFETY: `part` describes `buffer`, which outlives the call and is written to by nobody else meanwhile.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &part, 1, offset, libc::RWF_NOWAIT) };
    usize::try_from(read).ok().filter(|read| *read > 0)
}
