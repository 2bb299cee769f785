//! How often one client is listened to: a broken or hostile one must not starve the others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Packets a second of one client that are listened to, unless a site says otherwise: the most impatient ROM asks every
/// half second, and four times that many machines may hang on one address by a mistake.
pub const USUAL: u32 = 10;
/// Seconds of its rate that a client may send at once.
const AT_ONCE: f32 = 4.0;
/// Clients remembered; those silent for long are forgotten first.
const KNOWN: usize = 100_000;

#[derive(Debug)]
struct Bucket {
    left: f32,
    seen: Instant,
    /// Whether anybody was told of it.
    told: bool,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The first one too many, which is told.
    First,
    Drop,
}

/// A bucket for each hardware address that fills with time.
#[derive(Debug)]
pub struct Limit {
    /// Packets that a client may send in a second, for long; zero: as many as it likes.
    rate: f32,
    known: HashMap<[u8; 16], Bucket>,
}

impl Limit {
    pub fn new(rate: u32) -> Limit {
        Limit { rate: rate as f32, known: HashMap::new() }
    }

    /// `client` is the field of its hardware address.
    pub fn look(&mut self, client: [u8; 16], now: Instant) -> Verdict {
        let burst = self.rate * AT_ONCE;
        if self.rate == 0.0 {
            return Verdict::Pass;
        }
        if let Some(bucket) = self.known.get_mut(&client) {
            let time = now.saturating_duration_since(bucket.seen).as_secs_f32();
            bucket.left = (bucket.left + time * self.rate).min(burst);
            bucket.seen = now;
            if bucket.left >= 1.0 {
                bucket.left -= 1.0;
                // Quiet again, after it had been told.
                bucket.told &= bucket.left < burst / 2.0;
                return Verdict::Pass;
            }
            return if std::mem::replace(&mut bucket.told, true) { Verdict::Drop } else { Verdict::First };
        }
        if self.known.len() >= KNOWN {
            let full = Duration::from_secs_f32(AT_ONCE);
            self.known.retain(|_, bucket| now.saturating_duration_since(bucket.seen) < full);
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
        }
        self.known.insert(client, Bucket { left: burst - 1.0, seen: now, told: false });
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_its_rate_and_told_once() {
        let (mut limit, start) = (Limit::new(10), Instant::now());
        let mut count = |from: u64, to: u64, verdict| {
            (from..to).filter(|ms| limit.look([1; 16], start + Duration::from_millis(*ms)) == verdict).count()
        };
        assert_eq!(count(0, 40, Verdict::Pass), 40);
        assert_eq!(count(40, 41, Verdict::First), 1);
        let passed = count(41, 10_041, Verdict::Pass);
        assert!((95..=105).contains(&passed), "{passed} in ten seconds");
        assert_eq!(limit.look([2; 16], start), Verdict::Pass, "another client");
    }

    #[test]
    fn a_rate_of_zero_listens_to_all() {
        let (mut limit, now) = (Limit::new(0), Instant::now());
        assert!((0..10_000).all(|_| limit.look([1; 16], now) == Verdict::Pass) && limit.known.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut limit, start) = (Limit::new(10), Instant::now());
        for n in 0..250_000u128 {
            limit.look(n.to_be_bytes(), start);
        }
        assert!(limit.known.len() <= KNOWN);
    }
}
