//! A node's own sink, on a thread of its own: hashing and writing stand beside receiving and relaying.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::chunk::Flow;
use crate::host::{Fault, Result, Worker};
use crate::kit::stream::{Delivered, Sink};

/// How long a sink may take to abort before it is left alone.
const ABORT: Duration = Duration::from_secs(5);

/// What a sink has to show for itself: its own account, and the digest of what it was given.
pub struct Taken {
    pub delivered: Delivered,
    pub bytes: u64,
    pub digest: String,
}

/// The node's hold on the thread.
pub struct SinkThread {
    pub written: Arc<AtomicU64>,
    result: oneshot::Receiver<Result<Taken>>,
    /// The result was heard: it comes once.
    over: bool,
    why: Arc<Mutex<Option<Fault>>>,
}

impl SinkThread {
    /// The sink is fed through the sender; when that is dropped before an end has come, the sink is aborted.
    pub fn start(sink: Box<dyn Sink>, worker: Worker) -> Result<(SinkThread, mpsc::Sender<Flow>)> {
        let (feed, queue) = mpsc::channel();
        let (done, result) = oneshot::channel();
        let thread = SinkThread { written: Arc::default(), result, over: false, why: Arc::default() };
        let (written, why) = (thread.written.clone(), thread.why.clone());
        let worker = Worker { deadline: None, ..worker };
        std::thread::Builder::new()
            .name("chain sink".into())
            .spawn(move || {
                let outcome = worker.run(|| catch_unwind(AssertUnwindSafe(|| run(sink, queue, &written, &why))));
                let _ = done.send(outcome.unwrap_or_else(|_| Err(panicked("sink"))));
            })
            .map_err(|error| Fault::io("chain.thread", "start a thread", error))?;
        Ok((thread, feed))
    }

    /// What came of it, once. Cancel-safe.
    pub async fn outcome(&mut self) -> Result<Taken> {
        let outcome = (&mut self.result).await;
        self.over = true;
        outcome.unwrap_or_else(|_| Err(panicked("sink")))
    }

    /// Ends it before the next write, for this reason.
    pub fn abort(&self, fault: &Fault) {
        if let Ok(mut why) = self.why.lock() {
            why.get_or_insert_with(|| fault.clone());
        }
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

fn run(
    mut sink: Box<dyn Sink>,
    queue: mpsc::Receiver<Flow>,
    written: &AtomicU64,
    why: &Mutex<Option<Fault>>,
) -> Result<Taken> {
    let result = feed(&mut *sink, queue, written, why);
    if let Err(fault) = &result {
        sink.abort(fault);
    }
    result
}

fn feed(
    sink: &mut dyn Sink,
    queue: mpsc::Receiver<Flow>,
    written: &AtomicU64,
    why: &Mutex<Option<Fault>>,
) -> Result<Taken> {
    let mut hasher = blake3::Hasher::new();
    let cut = || why.lock().ok().and_then(|why| why.clone());
    loop {
        let flow = queue.recv();
        if let Some(fault) = cut() {
            return Err(fault);
        }
        match flow {
            Err(_) => return Err(Fault::new("chain.cut", "the stream was cut short")),
            Ok(Flow::Chunk(chunk)) => {
                hasher.update(chunk.data());
                sink.write(chunk.data())?;
                written.fetch_add(chunk.data().len() as u64, Ordering::Relaxed);
            }
            Ok(Flow::End(end)) => {
                let (digest, bytes) = (hasher.finalize(), hasher.count());
                if digest.as_bytes() != &end.digest || bytes != end.length {
                    let text = format!(
                        "the stream came damaged: {bytes} bytes with digest {}, the server sent {} with {}",
                        digest.to_hex(),
                        end.length,
                        end.hex()
                    );
                    return Err(Fault::new("chain.digest", text));
                }
                let delivered = sink.finish()?;
                return Ok(Taken { delivered, bytes, digest: digest.to_hex().to_string() });
            }
        }
    }
}
