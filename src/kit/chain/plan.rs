//! Who stands where, and who feeds whom.

use std::net::IpAddr;
#[cfg(test)]
use std::ops::Range;

use super::Order;

/// Puts joined nodes in order: `(address, when it joined)` each; gives their indices.
pub fn sequence(joined: &[(IpAddr, usize)], order: Order) -> Vec<usize> {
    let mut places: Vec<usize> = (0..joined.len()).collect();
    places.sort_by_key(|&at| {
        let (address, when) = joined[at];
        (matches!(order, Order::Address).then_some(address), when)
    });
    places
}

/// The positions that `position` feeds, of `count` nodes numbered from 1; the server is 0.
#[cfg(test)]
pub fn behind(position: usize, arity: usize, count: usize) -> Range<usize> {
    let first = (position * arity + 1).min(count + 1);
    first..(first + arity).min(count + 1)
}

/// Who feeds `position` (not 0).
pub fn front(position: usize, arity: usize) -> usize {
    (position - 1) / arity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let joined = [(ip("10.0.0.10"), 0), (ip("10.0.0.9"), 1), (ip("fe80::2"), 2), (ip("10.0.0.9"), 3)];
        assert_eq!(sequence(&joined, Order::Address), [1, 3, 0, 2]);
        assert_eq!(sequence(&joined, Order::Joined), [0, 1, 2, 3]);
    }

    #[test]
    fn everyone_is_fed_once() {
        for arity in 1..=4 {
            for count in 0..40 {
                let fed: Vec<usize> = (0..=count).flat_map(|at| behind(at, arity, count)).collect();
                assert_eq!(fed, (1..=count).collect::<Vec<_>>(), "arity {arity}, {count} nodes");
                for at in 0..=count {
                    assert!(behind(at, arity, count).all(|next| front(next, arity) == at));
                }
            }
        }
        assert_eq!(behind(0, 1, 3), 1..2);
        assert_eq!(behind(1, 2, 5), 3..5);
    }
}
