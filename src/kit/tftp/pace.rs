//! How an answer is waited for: looked for again and again, or slept for. One block at a time, half of a transfer on a quick
//! network is the way into that sleep and out of it; but where client and server share a processor, looking keeps the
//! client from its work. So both are tried out as the transfer goes, again and again, and what was quicker is kept to.

use std::time::{Duration, Instant};

/// How often an answer is looked for before it is slept for after all: some fifty microseconds, as long as a processor takes
/// that has to be woken for it.
pub const LOOKS: u32 = 400;
/// Answers of a trial, and answers from there to the next trial; four times as many after each time that looking was not
/// worth it, up to 64 times.
const TRIAL: u32 = 32;
const KEPT: u32 = 1000;
const LOST: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    TrySleep,
    TryLook,
    Keep(bool),
}

#[derive(Debug)]
pub struct Pace {
    phase: Phase,
    left: u32,
    began: Instant,
    slept: Duration,
    /// How often in a row looking was not worth it.
    lost: u32,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace { phase: Phase::TrySleep, left: TRIAL, began: now, slept: Duration::ZERO, lost: 0 }
    }

    /// Before each answer: whether to look for it.
    pub fn look(&mut self, now: impl FnOnce() -> Instant) -> bool {
        match self.left.checked_sub(1) {
            // A trial that is lost already ends: it keeps the processor from others.
            Some(left) if self.phase == Phase::TryLook => {
                let now = now();
                self.left = left;
                if self.lags(now) {
                    self.turn(now);
                }
            }
            Some(left) => self.left = left,
            None => self.turn(now()),
        }
        matches!(self.phase, Phase::TryLook | Phase::Keep(true))
    }

    /// Whether looking takes as long as sleeping did. It costs a processor: not for a little.
    fn lags(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= self.slept.mul_f64(0.9)
    }

    fn turn(&mut self, now: Instant) {
        (self.phase, self.left) = match self.phase {
            Phase::TrySleep => {
                self.slept = now.saturating_duration_since(self.began);
                (Phase::TryLook, TRIAL)
            }
            Phase::TryLook if self.lags(now) => {
                self.lost = LOST.min(self.lost + 1);
                (Phase::Keep(false), KEPT << (2 * self.lost))
            }
            Phase::TryLook => {
                self.lost = 0;
                (Phase::Keep(true), KEPT)
            }
            Phase::Keep(_) => (Phase::TrySleep, TRIAL),
        };
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 20,000 answers, how many were looked for, where a look and a sleep take so long.
    fn looked(look: u64, sleep: u64) -> usize {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let answers = (0..20_000).filter(|_| {
            let looked = pace.look(|| now);
            now += Duration::from_micros(if looked { look } else { sleep });
            looked
        });
        answers.count()
    }

    #[test]
    fn what_was_quicker_is_kept_to() {
        assert!(looked(20, 50) > 18_000);
        for (look, sleep) in [(50, 20), (50, 50), (1000, 1000)] {
            assert!(looked(look, sleep) < 200, "{look} {sleep}");
        }
    }
}
