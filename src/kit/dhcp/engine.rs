//! From a packet to its answer: the limit, the closure, the rules, the probe, the disk, the wire.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::counters::{Counters, count};
use super::disk::{Disk, Owner, Waiting};
use super::frame;
use super::learned::Learned;
use super::leases::Lease;
use super::packet::{Kind, Packet};
use super::port::{Outgoing, Port};
use super::probe::{Held, Probes};
use super::queue::Queue;
use super::request::Event;
use super::rules::{Outcome, Rules};
use super::server::{Answer, Decided};
use super::settings::Changes;
use crate::host::Fault;
use crate::kit::net::{Events, Mac};

/// A client that waited so long for its turn with the closure gets the usual answer: it would ask again soon.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses tried for one client that all turn out to be somebody's.
const TRIES: u8 = 8;

/// A packet to be answered.
#[derive(Clone)]
pub struct Job {
    pub packet: Packet,
    pub port: usize,
    pub from: SocketAddrV4,
    /// Whether it came to a proxy's second port.
    pub second: bool,
    pub heard: Instant,
    pub tries: u8,
}

/// What outlives the sockets: a server that was stopped still knows its leases.
pub struct Shared {
    pub rules: Mutex<Rules>,
    pub events: Events<Event>,
    pub counters: Counters,
}

impl Shared {
    pub fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }
}

pub struct Engine {
    pub shared: Arc<Shared>,
    pub ports: Vec<Port>,
    pub answer: Option<Answer>,
    /// Packets that wait for the closure.
    pub queue: Queue,
    pub probes: Mutex<Probes>,
    /// Clients whose question is being answered: what they ask again meanwhile is dropped.
    pub busy: Mutex<HashSet<(Vec<u8>, u32, Option<Kind>)>>,
    pub disk: Option<Disk>,
    pub learned: Option<Learned>,
    /// Tells the thread that waits for packets that there is something else.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl Deref for Engine {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in the rules is a bug, but no reason to stop serving.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Answers a packet, or lets it wait for its turn with the closure.
    pub fn take(&self, job: Job) {
        if self.answer.is_none() {
            return self.work(job);
        }
        let key = (job.packet.chaddr.clone(), job.packet.xid, job.packet.kind());
        if lock(&self.busy).insert(key.clone()) && !self.queue.push(job) {
            lock(&self.busy).remove(&key);
        }
    }

    /// Answers packets that wait, until the queue is closed.
    pub fn answer_all(&self) {
        while let Some(job) = self.queue.next() {
            let key = (job.packet.chaddr.clone(), job.packet.xid, job.packet.kind());
            self.work(job);
            lock(&self.busy).remove(&key);
        }
    }

    fn work(&self, job: Job) {
        let Some(changes) = self.decide(&job) else { return };
        let now = now();
        let port = &self.ports[job.port];
        let mut rules = self.rules();
        let Outcome { events, records, learned, probe, reply } = rules.handle(&job.packet, job.port, &changes, now);
        if let Some((key, ip)) = learned
            && let Some(fault) = self.learned.as_ref().and_then(|file| file.add(&key, ip).err())
        {
            rules.take_back(ip, now);
            drop(rules);
            return self.fail(&job.packet, &fault);
        }
        // One that asks again while its address is asked about waits as well.
        let waits = |reply: &Packet| reply.kind() == Some(Kind::Offer) && lock(&self.probes).holds(reply.yiaddr);
        let reply = reply.filter(|reply| !waits(reply)).and_then(|reply| {
            let target = port.target(&job.packet, &reply, job.from, job.second);
            self.count(&reply);
            Some(Outgoing { port: job.port, target, second: job.second, bytes: reply.encode().ok()? })
        });
        let written = match (&self.disk, reply) {
            (Some(disk), Some(reply)) if !records.is_empty() => {
                let (ip, question) = (records.last().map(|record| record.ip), job.packet);
                return disk.push(&records, Some(Waiting { reply, events, question, ip }));
            }
            (Some(disk), reply) if !records.is_empty() => {
                disk.push(&records, None);
                reply
            }
            (_, reply) => reply,
        };
        drop(rules);
        self.tell(events);
        let Some(reply) = written else { return };
        match probe.filter(|ip| port.arp.is_some() && port.reaches(*ip)) {
            Some(ip) => self.probe(ip, job, reply),
            None => self.send(&reply, &job.packet),
        }
    }

    /// What the closure says; `None`: no answer at all.
    fn decide(&self, job: &Job) -> Option<Changes> {
        let Some(answer) = &self.answer else { return Some(Changes::default()) };
        let Some(question) = self.rules().question(&job.packet, job.port, now()) else {
            return Some(Changes::default());
        };
        if job.heard.elapsed() > PATIENCE {
            count(&self.counters.hurried);
            return Some(Changes::default());
        }
        match answer(&question) {
            Ok(Decided::Usual) => Some(Changes::default()),
            Ok(Decided::Changes(changes)) => Some(changes),
            Ok(Decided::Silence) => None,
            Err(fault) => {
                count(&self.counters.failed);
                self.fail(&job.packet, &fault);
                Some(Changes::default())
            }
        }
    }

    /// Asks the wire about an address; its offer waits.
    fn probe(&self, ip: Ipv4Addr, job: Job, reply: Outgoing) {
        let port = &self.ports[job.port];
        let (Some(arp), Some(Mac(mac))) = (&port.arp, port.mac) else { return };
        let mut probes = lock(&self.probes);
        if probes.holds(ip) {
            return;
        }
        let first = probes.next().is_none();
        let client = job.packet.clone();
        probes.hold(ip, Held { job, reply }, Instant::now());
        drop(probes);
        count(&self.counters.probes);
        if let Err(error) = arp.send([255; 6], &frame::arp_probe(mac, ip)) {
            self.fail(&client, &Fault::io("dhcp.probe", format_args!("ask who has {ip}"), error));
        }
        if first {
            (self.wake)();
        }
    }

    /// An ARP packet was heard.
    pub fn heard(&self, bytes: &[u8]) {
        let Some((mac, ip)) = frame::arp_sender(bytes) else { return };
        let Some(Held { mut job, .. }) = lock(&self.probes).answered(ip, mac) else { return };
        count(&self.counters.conflicts);
        let mut rules = self.rules();
        let outcome = rules.conflict(&job.packet, ip, &Mac(mac).to_string(), now());
        if let Some(disk) = &self.disk {
            disk.push(&outcome.records, None);
        }
        drop(rules);
        self.tell(outcome.events);
        job.tries += 1;
        if job.tries < TRIES {
            self.take(job);
        }
    }

    /// Sends the offers whose addresses nobody has; says how long until the next.
    pub fn settle(&self) -> Option<Duration> {
        let now = Instant::now();
        let (over, next) = {
            let mut probes = lock(&self.probes);
            (probes.over(now), probes.next())
        };
        for held in over {
            self.send(&held.reply, &held.job.packet);
        }
        next.map(|next| next.saturating_duration_since(now))
    }

    fn send(&self, reply: &Outgoing, question: &Packet) {
        if let Err(error) = self.ports[reply.port].send(reply) {
            self.fail(question, &Fault::io("dhcp.send", format_args!("answer {}", question.hardware()), error));
        }
    }

    fn count(&self, reply: &Packet) {
        match reply.kind() {
            Some(Kind::Offer) => count(&self.counters.offers),
            Some(Kind::Nak) => count(&self.counters.naks),
            _ => count(&self.counters.acks),
        }
    }

    pub fn tell(&self, events: Vec<Event>) {
        for event in events {
            match event.event {
                "declined" => count(&self.counters.declines),
                "released" => count(&self.counters.releases),
                _ => {}
            }
            self.events.push(event);
        }
    }

    pub fn fail(&self, packet: &Packet, fault: &Fault) {
        self.events.push(Event::failed(packet, fault));
    }
}

impl Owner for Engine {
    fn snapshot(&self, with: &mut dyn FnMut(Vec<Lease>)) {
        let rules = self.rules();
        with(rules.snapshot());
    }

    fn written(&self, waiting: Vec<Waiting>) {
        count(&self.counters.commits);
        for Waiting { reply, events, question, .. } in waiting {
            self.tell(events);
            self.send(&reply, &question);
        }
    }

    fn lost(&self, waiting: Vec<Waiting>, fault: &Fault) {
        for Waiting { question, ip, .. } in waiting {
            if let Some(ip) = ip {
                self.rules().take_back(ip, now());
            }
            self.fail(&question, fault);
        }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
