//! What is sent to a client, read as async-tftp asks for it.

use std::fs::File;
use std::future::Future;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_lite::AsyncRead;
use tokio::sync::oneshot;

use super::handler::Event;
use crate::kit::net::Events;

/// Read ahead of a client, bytes: one system call for many small blocks.
const AHEAD: usize = 64 << 10;

/// The content of a file, real or made up.
pub enum Body {
    Bytes(Arc<[u8]>),
    File(File),
}

impl Body {
    pub fn size(&self) -> Option<u64> {
        match self {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(file) => file.metadata().ok().map(|meta| meta.len()),
        }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> IoResult<usize> {
        match self {
            Body::File(file) => file.read_at(buffer, at),
            Body::Bytes(bytes) => {
                let rest = &bytes[bytes.len().min(at as usize)..];
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
        }
    }
}

/// How the body was come by: at once, or by a closure still at work.
pub enum Found {
    Now(Body),
    Later(oneshot::Receiver<IoResult<Body>>),
}

/// One transfer to a client. async-tftp tells nobody how it ended: what was read to its end counts as finished, and what
/// is dropped before as aborted.
pub struct Reader {
    found: Found,
    at: u64,
    ahead: Vec<u8>,
    taken: usize,
    complete: bool,
    start: Instant,
    event: Event,
    events: Events<Event>,
}

impl Reader {
    pub fn new(found: Found, event: Event, events: Events<Event>) -> Reader {
        events.push(Event { event: "started", ..event.clone() });
        Reader { found, at: 0, ahead: Vec::new(), taken: 0, complete: false, start: Instant::now(), event, events }
    }
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<IoResult<usize>> {
        let this = &mut *self;
        if let Found::Later(receiver) = &mut this.found {
            let found = match Pin::new(receiver).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(found) => found.unwrap_or_else(|_| Err(Error::from(ErrorKind::Other))),
            };
            match found {
                Ok(body) => this.found = Found::Now(body),
                Err(error) => {
                    this.event.message = error.to_string();
                    return Poll::Ready(Err(error));
                }
            }
        }
        let Found::Now(body) = &this.found else { return Poll::Pending };
        if this.taken == this.ahead.len() {
            this.ahead.resize(AHEAD, 0);
            let read =
                body.read_at(&mut this.ahead, this.at).inspect_err(|error| this.event.message = error.to_string());
            this.ahead.truncate(*read.as_ref().unwrap_or(&0));
            this.taken = 0;
            let length = read?;
            this.at += length as u64;
        }
        let length = buffer.len().min(this.ahead.len() - this.taken);
        buffer[..length].copy_from_slice(&this.ahead[this.taken..this.taken + length]);
        this.taken += length;
        this.event.bytes += length as u64;
        this.complete |= length == 0;
        Poll::Ready(Ok(length))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let event = if self.complete { "finished" } else { "aborted" };
        let seconds = self.start.elapsed().as_secs_f64();
        self.events.push(Event { event, seconds, ..self.event.clone() });
    }
}
