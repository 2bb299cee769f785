//! The server's source, on a thread of its own: reading and hashing stand beside sending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::chunk::End;
use super::frame::CHUNK;
use super::sink::panicked;
use super::store::Store;
use crate::host::{Cancel, Fault, Result, Worker};
use crate::kit::stream::Source;

/// Reads `source` to its end into `store`; ends early when that is cut.
pub fn start(
    mut source: Box<dyn Source>,
    store: Arc<Store>,
    sent: Arc<AtomicU64>,
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
            let read = || worker.run(|| read(source, &store, &sent, &runtime));
            let outcome = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(panicked("source")));
            let _ = done.send(outcome);
        })
        .map_err(|error| Fault::io("chain.thread", "start a thread", error))?;
    Ok(result)
}

fn read(mut source: Box<dyn Source>, store: &Store, sent: &AtomicU64, runtime: &Handle) -> Result<End> {
    let mut hasher = blake3::Hasher::new();
    let mut pace = Pace::new();
    loop {
        let mut chunk = runtime.block_on(store.room(pace.frame(store))).ok_or_else(Fault::stopped)?;
        let space = chunk.space();
        let mut length = 0;
        let mut ended = false;
        // Full frames: as many bytes for one turn of every wheel as there can be.
        while length < space.len() && !ended {
            let read = source.read(&mut space[length..])?;
            ended = read == 0;
            length += read;
        }
        if length > 0 {
            hasher.update(&space[..length]);
            chunk.seal(sent.load(Ordering::Relaxed), length, None);
            store.push(chunk);
            sent.fetch_add(length as u64, Ordering::Relaxed);
        }
        if ended {
            let end = End { length: sent.load(Ordering::Relaxed), digest: *hasher.finalize().as_bytes() };
            store.finish(end);
            return Ok(end);
        }
    }
}

/// How large frames are: what passes in about a millisecond. A node sends a frame on once it is whole, so that every
/// node adds the time of one frame to the whole; where the network is fast, large frames cost less work.
struct Pace {
    size: usize,
    since: Instant,
    acked: u64,
}

const SMALL: usize = 8 << 10;
const LOOK: Duration = Duration::from_millis(20);

impl Pace {
    fn new() -> Self {
        Pace { size: SMALL, since: Instant::now(), acked: 0 }
    }

    fn frame(&mut self, store: &Store) -> usize {
        let elapsed = self.since.elapsed();
        if elapsed >= LOOK {
            let acked = store.look(|ledger| ledger.acked());
            let each = (acked - self.acked.min(acked)) as f64 / elapsed.as_secs_f64() / 1000.0;
            // Not from one extreme to the other by one look.
            let size = (each as usize).clamp(self.size / 2, self.size * 2).clamp(SMALL, CHUNK);
            self.size = 1 << size.ilog2();
            (self.since, self.acked) = (Instant::now(), acked);
        }
        self.size
    }
}
