//! Leases on their way to disk, and the replies that wait for them.
//!
//! One thread writes. While it waits for the disk, the leases of further clients gather and go with its next writing, so
//! that a disk of 200 flushes a second keeps thousands of leases a second.

use std::net::Ipv4Addr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::leases::Lease;
use super::outbox::Parcel;
use super::store::{self, Store};
use crate::host::Fault;

/// From the end of a writing to the start of the next one: a flush costs the processor as much as some ten leases, and more
/// of them save nobody time. The first after a pause is written at once.
const GATHER: Duration = Duration::from_millis(4);

/// A reply that waits, with the address it is about.
pub struct Waiting {
    pub parcel: Parcel,
    pub ip: Option<Ipv4Addr>,
}

#[derive(Default)]
struct Queue {
    text: String,
    lines: usize,
    waiting: Vec<Waiting>,
    ended: bool,
    /// Whether the writing thread has nothing to do.
    idle: bool,
}

#[derive(Default)]
pub struct Disk {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// What the writing thread needs of the server.
pub trait Owner {
    /// All leases now. `with` runs while they cannot change.
    fn snapshot(&self, with: &mut dyn FnMut(Vec<Lease>));
    /// These may go: their leases are on disk.
    fn written(&self, waiting: Vec<Waiting>);
    /// These may not.
    fn lost(&self, waiting: Vec<Waiting>, fault: &Fault);
}

impl Disk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called while the rules are locked, so that the file has the order of the changes.
    pub fn push(&self, records: &[Lease], waiting: Option<Waiting>) {
        let mut queue = self.queue();
        for record in records {
            store::line(record, &mut queue.text);
        }
        queue.lines += records.len();
        queue.waiting.extend(waiting);
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        if idle {
            self.wake.notify_one();
        }
    }

    /// What was pushed is still written.
    pub fn end(&self) {
        self.queue().ended = true;
        self.wake.notify_one();
    }

    /// Writes until it is ended.
    pub fn run(&self, mut store: Store, owner: &impl Owner) {
        let mut last = None::<Instant>;
        loop {
            let mut queue = self.queue();
            while queue.lines == 0 && queue.waiting.is_empty() {
                if queue.ended {
                    return;
                }
                queue.idle = true;
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            drop(queue);
            if let Some(rest) = last.and_then(|last| GATHER.checked_sub(last.elapsed())) {
                std::thread::sleep(rest);
            }
            let (mut work, mut anew) = (Queue::default(), None);
            if store.is_long() {
                // Taken while no lease can change: what waits is in the snapshot, what comes later is not.
                owner.snapshot(&mut |leases| {
                    work = self.take();
                    anew = Some(leases);
                });
            } else {
                work = self.take();
            }
            let written = match anew {
                Some(leases) => store.compact(&leases),
                None => store.append(&work.text, work.lines),
            };
            match written {
                Ok(()) => owner.written(work.waiting),
                Err(fault) => owner.lost(work.waiting, &fault),
            }
            last = Some(Instant::now());
        }
    }

    fn take(&self) -> Queue {
        let mut queue = self.queue();
        let ended = queue.ended;
        std::mem::replace(&mut *queue, Queue { ended, ..Queue::default() })
    }
}
