//! How large frames are. A node sends a frame on once it is whole, so that the largest frame takes its own time once more at
//! every node, wherever in the stream it is; but every frame costs a header, an acknowledgement and some work.

use std::time::{Duration, Instant};

/// Payloads: the smallest, the first, and the largest; beyond that a processor's cache is left. With its header one of 24 KiB
/// fills 17 packets of TCP on Ethernet (1448 bytes with timestamps) but for 12 bytes, where most sizes leave the last packet half
/// empty. All are whole pages, and lie well within BLAKE3's tree: what crosses its borders takes twice as long to hash.
const SMALL: usize = 24 << 10;
const FIRST: usize = SMALL * 2;
const LARGE: usize = SMALL * 8;
/// The pace is looked at so often at most, and when something was acknowledged since; when nothing was, after [`STILL`].
/// Acknowledgements may be further apart than looks, and a look between two of them would see a stream that stands.
const LOOK: Duration = Duration::from_millis(100);
const STILL: Duration = Duration::from_secs(1);

/// What passes in so many milliseconds is one frame, where the end is known and where it is not.
const KNOWN: f64 = 4.0;
const UNKNOWN: f64 = 1.0;

pub struct Pace {
    size: usize,
    since: Instant,
    acked: u64,
    /// Bytes in a millisecond, lately.
    rate: Option<f64>,
    /// Milliseconds that pass as one frame.
    each: f64,
}

impl Pace {
    /// `known`: whether it is known where the stream ends. One of which it is not may be short.
    pub fn new(known: bool) -> Self {
        let each = if known { KNOWN } else { UNKNOWN };
        Pace { size: FIRST, since: Instant::now(), acked: 0, rate: None, each }
    }

    /// The payload of the next frame. `acked`: what everybody has by now.
    pub fn frame(&mut self, acked: impl FnOnce() -> u64) -> usize {
        let elapsed = self.since.elapsed();
        if elapsed >= LOOK {
            let acked = acked();
            let new = acked.saturating_sub(self.acked);
            if new == 0 && elapsed < STILL {
                return self.size;
            }
            let rate = new as f64 / elapsed.as_secs_f64() / 1000.0;
            let rate = self.rate.map_or(rate, |before| (before + rate) / 2.0);
            self.rate = Some(rate);
            self.size = step(self.size, (rate * self.each) as usize);
            (self.since, self.acked) = (Instant::now(), acked);
        }
        self.size
    }
}

/// Twice or half as large, not from one extreme to the other by one look; and not at every small change, because the
/// buffers of one size are of no use for another.
fn step(size: usize, each: usize) -> usize {
    match each {
        _ if each >= size * 2 => (size * 2).min(LARGE),
        _ if each < size / 2 => (size / 2).max(SMALL),
        _ => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_the_pace_and_stay_while_it_wavers() {
        let after = |mut size, each| {
            (0..20).for_each(|_| size = step(size, each));
            size
        };
        assert_eq!(after(FIRST, 0), SMALL);
        assert_eq!(after(FIRST, 12_500), 24 << 10);
        assert_eq!(after(FIRST, 50_000), 48 << 10);
        assert_eq!(after(SMALL, 125_000), 96 << 10);
        assert_eq!(after(96 << 10, 100_000), 96 << 10);
        assert_eq!(after(96 << 10, 60_000), 96 << 10);
        assert_eq!(after(SMALL, 1 << 30), LARGE);
        assert_eq!(after(LARGE, 12_500), 24 << 10);
    }
    #[test]
    fn a_look_between_two_acknowledgements_is_no_standstill() {
        let mut pace = Pace::new(true);
        let mut look = |after: Duration, acked: u64| {
            pace.since = Instant::now() - after;
            (pace.frame(|| acked), pace.rate)
        };
        assert_eq!(look(LOOK, 0), (FIRST, None));
        let (size, rate) = look(LOOK * 2, 100_000_000);
        assert!(size == FIRST * 2 && rate.is_some());
        assert_eq!(look(LOOK, 100_000_000), (size, rate));
        let (size, slower) = look(STILL, 100_000_000);
        assert!(slower < rate, "{slower:?}");
        assert!((0..30).fold(size, |_, _| look(STILL, 100_000_000).0) == SMALL);
    }
}
