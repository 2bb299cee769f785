//! Nodes that left the chain and said that they come back: how many, and how long they are waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

#[derive(Default)]
pub struct Absent(Mutex<State>);

#[derive(Default)]
struct State {
    count: usize,
    /// When the last one left.
    left: Option<Instant>,
}

impl Absent {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn leave(&self) {
        let mut state = self.lock();
        (state.count, state.left) = (state.count + 1, Some(Instant::now()));
    }

    pub fn back(&self) {
        let mut state = self.lock();
        state.count = state.count.saturating_sub(1);
    }

    /// Whether somebody is missing for whom there is patience: counted from `since`, or from when the last one left. A node
    /// may leave more than once, the second time out of a round that took long.
    pub fn awaited(&self, since: Instant, patience: Duration) -> bool {
        let state = self.lock();
        let since = state.left.map_or(since, |left| left.max(since));
        state.count > 0 && since.elapsed() < patience
    }
}
