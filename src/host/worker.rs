//! Who the current thread works for.

use std::cell::RefCell;
use std::time::Instant;

use super::Cancel;

/// Set around the body of a task or of a decision closure; read by the journal, the log and every wait.
#[derive(Debug, Clone, Default)]
pub struct Worker {
    /// The node's name; stands in front of log lines and in the journal's `node`.
    pub label: Option<String>,
    /// When the call has to be over: decisions that a server waits for.
    pub deadline: Option<Instant>,
    /// What ends this work early, beside the end of the run: the Ctrl-C for one line of a session. A child of
    /// [`Host::end`](super::Host::end); none for what outlives its line.
    pub cancel: Option<Cancel>,
}

thread_local! {
    static CURRENT: RefCell<Worker> = RefCell::default();
}

impl Worker {
    pub fn current() -> Worker {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The flag that ends the work of the current thread, where it has one of its own.
    pub fn cancel() -> Option<Cancel> {
        CURRENT.with_borrow(|worker| worker.cancel.clone())
    }

    /// Whether the work of the current thread was told to end. Asked at every step of a script.
    pub fn is_cancelled() -> bool {
        CURRENT.with_borrow(|worker| worker.cancel.as_ref().is_some_and(Cancel::is_set))
    }

    /// Runs `body` as this worker on the current thread.
    pub fn run<T>(self, body: impl FnOnce() -> T) -> T {
        struct Restore(Worker);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(std::mem::take(&mut self.0));
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        body()
    }
}
