//! The server's source, on a thread of its own: reading and hashing stand beside sending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::chunk::{Budget, End, Fan, Flow};
use super::sink::panicked;
use crate::host::{Fault, Result, Worker};
use crate::kit::stream::Source;

/// Reads `source` to its end into `fan`; ends early when `budget` is closed.
pub fn start(
    source: Box<dyn Source>,
    budget: Budget,
    fan: Fan,
    sent: Arc<AtomicU64>,
    worker: Worker,
) -> Result<oneshot::Receiver<Result<End>>> {
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    let worker = Worker { deadline: None, ..worker };
    std::thread::Builder::new()
        .name("chain source".into())
        .spawn(move || {
            let read = || worker.run(|| read(source, &budget, &fan, &sent, &runtime));
            let outcome = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(panicked("source")));
            let _ = done.send(outcome);
        })
        .map_err(|error| Fault::io("chain.thread", "start a thread", error))?;
    Ok(result)
}

fn read(mut source: Box<dyn Source>, budget: &Budget, fan: &Fan, sent: &AtomicU64, runtime: &Handle) -> Result<End> {
    let mut hasher = blake3::Hasher::new();
    loop {
        let mut chunk = runtime.block_on(budget.chunk()).ok_or_else(Fault::stopped)?;
        let (_, space) = chunk.space();
        let mut length = 0;
        let mut ended = false;
        // Full chunks: as many bytes for one turn of every wheel as there can be.
        while length < space.len() && !ended {
            let read = source.read(&mut space[length..])?;
            ended = read == 0;
            length += read;
        }
        if length > 0 {
            hasher.update(&space[..length]);
            chunk.seal(sent.load(Ordering::Relaxed), length);
            fan.push(Flow::Chunk(Arc::new(chunk)));
            sent.fetch_add(length as u64, Ordering::Relaxed);
        }
        if ended {
            let end = End { length: sent.load(Ordering::Relaxed), digest: *hasher.finalize().as_bytes() };
            fan.push(Flow::End(end));
            return Ok(end);
        }
    }
}
