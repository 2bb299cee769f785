//! Packets that wait for the closure.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::engine::Job;

/// Beyond, packets are dropped: clients ask again.
const ROOM: usize = 65_536;

#[derive(Default)]
pub struct Queue {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    wake: Condvar,
}

impl Queue {
    /// False where there is no room, or no more is answered.
    pub fn push(&self, job: Job) -> bool {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.0.len() >= ROOM || jobs.1 {
            return false;
        }
        jobs.0.push_back(job);
        drop(jobs);
        self.wake.notify_one();
        true
    }

    /// The one that waits longest; `None` once the queue is closed.
    pub fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if jobs.1 {
                return None;
            }
            if let Some(job) = jobs.0.pop_front() {
                return Some(job);
            }
            jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.wake.notify_all();
    }
}
