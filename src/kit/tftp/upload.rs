//! What a client sends, written as async-tftp hands it over: beside its place first, in its place at the end.

use std::fs::File;
use std::future::Future;
use std::io::{Error, ErrorKind, Result as IoResult, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_lite::AsyncWrite;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use tokio::sync::oneshot;

use super::handler::Event;
use crate::kit::net::Events;

/// A file on its way into `folder`; gone again unless it was finished.
pub struct Upload {
    folder: File,
    name: String,
    part: String,
    file: File,
    finished: bool,
}

impl Upload {
    pub fn begin(folder: File, name: &str) -> IoResult<Upload> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let part = format!(".{name}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&folder, part.as_str(), flags, Mode::from_bits_truncate(0o644)).map_err(Error::from)?;
        Ok(Upload { folder, name: name.into(), part, file: File::from(file), finished: false })
    }

    fn finish(&mut self) -> IoResult<()> {
        self.file.sync_data()?;
        renameat(&self.folder, self.part.as_str(), &self.folder, self.name.as_str()).map_err(Error::from)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.finished {
            let _ = unlinkat(&self.folder, self.part.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

pub enum Place {
    Now(Upload),
    Later(oneshot::Receiver<IoResult<Upload>>),
}

/// One transfer from a client.
pub struct Writer {
    place: Place,
    limit: u64,
    start: Instant,
    complete: bool,
    event: Event,
    events: Events<Event>,
}

impl Writer {
    pub fn new(place: Place, limit: u64, event: Event, events: Events<Event>) -> Writer {
        events.push(Event { event: "started", ..event.clone() });
        Writer { place, limit, start: Instant::now(), complete: false, event, events }
    }

    fn upload(&mut self, context: &mut Context<'_>) -> Poll<IoResult<&mut Upload>> {
        if let Place::Later(receiver) = &mut self.place {
            let found = match Pin::new(receiver).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(found) => found.unwrap_or_else(|_| Err(Error::from(ErrorKind::Other))),
            };
            match found {
                Ok(upload) => self.place = Place::Now(upload),
                Err(error) => {
                    self.event.message = error.to_string();
                    return Poll::Ready(Err(error));
                }
            }
        }
        match &mut self.place {
            Place::Now(upload) => Poll::Ready(Ok(upload)),
            Place::Later(_) => Poll::Pending,
        }
    }
}

/// What async-tftp reports as "disk is full".
fn full(error: Error) -> Error {
    if error.kind() == ErrorKind::StorageFull { Error::new(ErrorKind::WriteZero, error) } else { error }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<IoResult<usize>> {
        let this = &mut *self;
        if this.event.bytes + data.len() as u64 > this.limit {
            this.event.message = format!("longer than the limit of {} bytes", this.limit);
            return Poll::Ready(Err(Error::new(ErrorKind::WriteZero, this.event.message.clone())));
        }
        let upload = match this.upload(context) {
            Poll::Ready(upload) => upload?,
            Poll::Pending => return Poll::Pending,
        };
        match upload.file.write_all(data) {
            Ok(()) => this.event.bytes += data.len() as u64,
            Err(error) => {
                this.event.message = error.to_string();
                return Poll::Ready(Err(full(error)));
            }
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<IoResult<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        let done = match self.upload(context) {
            Poll::Ready(upload) => upload.and_then(Upload::finish),
            Poll::Pending => return Poll::Pending,
        };
        self.complete = done.is_ok();
        Poll::Ready(done.map_err(full))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let event = if self.complete { "finished" } else { "aborted" };
        let seconds = self.start.elapsed().as_secs_f64();
        self.events.push(Event { event, seconds, ..self.event.clone() });
    }
}
