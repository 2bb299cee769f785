//! Offers that wait until it is known that nobody has their address: all at once, each as long as it takes to answer.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::engine::Job;
use super::outbox::Parcel;

/// How an address is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// On the wire of this port (RFC 5227).
    Arp(usize, Ipv4Addr),
    /// Behind a relay, where no ARP goes: by an ICMP echo (RFC 2131, 4.4.1).
    Echo(Ipv4Addr),
}

/// An offer that waits.
pub struct Held {
    pub job: Job,
    pub parcel: Parcel,
}

pub struct Probes {
    pub wait: Duration,
    held: HashMap<Ipv4Addr, Held>,
    due: VecDeque<(Instant, Ipv4Addr)>,
    questions: Vec<Question>,
}

impl Probes {
    pub fn new(wait: Duration) -> Probes {
        Probes { wait, held: HashMap::new(), due: VecDeque::new(), questions: Vec::new() }
    }

    /// Whether its client's offer waits already.
    pub fn holds(&self, ip: Ipv4Addr) -> bool {
        self.held.contains_key(&ip)
    }

    pub fn hold(&mut self, ip: Ipv4Addr, question: Question, held: Held, now: Instant) {
        self.held.insert(ip, held);
        self.due.push_back((now + self.wait, ip));
        self.questions.push(question);
    }

    /// What is to be asked.
    pub fn questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    /// Who an offer is for that waits.
    pub fn client(&self, ip: Ipv4Addr) -> Option<&Job> {
        self.held.get(&ip).map(|held| &held.job)
    }

    /// Somebody says to have an address: the offer of it, if one waits that is not this one's own.
    pub fn answered(&mut self, ip: Ipv4Addr, mac: Option<[u8; 6]>) -> Option<Held> {
        self.held.get(&ip).filter(|held| mac.is_none_or(|mac| held.job.packet.chaddr != mac))?;
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
