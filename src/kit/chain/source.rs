//! The server's source, on a thread of its own: reading and hashing stand beside sending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::chunk::End;
use super::frame::CHUNK;
use super::pace::Pace;
use super::pack::{Compress, Packer, SPAN};
use super::sink::panicked;
use super::store::Store;
use crate::host::{Cancel, Fault, Result, Worker};
use crate::kit::stream::Source;

/// Reads `source` to its end into `store`; ends early when that is cut.
pub fn start(
    mut source: Box<dyn Source>,
    from: u64,
    store: Arc<Store>,
    sent: Arc<AtomicU64>,
    compress: Compress,
    cancel: &Cancel,
    worker: Worker,
) -> Result<oneshot::Receiver<Result<End>>> {
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    let worker = Worker { deadline: None, ..worker };
    source.heed(cancel);
    std::thread::Builder::new()
        .name("chain source".into())
        .spawn(move || {
            let read = || worker.run(|| read(source, from, &store, &sent, compress, &runtime));
            let outcome = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(panicked("source")));
            let _ = done.send(outcome);
        })
        .map_err(|error| Fault::io("chain.thread", "start a thread", error))?;
    Ok(result)
}

fn read(
    mut source: Box<dyn Source>,
    from: u64,
    store: &Store,
    sent: &AtomicU64,
    compress: Compress,
    runtime: &Handle,
) -> Result<End> {
    let mut hasher = skipped(&mut *source, from)?;
    sent.store(from, Ordering::Relaxed);
    let mut pace = Pace::new(source.size().is_some());
    let mut packer = Packer::new(compress);
    let mut space = vec![0; if compress == Compress::Off { 0 } else { SPAN }];
    loop {
        let offset = sent.load(Ordering::Relaxed);
        let room = |bytes| {
            let since = Instant::now();
            let chunk = runtime.block_on(store.room(bytes)).ok_or_else(Fault::stopped)?;
            Ok((chunk, since.elapsed()))
        };
        let (length, ended) = if packer.wants() {
            let (length, ended) = fill(&mut *source, &mut space)?;
            let data = &space[..length];
            hasher.update(data);
            if length > 0 {
                let packed = packer.pack(data)?;
                let payload = packed.as_deref().unwrap_or(data);
                let (mut chunk, waited) = room(payload.len())?;
                chunk.space().copy_from_slice(payload);
                chunk.seal(offset, payload.len(), packed.is_some().then_some(length));
                store.push(chunk);
                packer.waited(waited);
            }
            (length, ended)
        } else {
            let (mut chunk, waited) = room(pace.frame(|| store.look(|ledger| ledger.acked())))?;
            let (length, ended) = fill(&mut *source, chunk.space())?;
            hasher.update(&chunk.space()[..length]);
            if length > 0 {
                chunk.seal(offset, length, None);
                store.push(chunk);
                packer.waited(waited);
            }
            (length, ended)
        };
        sent.fetch_add(length as u64, Ordering::Relaxed);
        if ended {
            let end = End { length: offset + length as u64, digest: *hasher.finalize().as_bytes() };
            store.finish(end);
            return Ok(end);
        }
    }
}

/// Reads what all nodes have already: its hash is needed for that of the whole.
fn skipped(source: &mut dyn Source, bytes: u64) -> Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    let mut space = vec![0; CHUNK.min(bytes as usize)];
    while hasher.count() < bytes {
        let left = usize::try_from(bytes - hasher.count()).unwrap_or(CHUNK).min(space.len());
        match source.read(&mut space[..left])? {
            0 => {
                let text = format!("it has {} bytes this time, and had more than {bytes} before", hasher.count());
                return Err(Fault::new("chain.again", text));
            }
            read => drop(hasher.update(&space[..read])),
        }
    }
    Ok(hasher)
}

/// The beginning of a source, for those who have the rest.
struct UpTo(Box<dyn Source>, u64);

pub fn up_to(source: Box<dyn Source>, bytes: u64) -> Box<dyn Source> {
    Box::new(UpTo(source, bytes))
}

impl Source for UpTo {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn size(&self) -> Option<u64> {
        Some(self.1)
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.0.heed(cancel);
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = usize::try_from(self.1).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.0.read(&mut buffer[..most])?;
        self.1 -= read as u64;
        Ok(read)
    }
}

/// Full frames: as many bytes for one turn of every wheel as there can be. Gives whether the source ended.
fn fill(source: &mut dyn Source, space: &mut [u8]) -> Result<(usize, bool)> {
    let mut length = 0;
    while length < space.len() {
        match source.read(&mut space[length..])? {
            0 => return Ok((length, true)),
            read => length += read,
        }
    }
    Ok((length, false))
}
