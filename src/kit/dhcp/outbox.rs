//! Replies on their way out. One thread sends them all: many by one call, and evenly, since a relay takes them all, and what
//! overruns its buffer costs each client a second or more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::MANY;
use super::port::Outgoing;
use super::request::Event;

/// Replies sent in a millisecond, on the average; half of them are ACKs.
const RATE: f64 = 28.0;
/// Replies sent at once, after none were to be sent for a while.
const BURST: f64 = 32.0;
/// Times that a full queue to the wire is tried again, a millisecond each, before a reply is given up.
const TRIES: u32 = 50;

/// A reply, and what is told of it.
#[derive(Debug)]
pub struct Parcel {
    pub reply: Outgoing,
    pub events: Vec<Event>,
}

struct State {
    parcels: VecDeque<Parcel>,
    /// How many may go now.
    left: f64,
    filled: Instant,
    tries: u32,
}

pub struct Outbox(Mutex<State>);

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox(Mutex::new(State { parcels: VecDeque::new(), left: BURST, filled: Instant::now(), tries: 0 }))
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn extend(&self, parcels: impl IntoIterator<Item = Parcel>) {
        self.state().parcels.extend(parcels);
    }

    pub fn is_empty(&self) -> bool {
        self.state().parcels.is_empty()
    }

    /// Those that may go now, the oldest first, at most [`MANY`].
    pub fn take(&self, now: Instant) -> Vec<Parcel> {
        let mut state = self.state();
        let passed = now.saturating_duration_since(state.filled).as_secs_f64() * 1000.0;
        state.left = (state.left + passed * RATE).min(BURST);
        state.filled = now;
        let count = (state.left as usize).min(state.parcels.len()).min(MANY);
        state.left -= count as f64;
        state.parcels.drain(..count).collect()
    }

    /// The queue to the wire is full: these were not sent. Gives back one that was tried too often.
    pub fn put_back(&self, parcels: Vec<Parcel>) -> Option<Parcel> {
        let mut state = self.state();
        state.left += parcels.len() as f64;
        for parcel in parcels.into_iter().rev() {
            state.parcels.push_front(parcel);
        }
        state.tries += 1;
        let over = state.tries > TRIES;
        over.then(|| {
            state.tries = 0;
            state.parcels.pop_front()
        })?
    }

    /// Something was sent.
    pub fn flows(&self) {
        self.state().tries = 0;
    }

    /// How long until the next may go.
    pub fn next(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::dhcp::port::Target;

    fn parcel(port: usize) -> Parcel {
        let target = Target::Address("127.0.0.1:9".parse().unwrap());
        Parcel { reply: Outgoing { port, target, second: false, bytes: Vec::new() }, events: Vec::new() }
    }

    #[test]
    fn replies_go_evenly_and_in_order() {
        let (outbox, start) = (Outbox::default(), Instant::now() + Duration::from_secs(1));
        outbox.extend((0..1000).map(parcel));
        let mut order = Vec::new();
        for ms in 0..20 {
            order.extend(outbox.take(start + Duration::from_millis(ms)).iter().map(|parcel| parcel.reply.port));
        }
        let expected = (BURST + 19.0 * RATE) as usize;
        assert!((expected - 2..=expected).contains(&order.len()), "{} in 20 ms", order.len());
        assert!(order.is_sorted());
    }

    #[test]
    fn what_was_put_back_goes_first_and_is_given_up_in_the_end() {
        let outbox = Outbox::default();
        outbox.extend((0..3).map(parcel));
        for _ in 0..TRIES {
            let taken = outbox.take(Instant::now() + Duration::from_secs(1));
            assert_eq!(taken[0].reply.port, 0);
            assert!(outbox.put_back(taken).is_none());
        }
        let taken = outbox.take(Instant::now() + Duration::from_secs(1));
        assert_eq!(outbox.put_back(taken).unwrap().reply.port, 0, "the first is given up");
        assert_eq!(outbox.take(Instant::now() + Duration::from_secs(1)).len(), 2);
        assert!(outbox.is_empty() && outbox.next().is_none());
    }
}
