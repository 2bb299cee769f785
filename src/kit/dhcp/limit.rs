//! How often one client is listened to: a broken or hostile one must not starve the others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Packets that a client may send at once, and then in each second.
const BURST: f32 = 40.0;
const RATE: f32 = 10.0;
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
#[derive(Debug, Default)]
pub struct Limit(HashMap<Vec<u8>, Bucket>);

impl Limit {
    pub fn look(&mut self, client: &[u8], now: Instant) -> Verdict {
        if let Some(bucket) = self.0.get_mut(client) {
            let time = now.saturating_duration_since(bucket.seen).as_secs_f32();
            bucket.left = (bucket.left + time * RATE).min(BURST);
            bucket.seen = now;
            if bucket.left >= 1.0 {
                bucket.left -= 1.0;
                // Quiet again, after it had been told.
                bucket.told &= bucket.left < BURST / 2.0;
                return Verdict::Pass;
            }
            return if std::mem::replace(&mut bucket.told, true) { Verdict::Drop } else { Verdict::First };
        }
        if self.0.len() >= KNOWN {
            let full = Duration::from_secs_f32(BURST / RATE);
            self.0.retain(|_, bucket| now.saturating_duration_since(bucket.seen) < full);
            if self.0.len() >= KNOWN {
                self.0.clear();
            }
        }
        self.0.insert(client.to_vec(), Bucket { left: BURST - 1.0, seen: now, told: false });
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_its_rate_and_told_once() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        let mut count = |from: u64, to: u64, verdict| {
            (from..to).filter(|ms| limit.look(b"a", start + Duration::from_millis(*ms)) == verdict).count()
        };
        assert_eq!(count(0, 40, Verdict::Pass), 40);
        assert_eq!(count(40, 41, Verdict::First), 1);
        let passed = count(41, 10_041, Verdict::Pass);
        assert!((95..=105).contains(&passed), "{passed} in ten seconds");
        assert_eq!(limit.look(b"b", start), Verdict::Pass, "another client");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        for n in 0..250_000u32 {
            limit.look(&n.to_be_bytes(), start);
        }
        assert!(limit.0.len() <= KNOWN);
    }
}
