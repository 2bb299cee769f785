//! A node's own sink, on a thread of its own: hashing and writing stand beside receiving and relaying.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::message::Want;
use super::parts::{Ended, Parts};
use super::store::{Next, Store};
use super::unpack::Unpack;
use super::wedge;
use crate::host::{Cancel, Fault, Result, Worker};
use crate::kit::stream::{Delivered, Sink};

/// How long a sink may take to abort before it is left alone.
const ABORT: Duration = Duration::from_secs(5);

/// What a sink has to show for itself: its own account, and the digest of what it was given.
pub struct Taken {
    pub delivered: Delivered,
    pub bytes: u64,
    pub digest: String,
}

/// What is seen of the thread from outside.
struct Seen {
    begun: Instant,
    /// Bytes of the stream that the sink has taken.
    written: AtomicU64,
    /// Milliseconds since `begun` when the write that is going on was called; 0: none is.
    writing: AtomicU64,
    /// Milliseconds spent in writes.
    busy: AtomicU64,
    finishing: AtomicBool,
    /// A part of the stream is in the sink, and what is before this is still missing: 0 says that none is over.
    missing: AtomicU64,
    thread: AtomicI32,
}

/// What [`Seen::missing`] says when all of it is.
const ALL: u64 = u64::MAX;

/// The node's hold on the thread.
pub struct SinkThread {
    seen: Arc<Seen>,
    store: Arc<Store>,
    result: oneshot::Receiver<Result<Taken>>,
    /// The result was heard: it comes once.
    over: bool,
    cancel: Cancel,
}

impl SinkThread {
    /// The sink is fed from the store; where that is cut before an end has come, the sink is aborted.
    pub fn start(mut sink: Box<dyn Sink>, store: Arc<Store>, worker: Worker) -> Result<SinkThread> {
        let (done, result) = oneshot::channel();
        let seen = Arc::new(Seen {
            begun: Instant::now(),
            written: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            finishing: AtomicBool::new(false),
            missing: AtomicU64::new(0),
            thread: AtomicI32::new(0),
        });
        let cancel = Cancel::new();
        sink.heed(&cancel);
        let thread = SinkThread { seen: seen.clone(), store: store.clone(), result, over: false, cancel };
        let worker = Worker { deadline: None, ..worker };
        std::thread::Builder::new()
            .name("chain sink".into())
            .spawn(move || {
                seen.thread.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
                let outcome = worker.run(|| catch_unwind(AssertUnwindSafe(|| run(sink, &store, &seen))));
                let _ = done.send(outcome.unwrap_or_else(|_| Err(panicked("sink"))));
            })
            .map_err(|error| Fault::io("chain.thread", "start a thread", error))?;
        Ok(thread)
    }

    /// Bytes of the stream safely in the sink.
    pub fn written(&self) -> u64 {
        self.seen.written.load(Ordering::Relaxed)
    }

    /// What is missing once a part of the stream is in the sink.
    pub fn missing(&self) -> Option<Want> {
        match self.seen.missing.load(Ordering::SeqCst) {
            0 => None,
            ALL => Some(Want::default()),
            until => Some(Want { from: 0, until: Some(until) }),
        }
    }

    /// The rest comes now; the store has begun anew.
    pub fn goes_on(&self) {
        self.seen.missing.store(0, Ordering::SeqCst);
        self.store.again();
    }

    /// Time spent in its writes.
    pub fn busy(&self) -> Duration {
        Duration::from_millis(self.seen.busy.load(Ordering::Relaxed)) + self.stuck()
    }

    /// How long the write that is going on takes already.
    pub fn stuck(&self) -> Duration {
        match self.seen.writing.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.seen.begun.elapsed().saturating_sub(Duration::from_millis(since)),
        }
    }

    /// Whether it takes nothing any more, while it could and while others wait for it. A disk that is at work is slow,
    /// not wedged, as long as `patience` with a disk is not over.
    pub fn is_wedged(&self, limit: Duration) -> bool {
        let stuck = self.stuck();
        !self.over
            && !self.seen.finishing.load(Ordering::Relaxed)
            && stuck >= limit
            && self.store.is_full()
            && (stuck >= limit * wedge::DISK || !wedge::waits_for_disk(self.seen.thread.load(Ordering::Relaxed)))
    }

    /// What came of it, once. Cancel-safe.
    pub async fn outcome(&mut self) -> Result<Taken> {
        let outcome = (&mut self.result).await;
        self.over = true;
        outcome.unwrap_or_else(|_| Err(panicked("sink")))
    }

    /// Ends it, for this reason: before the next write, and in a write that waits for a program.
    pub fn abort(&self, fault: &Fault) {
        self.store.cut(fault);
        self.cancel.set();
    }

    /// The same for a sink alone: the stream goes on to those behind.
    pub fn give_up(&mut self) {
        self.over = true;
        self.cancel.set();
    }

    /// Waits until the sink is out of the way, a while at most: a write that hangs in the kernel cannot be ended.
    pub async fn ended(&mut self) {
        if !self.over {
            let _ = timeout(ABORT, self.outcome()).await;
        }
    }
}

/// A node that is dropped on its way leaves a sink that ends at once, not after all that waits for it.
impl Drop for SinkThread {
    fn drop(&mut self) {
        self.abort(&Fault::stopped());
    }
}

pub fn panicked(what: &str) -> Fault {
    Fault::new("kar.panic", format!("the {what} panicked: this is a bug in kar"))
}

fn run(mut sink: Box<dyn Sink>, store: &Store, seen: &Seen) -> Result<Taken> {
    let result = feed(&mut *sink, store, seen);
    if let Err(fault) = &result {
        sink.abort(fault);
    }
    result
}

fn feed(sink: &mut dyn Sink, store: &Store, seen: &Seen) -> Result<Taken> {
    let mut parts = Parts::new();
    let mut unpack = Unpack::default();
    let mut at = 0;
    // Where a part begins whose first byte has not come: that may lie behind the end of the stream and of the disk.
    let mut ahead = None;
    loop {
        match store.next_for_sink(at) {
            Next::Cut(fault) => return Err(fault),
            Next::Chunks(chunks) => {
                for chunk in chunks {
                    if chunk.offset() != at {
                        ahead = Some(parts.begin(chunk.offset()));
                    }
                    let data = parts.take(chunk.offset(), unpack.data(&chunk)?);
                    if !data.is_empty() {
                        if let Some(start) = ahead.take() {
                            sink.seek(start)?;
                        }
                        seen.write(|| sink.write(data))?;
                    }
                    seen.written.fetch_add(data.len() as u64, Ordering::Relaxed);
                    at = chunk.end();
                    let sunk = at;
                    if store.change(|ledger| {
                        ledger.sunk(sunk);
                        ledger.sink().is_none()
                    }) {
                        return Err(Fault::stopped());
                    }
                }
            }
            Next::End(end) => {
                if at == 0 && end.length > 0 {
                    // It joined when the stream was over.
                    parts.begin(end.length);
                }
                match parts.over(&end)? {
                    Ended::Whole(digest) => {
                        seen.finishing.store(true, Ordering::Relaxed);
                        let delivered = sink.finish()?;
                        return Ok(Taken { delivered, bytes: parts.length(&end), digest });
                    }
                    Ended::Missing(until) => {
                        let turns = store.turns();
                        seen.missing.store(until.unwrap_or(ALL), Ordering::SeqCst);
                        store.wait_again(turns)?;
                        sink.seek(0)?;
                        (at, ahead) = (0, None);
                    }
                }
            }
        }
    }
}

impl Seen {
    fn write(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let now = || self.begun.elapsed().as_millis() as u64;
        let before = now().max(1);
        self.writing.store(before, Ordering::Relaxed);
        let result = write();
        self.writing.store(0, Ordering::Relaxed);
        self.busy.fetch_add(now().saturating_sub(before), Ordering::Relaxed);
        result
    }
}
