//! What the server answers (RFC 2131, 4.3): knows neither sockets nor clocks nor files.
//!
//! A client is its hardware address, not its option 61, so that a boot ROM, iPXE, an installer and the installed system
//! of one machine get one address; option 61 counts where there is no hardware address (RFC 4390).

use std::net::Ipv4Addr;

use super::choose::Place;
use super::hosts::Key;
use super::leases::{Lease, Leases, State};
use super::packet::{Kind, Packet};
use super::request::{Event, Request};
use super::settings::{Changes, Mode, Settings};
use super::{class, proxy, reply};
use crate::host::Result;

/// Seconds an offer is held.
const OFFER: u64 = 60;
/// Seconds an address rests that was declined, or found in use.
const REST: u64 = 600;

/// An interface that is served.
#[derive(Debug, Clone)]
pub struct Wire {
    pub name: String,
    /// The server's address there, unless a network has another one of it inside.
    pub address: Ipv4Addr,
    pub addresses: Vec<Ipv4Addr>,
}

impl Wire {
    pub fn new(name: &str, address: Ipv4Addr) -> Wire {
        Wire { name: name.into(), address, addresses: vec![address] }
    }
}

/// What is to be done about one packet, in this order.
#[derive(Debug, Default)]
pub struct Outcome {
    pub events: Vec<Event>,
    /// To be on disk before the reply goes.
    pub records: Vec<Lease>,
    /// A host that discover mode met, to be in its file before the reply goes.
    pub learned: Option<(Key, Ipv4Addr)>,
    /// Somebody may have this address: to be found out before the reply goes.
    pub probe: Option<Ipv4Addr>,
    pub reply: Option<Packet>,
}

#[derive(Debug)]
pub struct Rules {
    pub(super) settings: Settings,
    pub(super) leases: Leases,
    pub(super) wires: Vec<Wire>,
    /// For each wire the networks that are on it.
    pub(super) local: Vec<Vec<usize>>,
}

impl Rules {
    /// # Errors
    /// `dhcp.settings`.
    pub fn new(settings: Settings, wires: Vec<Wire>) -> Result<Rules> {
        settings.check()?;
        let networks = || settings.networks.iter().enumerate();
        let on = |wire: &Wire| {
            let found = networks().filter(|(_, network)| match network.interfaces.is_empty() {
                true => wire.addresses.iter().any(|ip| network.subnet.contains(*ip)),
                false => network.interfaces.contains(&wire.name),
            });
            found.map(|(at, _)| at).collect()
        };
        let local = wires.iter().map(on).collect();
        let leases = Leases::new(networks().flat_map(|(_, network)| network.ranges.clone()));
        Ok(Rules { settings, leases, wires, local })
    }

    /// Takes back the leases of an earlier server.
    pub fn restore(&mut self, leases: Vec<Lease>, now: u64) {
        self.leases.restore(leases, now);
    }

    /// Gives a host its settings from now on.
    pub fn reserve(&mut self, key: Key, given: Changes) -> Result<()> {
        let before = self.settings.hosts.set(key.clone(), given);
        self.settings.check().inspect_err(|_| {
            self.settings.hosts.set(key, before.unwrap_or_default());
        })
    }

    /// Leases that were acknowledged and are not over.
    pub fn bound(&self, now: u64) -> Vec<Lease> {
        let bound = self.leases.all().filter(|lease| lease.state == State::Bound && lease.expires > now);
        let mut bound: Vec<Lease> = bound.cloned().collect();
        bound.sort_by_key(|lease| lease.ip);
        bound
    }

    /// All that the leases file has to say.
    pub fn snapshot(&self) -> Vec<Lease> {
        self.leases.all().filter(|lease| lease.state != State::Offered).cloned().collect()
    }

    pub(super) fn learns(&self) -> bool {
        matches!(self.settings.mode, Mode::Discover(_))
    }

    fn is_ours(&self, server: Ipv4Addr, place: &Place) -> bool {
        server == place.server || self.wires.iter().any(|wire| wire.addresses.contains(&server))
    }

    /// What a closure is asked about; `None` where there is nothing to decide.
    pub fn question<'a>(&mut self, packet: &'a Packet, wire: usize, now: u64) -> Option<Request<'a>> {
        let place = self.place(packet, wire);
        let ours = || packet.address(54).is_none_or(|server| self.is_ours(server, &place));
        let kind = match packet.kind() {
            _ if packet.op != 1 || client(packet).is_empty() => return None,
            _ if self.settings.mode == Mode::Proxy && !proxy::concerns(packet) => return None,
            Some(Kind::Discover) => "discover",
            Some(Kind::Request) if self.settings.mode == Mode::Proxy || ours() => "request",
            Some(Kind::Inform) => "inform",
            None if !packet.options.contains_key(&53) => "bootp",
            _ => return None,
        };
        if place.networks.is_empty() && self.settings.mode != Mode::Proxy {
            return None;
        }
        let text = |address: Option<Ipv4Addr>| address.map(|a| a.to_string()).unwrap_or_default();
        let archs = packet.archs();
        let hostname = packet.text(12).unwrap_or_default();
        let known = self.settings.hosts.of(packet).and_then(|host| host.name.clone());
        Some(Request {
            kind,
            mac: packet.hardware(),
            ip: text(self.choose(packet, &place, None, now)),
            name: known.clone().unwrap_or_else(|| hostname.clone()),
            arch: archs.first().copied(),
            archs,
            vendor_class: packet.text(60).unwrap_or_default(),
            user_class: packet.user_class().unwrap_or_default(),
            uuid: packet.uuid().unwrap_or_default(),
            hostname,
            relay: text(Some(packet.giaddr).filter(|a| !a.is_unspecified())),
            interface: self.wires[wire].name.clone(),
            known: known.unwrap_or_default(),
            options: &packet.options,
        })
    }

    /// What is to be done about one packet heard on `wire` at `now`, seconds since 1970; `answer` is what a closure
    /// changes.
    pub fn handle(&mut self, packet: &Packet, wire: usize, answer: &Changes, now: u64) -> Outcome {
        let mut outcome = Outcome { events: self.sweep(now), ..Outcome::default() };
        if packet.op != 1 || client(packet).is_empty() {
            return outcome;
        }
        let place = self.place(packet, wire);
        if self.settings.mode == Mode::Proxy {
            proxy::answer(self, &mut outcome, packet, &place, answer);
            return outcome;
        }
        if place.networks.is_empty() {
            return outcome;
        }
        match packet.kind() {
            Some(Kind::Discover) => {
                outcome.note("discovered", packet, None, "");
                self.offer(&mut outcome, packet, &place, answer, now);
            }
            Some(Kind::Request) => self.request(&mut outcome, packet, &place, answer, now),
            Some(Kind::Release) => self.release(&mut outcome, packet, now),
            Some(Kind::Decline) => self.decline(&mut outcome, packet, &place, now),
            Some(Kind::Inform) => {
                outcome.note("informed", packet, Some(packet.ciaddr), "");
                outcome.reply = Some(self.reply(packet, Some(Kind::Ack), None, &place, answer));
            }
            // No option 53 at all is BOOTP (RFC 951); its leases never end, so only hosts known by name get one.
            None if !packet.options.contains_key(&53) => {
                let known = self.fixed(packet).or(answer.ip);
                let known = known.filter(|ip| self.network(&place, *ip).is_some() && self.free(*ip, packet, now));
                if let Some(ip) = known {
                    self.bind(&mut outcome, packet, ip, u64::MAX);
                    outcome.note("acknowledged", packet, Some(ip), "BOOTP");
                    outcome.reply = Some(self.reply(packet, None, Some(ip), &place, answer));
                }
            }
            _ => {}
        }
        outcome
    }

    /// Ends what is over by now.
    pub fn sweep(&mut self, now: u64) -> Vec<Event> {
        let event = |Lease { ip, mac, hostname, .. }| {
            let ip = ip.to_string();
            Event { event: "expired", mac, ip, hostname, message: String::new() }
        };
        self.leases.sweep(now).into_iter().map(event).collect()
    }

    fn offer(&mut self, outcome: &mut Outcome, packet: &Packet, place: &Place, answer: &Changes, now: u64) {
        let Some(ip) = self.choose(packet, place, answer.ip, now) else {
            // Where only known machines are served, others are somebody else's.
            if answer.ip.is_some() || self.fixed(packet).is_some() || self.has_ranges(place) {
                outcome.note("exhausted", packet, None, "no address is free for it");
            }
            return;
        };
        outcome.probe = self.unsure(ip, packet, place).then_some(ip);
        // A running lease stays as it is: the client may be trying another server.
        if self.leases.of(&client(packet)).is_none_or(|lease| lease.ip != ip || !lease.holds(now)) {
            self.leases.put(lease(packet, ip, now + OFFER, State::Offered));
        }
        outcome.note("offered", packet, Some(ip), "");
        outcome.reply = Some(self.reply(packet, Some(Kind::Offer), Some(ip), place, answer));
    }

    fn request(&mut self, outcome: &mut Outcome, packet: &Packet, place: &Place, answer: &Changes, now: u64) {
        let known = self.leases.of(&client(packet)).filter(|lease| lease.state != State::Declined);
        let (known, offered) = (known.map(|lease| lease.ip), known.is_some_and(|lease| lease.state == State::Offered));
        let fixed = answer.ip.or(self.fixed(packet));
        let wanted = packet.address(50).unwrap_or(packet.ciaddr);
        match packet.address(54) {
            Some(server) if !self.is_ours(server, place) => {
                if let Some(ip) = known.filter(|_| offered) {
                    self.leases.remove(ip);
                }
                return outcome.note("foreign", packet, Some(wanted), &format!("chose the server {server}"));
            }
            // Selecting (4.3.2): exactly what was offered.
            Some(_) => {}
            // Init-reboot or renewing without a word of it here: silence (4.3.2), unless it cannot be right.
            None if known.is_none() && fixed.is_none() && self.network(place, wanted).is_some() => {
                let renewing = !packet.ciaddr.is_unspecified();
                // It uses what is another's: it has to be told.
                let anothers =
                    self.leases.at(wanted).is_some_and(|lease| lease.state == State::Bound && lease.holds(now));
                let mut fits = || self.choose(packet, place, None, now) == Some(wanted);
                if !(renewing && (anothers || fits())) {
                    return;
                }
            }
            None => {}
        }
        let right = self.choose(packet, place, answer.ip, now);
        let right = right.filter(|ip| known.is_some() || fixed.is_some() || *ip == wanted);
        if right != Some(wanted) {
            let message = match right {
                Some(right) => format!("asked for {wanted}, has {right}"),
                None => format!("asked for {wanted}, which is not to be had"),
            };
            outcome.note("refused", packet, Some(wanted), &message);
            outcome.reply = Some(reply::nak(packet, place.server, &message));
            return;
        }
        let time = self.given(packet, self.network(place, wanted), answer).lease.map_or(3600, |time| time.as_secs());
        self.bind(outcome, packet, wanted, now.saturating_add(time));
        outcome.note("acknowledged", packet, Some(wanted), "");
        self.learn(outcome, packet, wanted);
        outcome.reply = Some(self.reply(packet, Some(Kind::Ack), Some(wanted), place, answer));
    }

    /// Discover mode: whoever has got an address keeps it from now on.
    fn learn(&mut self, outcome: &mut Outcome, packet: &Packet, ip: Ipv4Addr) {
        let Some(mac) = packet.mac().filter(|_| self.learns() && self.settings.hosts.of(packet).is_none()) else {
            return;
        };
        self.settings.hosts.set(Key::Mac(mac), Changes { ip: Some(ip), ..Changes::default() });
        outcome.note("learned", packet, Some(ip), "");
        outcome.learned = Some((Key::Mac(mac), ip));
    }

    fn release(&mut self, outcome: &mut Outcome, packet: &Packet, now: u64) {
        let ours = self.leases.of(&client(packet)).filter(|lease| lease.ip == packet.ciaddr && lease.holds(now));
        let Some(lease) = ours.filter(|lease| lease.state == State::Bound).cloned() else { return };
        outcome.note("released", packet, Some(lease.ip), "");
        self.commit(outcome, Lease { state: State::Released, expires: now, ..lease });
    }

    fn decline(&mut self, outcome: &mut Outcome, packet: &Packet, place: &Place, now: u64) {
        if packet.address(54).is_some_and(|server| !self.is_ours(server, place)) {
            return;
        }
        let Some(ip) = packet.address(50) else { return };
        if self.leases.of(&client(packet)).is_some_and(|lease| lease.ip == ip) {
            outcome.note("declined", packet, Some(ip), &packet.text(56).unwrap_or_default());
            self.rest(outcome, ip, now);
        }
    }

    /// An address turned out to be somebody's: nobody gets it for a while.
    pub fn conflict(&mut self, packet: &Packet, ip: Ipv4Addr, owner: &str, now: u64) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.note("conflict", packet, Some(ip), &format!("{ip} is in use by {owner}"));
        self.rest(&mut outcome, ip, now);
        outcome
    }

    fn rest(&mut self, outcome: &mut Outcome, ip: Ipv4Addr, now: u64) {
        let Some(lease) = self.leases.at(ip).cloned() else { return };
        self.leases.remove(ip);
        // Nobody's: a name that no client has.
        let client = format!("declined {ip}");
        self.commit(outcome, Lease { client, state: State::Declined, expires: now + REST, ..lease });
    }

    /// What could not be written was not acknowledged: it is an offer again.
    pub fn take_back(&mut self, ip: Ipv4Addr, now: u64) {
        if let Some(lease) = self.leases.at(ip).filter(|lease| lease.state == State::Bound).cloned() {
            self.leases.put(Lease { state: State::Offered, expires: now + OFFER, ..lease });
        }
    }

    fn bind(&mut self, outcome: &mut Outcome, packet: &Packet, ip: Ipv4Addr, expires: u64) {
        self.commit(outcome, lease(packet, ip, expires, State::Bound));
    }

    fn commit(&mut self, outcome: &mut Outcome, lease: Lease) {
        outcome.records.push(lease.clone());
        self.leases.put(lease);
    }

    /// All that a client is given: the common settings, over them its network's, its host's, its class's, the closure's.
    pub(super) fn given(&self, packet: &Packet, network: Option<usize>, answer: &Changes) -> Changes {
        let mut given = self.settings.common.clone();
        let network = network.map(|at| &self.settings.networks[at].given);
        let host = self.settings.hosts.of(packet);
        let class = class::of(&self.settings.classes, packet);
        for more in [network, host, class, Some(answer)].into_iter().flatten() {
            given.overlay(more);
        }
        given
    }

    fn reply(
        &self,
        packet: &Packet,
        kind: Option<Kind>,
        ip: Option<Ipv4Addr>,
        place: &Place,
        answer: &Changes,
    ) -> Packet {
        let about = ip.or(Some(packet.ciaddr)).and_then(|ip| self.network(place, ip));
        let network = about.or(place.networks.first().copied());
        let given = self.given(packet, network, answer);
        let subnet = network.map(|at| self.settings.networks[at].subnet);
        reply::reply(packet, kind, ip, &given, place.server, subnet)
    }
}

impl Outcome {
    pub(super) fn note(&mut self, event: &'static str, packet: &Packet, ip: Option<Ipv4Addr>, message: &str) {
        self.events.push(Event::of(event, packet, ip, message));
    }
}

fn lease(packet: &Packet, ip: Ipv4Addr, expires: u64, state: State) -> Lease {
    let hostname = packet.text(12).unwrap_or_default();
    Lease { ip, mac: packet.hardware(), client: client(packet), hostname, state, expires }
}

/// See the module's head.
pub(super) fn client(packet: &Packet) -> String {
    match packet.options.get(&61) {
        Some(id) if packet.chaddr.is_empty() => id.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => packet.hardware(),
    }
}
