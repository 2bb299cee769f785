//! From a packet to its answer: the closure, the rules, the probe, the disk, the wire.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::counters::{Counters, count};
use super::disk::{Disk, Owner, Waiting};
use super::echo::Echo;
use super::frame;
use super::learned::Learned;
use super::leases::Lease;
use super::outbox::{Outbox, Parcel};
use super::packet::{Kind, Packet};
use super::port::{Outgoing, Port, is_full};
use super::probe::{Held, Probes, Question};
use super::queue::{Asked, Heard, Queue};
use super::request::Event;
use super::rules::{Outcome, Rules};
use super::server::{Answer, Decided};
use super::settings::Changes;
use super::store::Store;
use crate::host::Fault;
use crate::kit::net::{Events, Mac};

/// A client that waited so long for its turn with the closure gets the usual answer: it would ask again soon.
const PATIENCE: Duration = Duration::from_secs(3);

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
    /// To addresses behind relays; none where there are no probes, or no right to them.
    pub echo: Option<Echo>,
    /// Clients whose question is being answered: what they ask again meanwhile is dropped.
    pub busy: Mutex<HashSet<Asked>>,
    pub disk: Option<Disk>,
    pub outbox: Outbox,
    pub learned: Option<Learned>,
    /// Wakes the thread that listens and sends.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    /// Whether that thread sleeps until it is woken, and whether there is something new for it.
    pub asleep: AtomicBool,
    pub news: AtomicBool,
    /// Whether the last lease is on disk and its reply in the outbox.
    pub written: AtomicBool,
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
    pub fn take(&self, packets: Vec<Heard>) {
        if packets.is_empty() {
            return;
        }
        if self.answer.is_none() {
            return packets.into_iter().for_each(|heard| self.read(heard));
        }
        let packets = {
            let mut busy = lock(&self.busy);
            packets.into_iter().filter(|heard| busy.insert(heard.asked())).collect()
        };
        for dropped in self.queue.push(packets) {
            lock(&self.busy).remove(&dropped.asked());
        }
    }

    /// Answers packets that wait, until the queue is closed.
    pub fn answer_all(&self) {
        while let Some(heard) = self.queue.next() {
            let asked = heard.asked();
            self.read(heard);
            lock(&self.busy).remove(&asked);
        }
    }

    fn read(&self, heard: Heard) {
        let Ok(packet) = Packet::parse(&heard.bytes) else { return count(&self.counters.malformed) };
        let Heard { port, from, second, at, tries, .. } = heard;
        self.work(Job { packet, port, from, second, heard: at, tries });
    }

    fn work(&self, job: Job) {
        // Beside a proxy's second port, all but the first question is for the server of addresses.
        let port = &self.ports[job.port];
        if port.second.is_some() && !job.second && job.packet.kind() != Some(Kind::Discover) {
            return;
        }
        let Some(changes) = self.decide(&job) else { return };
        let now = now();
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
        let reply = reply.filter(|reply| !waits(reply)).map(|reply| {
            let target = port.way.target(&job.packet, &reply, job.from, job.second);
            self.count(&reply);
            Outgoing { port: job.port, target, second: job.second, bytes: reply.encode() }
        });
        let Some(reply) = reply else {
            if let Some(disk) = self.disk.as_ref().filter(|_| !records.is_empty()) {
                disk.push(&records, None);
            }
            drop(rules);
            return self.tell(events);
        };
        if let Some(disk) = self.disk.as_ref().filter(|_| !records.is_empty()) {
            let ip = records.last().map(|record| record.ip);
            return disk.push(&records, Some(Waiting { parcel: Parcel { reply, events }, ip }));
        }
        drop(rules);
        match probe.and_then(|ip| Some((ip, self.way_to_ask(&job, ip)?))) {
            Some((ip, question)) => {
                self.tell(events);
                let held = Held { job, parcel: Parcel { reply, events: Vec::new() } };
                let mut probes = lock(&self.probes);
                if !probes.holds(ip) {
                    probes.hold(ip, question, held, Instant::now());
                    count(&self.counters.probes);
                }
                drop(probes);
            }
            None => self.outbox.extend([Parcel { reply, events }]),
        }
        self.nudge();
    }

    fn way_to_ask(&self, job: &Job, ip: Ipv4Addr) -> Option<Question> {
        let port = &self.ports[job.port];
        if port.reaches(ip) {
            return port.arp.is_some().then_some(Question::Arp(job.port, ip));
        }
        let relayed = !job.packet.giaddr.is_unspecified() && !port.interface.loopback;
        (relayed && self.echo.is_some()).then_some(Question::Echo(ip))
    }

    /// There is something to send.
    fn nudge(&self) {
        self.news.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            (self.wake)();
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

    /// An ARP packet was heard.
    pub fn heard(&self, bytes: &[u8]) {
        if let Some((mac, ip)) = frame::arp_sender(bytes) {
            self.is_taken(ip, Some(mac));
        }
    }

    /// Somebody answers at an address.
    pub fn is_taken(&self, ip: Ipv4Addr, mac: Option<[u8; 6]>) {
        let Some(Held { mut job, .. }) = lock(&self.probes).answered(ip, mac) else { return };
        count(&self.counters.conflicts);
        let owner = mac.map_or("a machine that answers pings".to_string(), |mac| Mac(mac).to_string());
        let mut rules = self.rules();
        let outcome = rules.conflict(&job.packet, ip, &owner, now());
        if let Some(disk) = &self.disk {
            disk.push(&outcome.records, None);
        }
        drop(rules);
        self.tell(outcome.events);
        job.tries += 1;
        if job.tries < TRIES {
            let Job { packet, port, from, second, heard, tries } = job;
            self.take(vec![Heard { bytes: packet.encode(), port, from, second, at: heard, tries }]);
        }
    }

    /// Writes leases until the server ends.
    pub fn write_all(&self, store: Store) {
        if let Some(disk) = &self.disk {
            disk.run(store, self);
        }
        self.written.store(true, Ordering::SeqCst);
        self.nudge();
    }

    /// Asks about addresses, lets the offers go whose addresses nobody has, and sends what may go now; says how long until
    /// there is more of it.
    pub fn settle(&self) -> Option<Duration> {
        self.news.store(false, Ordering::SeqCst);
        let now = Instant::now();
        let (over, questions, next) = {
            let mut probes = lock(&self.probes);
            (probes.over(now), probes.questions(), probes.next())
        };
        self.outbox.extend(over.into_iter().map(|held| held.parcel));
        self.ask(&questions);
        self.send(now);
        let next = next.map(|next| next.saturating_duration_since(now));
        next.into_iter().chain(self.outbox.next()).min()
    }

    fn ask(&self, questions: &[Question]) {
        let tell = |ip: Ipv4Addr, error: std::io::Error| {
            let client = lock(&self.probes).client(ip).map(|job| job.packet.clone());
            if let Some(client) = client {
                self.fail(&client, &Fault::io("dhcp.probe", format_args!("ask who has {ip}"), error));
            }
        };
        for (number, port) in self.ports.iter().enumerate() {
            let here = |question: &Question| match question {
                Question::Arp(at, ip) if *at == number => Some(*ip),
                _ => None,
            };
            let addresses: Vec<Ipv4Addr> = questions.iter().filter_map(here).collect();
            let mut rest = addresses.as_slice();
            while let Some(first) = rest.first() {
                let asked = port.ask(rest).unwrap_or_else(|error| {
                    tell(*first, error);
                    1
                });
                rest = &rest[asked.clamp(1, rest.len())..];
            }
        }
        for question in questions {
            if let (Question::Echo(ip), Some(echo)) = (question, &self.echo) {
                // Where no way leads nobody answers.
                let _ = echo.ask(*ip);
            }
        }
    }

    fn send(&self, now: Instant) {
        let mut parcels = self.outbox.take(now);
        for parcel in &mut parcels {
            self.tell(std::mem::take(&mut parcel.events));
        }
        let mut at = 0;
        while at < parcels.len() {
            let port = parcels[at].reply.port;
            let same = parcels[at..].iter().map(|parcel| &parcel.reply).take_while(|reply| reply.port == port);
            match self.ports[port].send(&same.collect::<Vec<_>>()) {
                Ok(sent) => {
                    at += sent.max(1);
                    self.outbox.flows();
                }
                Err(error) if is_full(&error) => {
                    if let Some(parcel) = self.outbox.put_back(parcels.split_off(at)) {
                        self.not_sent(&parcel.reply, error);
                    }
                }
                Err(error) => {
                    self.not_sent(&parcels[at].reply, error);
                    at += 1;
                }
            }
        }
    }

    fn not_sent(&self, reply: &Outgoing, error: std::io::Error) {
        if let Ok(packet) = Packet::parse(&reply.bytes) {
            self.fail(&packet, &Fault::io("dhcp.send", format_args!("answer {}", packet.hardware()), error));
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
        for event in &events {
            match event.event {
                "declined" => count(&self.counters.declines),
                "released" => count(&self.counters.releases),
                _ => {}
            }
        }
        self.events.extend(events);
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
        self.outbox.extend(waiting.into_iter().map(|waiting| waiting.parcel));
        self.nudge();
    }

    fn lost(&self, waiting: Vec<Waiting>, fault: &Fault) {
        for Waiting { parcel, ip } in waiting {
            if let Some(ip) = ip {
                self.rules().take_back(ip, now());
            }
            if let Ok(reply) = Packet::parse(&parcel.reply.bytes) {
                self.fail(&reply, fault);
            }
        }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
