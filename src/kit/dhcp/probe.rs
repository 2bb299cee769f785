//! Offers that wait until it is known that nobody has their address: all at once, each as long as it takes to answer.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::engine::Job;
use super::port::Outgoing;

/// An offer that waits.
pub struct Held {
    pub job: Job,
    pub reply: Outgoing,
}

pub struct Probes {
    pub wait: Duration,
    held: HashMap<Ipv4Addr, Held>,
    due: VecDeque<(Instant, Ipv4Addr)>,
}

impl Probes {
    pub fn new(wait: Duration) -> Probes {
        Probes { wait, held: HashMap::new(), due: VecDeque::new() }
    }

    /// Whether its client's offer waits already.
    pub fn holds(&self, ip: Ipv4Addr) -> bool {
        self.held.contains_key(&ip)
    }

    pub fn hold(&mut self, ip: Ipv4Addr, held: Held, now: Instant) {
        self.held.insert(ip, held);
        self.due.push_back((now + self.wait, ip));
    }

    /// Somebody says to have an address: the offer of it, if one waits that is not this one's own.
    pub fn answered(&mut self, ip: Ipv4Addr, mac: [u8; 6]) -> Option<Held> {
        self.held.get(&ip).filter(|held| held.job.packet.chaddr != mac)?;
        self.held.remove(&ip)
    }

    /// The offers whose time is over: nobody has answered.
    pub fn over(&mut self, now: Instant) -> Vec<Held> {
        let mut over = Vec::new();
        while let Some((_, ip)) = self.due.front().filter(|(due, _)| *due <= now) {
            over.extend(self.held.remove(ip));
            self.due.pop_front();
        }
        over
    }

    /// When the next is over.
    pub fn next(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }
}
