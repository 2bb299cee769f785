//! What one place of the chain holds of the stream and must not let go yet: positions alone, no bytes and no network.
//!
//! Everybody keeps what somebody behind it, however far, has not received. So whoever is in front of an orphan, however
//! many between them are gone, has what the orphan wants. `model.rs` lets chains of ledgers fail in all ways.

use std::collections::BTreeMap;

/// One node that this place feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// Which link: what an earlier one still says is not heard.
    epoch: u64,
    /// It and all behind it have received what is before this.
    pin: u64,
    /// What it had before this place fed it.
    had: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// All before this has been received here (at the server: read).
    high: u64,
    /// What is before this may be gone.
    low: u64,
    /// How far the own sink is; `None` without one.
    sink: Option<u64>,
    /// By position in the chain.
    slots: BTreeMap<usize, Slot>,
    /// Where the stream ends, once that is known.
    end: Option<u64>,
}

impl Ledger {
    /// With a sink or, at the server and for who only relays, without.
    pub fn new(has_sink: bool) -> Self {
        Ledger { sink: has_sink.then_some(0), ..Ledger::default() }
    }

    pub fn high(&self) -> u64 {
        self.high
    }

    pub fn end(&self) -> Option<u64> {
        self.end
    }

    pub fn sink(&self) -> Option<u64> {
        self.sink
    }

    /// The stream begins here for this place, not at 0; before anything has come.
    pub fn begin(&mut self, at: u64) {
        (self.high, self.low) = (at, at);
        self.sink = self.sink.map(|_| at);
        for slot in self.slots.values_mut() {
            slot.pin = slot.pin.max(at);
        }
    }

    pub fn receive(&mut self, bytes: u64) {
        self.high += bytes;
    }

    pub fn finish(&mut self) {
        self.end = Some(self.high);
    }

    pub fn sunk(&mut self, position: u64) {
        self.sink = self.sink.map(|sink| sink.max(position));
    }

    /// The sink failed: from now on this place only relays.
    pub fn drop_sink(&mut self) {
        self.sink = None;
    }

    /// This place and all behind it have received what is before this; the end of the stream counts as one more byte.
    pub fn acked(&self) -> u64 {
        let own = self.high + u64::from(self.end.is_some());
        self.slots.values().map(|slot| slot.pin).fold(own, u64::min)
    }

    /// What is before this may go; moves `low` there.
    pub fn trim(&mut self) -> u64 {
        let keep = self.acked().min(self.sink.unwrap_or(self.high)).min(self.high);
        self.low = self.low.max(keep);
        self.low
    }

    /// From now on these are fed, over links of these epochs. Who comes in the place of somebody gets its pin: that was
    /// the position of the last of all behind it. That the stream is over each says itself: it may have joined just now.
    pub fn feed(&mut self, wanted: &[(usize, u64)]) {
        let inherited = self.acked();
        let before = std::mem::take(&mut self.slots);
        for (position, epoch) in wanted {
            let (pin, had) = before.get(position).map_or((inherited.min(self.high), 0), |slot| (slot.pin, slot.had));
            self.slots.insert(*position, Slot { epoch: *epoch, pin, had });
        }
    }

    /// A link was made to `position`, which wants the stream from `want` on: whether that can be.
    pub fn attach(&mut self, position: usize, epoch: u64, want: u64) -> bool {
        match self.slots.get_mut(&position).filter(|slot| slot.epoch == epoch && want >= self.low) {
            Some(slot) => {
                slot.had = want;
                true
            }
            None => false,
        }
    }

    /// A link was made to `position`, which joined late and takes what comes next: where that is. Neither it nor anybody behind
    /// it wants what is before. Were that kept for it, a full place would wait for who waits for this place.
    pub fn join(&mut self, position: usize, epoch: u64) -> Option<u64> {
        let slot = self.slots.get_mut(&position).filter(|slot| slot.epoch == epoch)?;
        (slot.pin, slot.had) = (slot.pin.max(self.high), self.high);
        Some(self.high)
    }

    /// A node says that it and all behind it have received what is before `to`. Whether that was news.
    pub fn ack(&mut self, position: usize, epoch: u64, to: u64) -> bool {
        let here = self.high + u64::from(self.end.is_some());
        match self.slots.get_mut(&position) {
            // Who had more before may be ahead of this place.
            Some(slot) if slot.epoch == epoch && slot.pin < to && to <= here.max(slot.had) => {
                slot.pin = to;
                true
            }
            _ => false,
        }
    }

    /// The whole stream is here and everywhere behind.
    pub fn drained(&self) -> bool {
        self.end.is_some_and(|end| self.acked() == end + 1)
    }

    pub fn feeds(&self) -> bool {
        !self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_behind_lacks_is_kept() {
        let mut ledger = Ledger::new(true);
        ledger.feed(&[(2, 1)]);
        ledger.receive(100);
        ledger.sunk(100);
        assert_eq!((ledger.trim(), ledger.acked()), (0, 0));
        assert!(ledger.ack(2, 1, 40) && !ledger.ack(2, 1, 30) && !ledger.ack(2, 9, 50) && !ledger.ack(3, 1, 50));
        assert_eq!((ledger.trim(), ledger.acked()), (40, 40));
        // 2 is gone, 3 was behind it.
        ledger.feed(&[(3, 2)]);
        assert_eq!(ledger.acked(), 40);
        assert!(
            ledger.attach(3, 2, 40) && !ledger.attach(3, 1, 40) && !ledger.attach(2, 1, 40) && !ledger.attach(3, 2, 39)
        );
        ledger.finish();
        assert!(!ledger.drained());
        ledger.ack(3, 2, 100);
        assert!(!ledger.drained(), "it may not know that this is the end");
        ledger.ack(3, 2, 101);
        assert!(ledger.drained());
    }

    #[test]
    fn a_sink_that_lags_keeps_but_acknowledges() {
        let mut ledger = Ledger::new(true);
        ledger.receive(100);
        assert_eq!((ledger.acked(), ledger.trim()), (100, 0));
        ledger.drop_sink();
        assert_eq!(ledger.trim(), 100);
    }

    #[test]
    fn who_joins_late_is_kept_nothing_from_before() {
        let mut ledger = Ledger::new(false);
        ledger.feed(&[(1, 1)]);
        ledger.receive(100);
        // 1 is gone, 2 joined behind it a moment ago.
        ledger.feed(&[(2, 2)]);
        assert_eq!((ledger.join(2, 1), ledger.trim()), (None, 0));
        assert_eq!((ledger.join(2, 2), ledger.trim()), (Some(100), 100));
    }

    #[test]
    fn who_joins_at_the_end_has_yet_to_hear_of_it() {
        let mut ledger = Ledger::new(false);
        ledger.receive(10);
        ledger.finish();
        assert!(ledger.drained());
        ledger.feed(&[(2, 1)]);
        assert_eq!((ledger.join(2, 1), ledger.drained()), (Some(10), false));
        assert!(ledger.ack(2, 1, 11) && ledger.drained());
    }

    /// Nobody acknowledges what was never sent.
    #[test]
    fn a_lie_moves_nothing() {
        let mut ledger = Ledger::new(false);
        ledger.feed(&[(1, 1)]);
        ledger.receive(10);
        assert!(!ledger.ack(1, 1, 11));
        assert_eq!(ledger.trim(), 0);
    }
}
