//! Who the current thread works for.

use std::cell::RefCell;
use std::time::Instant;

/// Set around the body of a task or of a decision closure; read by the journal, the log and every wait.
#[derive(Debug, Clone, Default)]
pub struct Worker {
    /// The node's name; stands in front of log lines and in the journal's `node`.
    pub label: Option<String>,
    /// When the call has to be over: decisions that a server waits for.
    pub deadline: Option<Instant>,
}

thread_local! {
    static CURRENT: RefCell<Worker> = RefCell::default();
}

impl Worker {
    pub fn current() -> Worker {
        CURRENT.with_borrow(Clone::clone)
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
