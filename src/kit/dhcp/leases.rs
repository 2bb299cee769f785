//! Who has which address until when, in memory. Every question is answered without looking through all of them, so that
//! a full range of 60,000 costs no more than an empty one.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::subnet::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Held for a moment while the client decides; never in the file.
    Offered,
    Bound,
    /// Given back, or over: remembered, so that the client gets it again.
    Released,
    /// In use by somebody unknown: rests until `expires`.
    Declined,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub ip: Ipv4Addr,
    /// Hardware address, pairs of digits.
    pub mac: String,
    /// Who it belongs to: see [`super::Rules`].
    pub client: String,
    #[serde(default)]
    pub hostname: String,
    pub state: State,
    /// Seconds since 1970; `u64::MAX` never.
    pub expires: u64,
}

impl Lease {
    /// Whether the address is not to be given to anybody else.
    pub fn holds(&self, now: u64) -> bool {
        self.state != State::Released && self.expires > now
    }
}

/// A range and what of it is free.
#[derive(Debug)]
struct Pool {
    range: Range,
    /// The first address that nobody was ever given; `None` when the range is used up.
    never: Option<u32>,
    /// Given up before anything came of it: offers that were not taken, rests that are over.
    spare: BTreeSet<Ipv4Addr>,
    /// Released or over, by the time: the one unused longest first.
    idle: BTreeSet<(u64, Ipv4Addr)>,
}

#[derive(Debug, Default)]
pub struct Leases {
    by_ip: HashMap<Ipv4Addr, Lease>,
    by_client: HashMap<String, Ipv4Addr>,
    /// All that end some day, by the time.
    ends: BTreeSet<(u64, Ipv4Addr)>,
    pools: Vec<Pool>,
}

impl Leases {
    /// `ranges` are those of all networks, by which [`Leases::fresh`] counts.
    pub fn new(ranges: impl IntoIterator<Item = Range>) -> Leases {
        let pool = |range: Range| Pool {
            range,
            never: Some(range.first.to_bits()),
            spare: BTreeSet::new(),
            idle: BTreeSet::new(),
        };
        Leases { pools: ranges.into_iter().map(pool).collect(), ..Leases::default() }
    }

    /// Takes back what an earlier server wrote; what is over by `now` is remembered, no more.
    pub fn restore(&mut self, leases: impl IntoIterator<Item = Lease>, now: u64) {
        for mut lease in leases {
            if lease.state == State::Bound && lease.expires <= now {
                lease.state = State::Released;
            }
            self.put(lease);
        }
    }

    pub fn at(&self, ip: Ipv4Addr) -> Option<&Lease> {
        self.by_ip.get(&ip)
    }

    pub fn of(&self, client: &str) -> Option<&Lease> {
        self.by_ip.get(self.by_client.get(client)?)
    }

    pub fn all(&self) -> impl Iterator<Item = &Lease> {
        self.by_ip.values()
    }

    fn pool(&mut self, ip: Ipv4Addr) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.range.contains(ip))
    }

    /// Takes the place of what the address and the client had before.
    pub fn put(&mut self, lease: Lease) {
        if self.by_client.get(&lease.client).is_some_and(|ip| *ip != lease.ip) {
            let before = self.by_client[&lease.client];
            self.remove(before);
        }
        self.take(lease.ip);
        let (ip, when) = (lease.ip, lease.expires);
        match lease.state {
            State::Released => {
                if let Some(pool) = self.pool(ip) {
                    pool.spare.remove(&ip);
                    pool.idle.insert((when, ip));
                }
            }
            _ => {
                if let Some(pool) = self.pool(ip) {
                    pool.spare.remove(&ip);
                }
                self.ends.insert((when, ip));
            }
        }
        self.by_client.insert(lease.client.clone(), ip);
        self.by_ip.insert(ip, lease);
    }

    /// Out of every list.
    fn take(&mut self, ip: Ipv4Addr) -> Option<Lease> {
        let lease = self.by_ip.remove(&ip)?;
        self.by_client.remove(&lease.client);
        self.ends.remove(&(lease.expires, ip));
        if let Some(pool) = self.pool(ip) {
            pool.idle.remove(&(lease.expires, ip));
        }
        Some(lease)
    }

    /// Forgets who had it.
    pub fn remove(&mut self, ip: Ipv4Addr) {
        if self.take(ip).is_some()
            && let Some(pool) = self.pool(ip)
        {
            pool.spare.insert(ip);
        }
    }

    /// Ends what is over: leases are remembered as released, offers and rests forgotten. Gives back the leases.
    pub fn sweep(&mut self, now: u64) -> Vec<Lease> {
        let mut over = Vec::new();
        while let Some((_, ip)) = self.ends.first().copied().filter(|(when, _)| *when <= now) {
            let Some(lease) = self.by_ip.get(&ip).cloned() else {
                self.ends.pop_first();
                continue;
            };
            match lease.state {
                State::Bound => {
                    over.push(lease.clone());
                    self.put(Lease { state: State::Released, ..lease });
                }
                _ => self.remove(ip),
            }
        }
        over
    }

    /// An address of this range that is nobody's and that `free` agrees to: one never given, else the one unused
    /// longest.
    pub fn fresh(&mut self, range: Range, free: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let Leases { by_ip, pools, .. } = self;
        let pool = pools.iter_mut().find(|pool| pool.range == range)?;
        if let Some(ip) = pool.spare.iter().find(|ip| free(**ip)) {
            return Some(*ip);
        }
        while let Some(next) = pool.never {
            let ip = Ipv4Addr::from_bits(next);
            if !by_ip.contains_key(&ip) && free(ip) {
                return Some(ip);
            }
            pool.never = (ip < range.last).then(|| next + 1);
        }
        pool.idle.iter().map(|(_, ip)| *ip).find(|ip| free(*ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn lease(last: u8, client: &str, state: State, expires: u64) -> Lease {
        let mac = "02:00:00:00:00:01".into();
        Lease { ip: ip(last), mac, client: client.into(), hostname: String::new(), state, expires }
    }

    #[test]
    fn an_address_has_one_client_and_a_client_one_address() {
        let mut leases = Leases::default();
        leases.put(lease(5, "a", State::Released, 9));
        leases.put(lease(5, "b", State::Bound, 9));
        assert!(leases.of("a").is_none());
        leases.put(lease(6, "b", State::Bound, 9));
        assert!(leases.at(ip(5)).is_none());
        leases.remove(ip(6));
        assert!(leases.of("b").is_none() && leases.all().count() == 0 && leases.ends.is_empty());
    }

    #[test]
    fn free_addresses_are_found_in_order_never_used_ones_first() {
        let range = Range { first: ip(1), last: ip(3) };
        let mut leases = Leases::new([range]);
        let fresh = |leases: &mut Leases| leases.fresh(range, |ip| ip.octets()[3] != 2);
        assert_eq!(fresh(&mut leases), Some(ip(1)));
        leases.put(lease(1, "a", State::Bound, 5));
        assert_eq!(fresh(&mut leases), Some(ip(3)));
        leases.put(lease(3, "b", State::Bound, 7));
        assert_eq!(fresh(&mut leases), None);
        assert_eq!(leases.sweep(6), [lease(1, "a", State::Bound, 5)]);
        assert_eq!(fresh(&mut leases), Some(ip(1)), "over");
        leases.put(lease(3, "b", State::Released, 2));
        assert_eq!(fresh(&mut leases), Some(ip(3)), "longest unused");
        leases.remove(ip(1));
        assert_eq!(fresh(&mut leases), Some(ip(1)), "nobody's");
    }
}
