//! The words all rooms share: the host a script runs on, faults, options, sizes, durations, and the one door
//! through which everything that changes the world passes.

mod cancel;
mod console;
mod door;
mod fault;
mod holdings;
mod journal;
mod opts;
mod size;
mod time;
mod worker;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

pub use cancel::Cancel;
pub use console::{Console, Display, Level, Meter, Silent};
pub use door::{Effect, Planned, Weight};
pub use fault::{Fault, Result, nearest};
pub use holdings::{Hold, Holdings};
pub use journal::Journal;
pub use opts::{Opts, size_of, time_of};
pub use size::{format_size, parse_size};
pub use time::{format_duration, parse_duration};
pub use worker::Worker;

/// What a running script stands on: the runtime its primitives wait on, the door, and all that is held open.
/// Cheap to clone; every clone is the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    runtime: tokio::runtime::Handle,
    /// Set once, by Ctrl-C or SIGTERM; ends every wait, loop and server of this host.
    cancel: Cancel,
    journal: Journal,
    console: Arc<dyn Console>,
    holdings: Holdings,
}

impl Host {
    /// A host on a running tokio runtime. The runtime must outlive it.
    pub fn new(runtime: tokio::runtime::Handle, console: Arc<dyn Console>) -> Self {
        Host(Arc::new(Inner {
            runtime,
            cancel: Cancel::new(),
            journal: Journal::default(),
            console,
            holdings: Holdings::default(),
        }))
    }

    /// Runs a future to its end on the runtime, from a plain thread (never from an async task). Ends early with
    /// `host.stopped` on Ctrl-C and with `host.late` at the deadline of the worker it runs in. The future is
    /// dropped then: what it started must stop with it.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let worker = Worker::current();
        self.0.runtime.block_on(async {
            let late = async {
                match worker.deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = self.0.cancel.cancelled() => Err(Fault::stopped()),
                _ = late => Err(Fault::late()),
                done = work => done,
            }
        })
    }

    /// The error that ends the current call if it has to end now: Ctrl-C, or the worker's deadline.
    pub fn check(&self) -> Result<()> {
        if self.0.cancel.is_set() {
            return Err(Fault::stopped());
        }
        match Worker::current().deadline {
            Some(at) if Instant::now() >= at => Err(Fault::late()),
            _ => Ok(()),
        }
    }

    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.0.runtime
    }

    pub fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn console(&self) -> &dyn Console {
        &*self.0.console
    }

    /// Says something to the person, under the name of the node this thread works for.
    pub fn log(&self, level: Level, text: &str) {
        self.0.console.log(level, Worker::current().label.as_deref(), text);
    }

    /// A progress display for one long piece of work. `total` in bytes, where it is known.
    pub fn meter(&self, title: &str, total: Option<u64>) -> Meter {
        self.0.console.meter(Worker::current().label.as_deref(), title, total)
    }

    /// Remembers something that has to be undone (a mount, an attached disk, a listening port), until the returned
    /// [`Hold`] is dropped or the host ends, whichever comes first.
    pub fn hold(&self, verb: &'static str, object: &str, release: impl FnMut() -> Result<()> + Send + 'static) -> Hold {
        self.0.holdings.add(self.clone(), verb, object, Box::new(release))
    }

    /// What is open now, oldest first: `(verb that undoes it, object)`.
    pub fn held(&self) -> Vec<(String, String)> {
        self.0.holdings.list()
    }

    /// Undoes all that is still held, newest first, trying again for a while what is busy. Returns what could not
    /// be undone. Called once at the end of a run, however it ended.
    pub fn release_all(&self) -> Vec<Fault> {
        self.0.holdings.release_all(self)
    }
}
