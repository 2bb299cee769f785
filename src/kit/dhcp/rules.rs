//! What the server answers (RFC 2131, 4.3): knows neither sockets nor clocks.
//!
//! A client is its hardware address, not its option 61, so that a boot ROM, iPXE, an installer and the installed system
//! of one machine get one address; option 61 counts where there is no hardware address (RFC 4390).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::leases::{Lease, Leases, State};
use super::packet::{Kind, Packet};
use super::reply;
use super::settings::{Changes, Settings};
use crate::host::{Fault, Result};
use crate::kit::net::Mac;

/// Seconds an offer is held.
const OFFER: u64 = 60;
/// Seconds a declined address rests.
const REST: u64 = 600;

/// What a closure learns of a client that asks.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// `discover`, `request`, `inform` or `bootp`.
    pub kind: &'static str,
    /// Hardware address.
    pub mac: String,
    /// The address it would get; empty if none.
    pub ip: String,
    /// Option 93, its first number (RFC 4578): 0 BIOS, 7 UEFI x64, ..; absent without.
    pub arch: Option<u16>,
    pub archs: Vec<u16>,
    pub vendor_class: String,
    pub user_class: String,
    pub uuid: String,
    /// The name the client gives itself.
    pub hostname: String,
    /// The relay it asked through; empty if none.
    pub relay: String,
    #[serde(skip)]
    pub options: BTreeMap<u8, Vec<u8>>,
}

/// A happening, for the script and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// `discovered`, `offered`, `acknowledged`, `refused`, `declined`, `released`, `informed`, `foreign` (the client
    /// chose another server), `exhausted` (no address left), `failed` (no answer given: `message` says why).
    pub event: &'static str,
    pub mac: String,
    pub ip: String,
    pub hostname: String,
    pub message: String,
}

/// What is to be sent, and what happened.
#[derive(Debug, Default)]
pub struct Outcome {
    pub reply: Option<Packet>,
    pub events: Vec<Event>,
}

#[derive(Debug)]
pub struct Rules {
    pub(super) settings: Settings,
    pub(super) leases: Leases,
    /// Option 54: this server.
    pub(super) server: Ipv4Addr,
    /// Where the search for a free address goes on.
    pub(super) cursor: Option<Ipv4Addr>,
}

impl Rules {
    /// # Errors
    /// `dhcp.settings`, `dhcp.leases`.
    pub fn new(settings: Settings, server: Ipv4Addr) -> Result<Rules> {
        settings.check()?;
        let leases = Leases::open(settings.leases.as_deref())?;
        Ok(Rules { settings, leases, server, cursor: None })
    }

    /// Gives a host its settings from now on.
    pub fn reserve(&mut self, mac: Mac, host: Changes) -> Result<()> {
        let before = self.settings.hosts.insert(mac, host);
        self.settings.check().inspect_err(|_| {
            match before {
                Some(before) => self.settings.hosts.insert(mac, before),
                None => self.settings.hosts.remove(&mac),
            };
        })
    }

    /// Leases that were acknowledged and are not over.
    pub fn bound(&self, now: u64) -> Vec<Lease> {
        self.leases.all().filter(|lease| lease.state == State::Bound && lease.expires > now).cloned().collect()
    }

    /// What a closure is asked about; `None` where there is nothing to decide.
    pub fn question(&self, packet: &Packet, now: u64) -> Option<Request> {
        let kind = match packet.kind() {
            Some(Kind::Discover) => "discover",
            Some(Kind::Request) if packet.address(54).is_none_or(|server| server == self.server) => "request",
            Some(Kind::Inform) => "inform",
            None if !packet.options.contains_key(&53) => "bootp",
            _ => return None,
        };
        let text = |address: Option<Ipv4Addr>| address.map(|a| a.to_string()).unwrap_or_default();
        let archs = packet.archs();
        Some(Request {
            kind,
            mac: packet.hardware(),
            ip: text(self.choose(packet, None, now)),
            arch: archs.first().copied(),
            archs,
            vendor_class: packet.text(60).unwrap_or_default(),
            user_class: packet.user_class().unwrap_or_default(),
            uuid: packet.uuid().unwrap_or_default(),
            hostname: packet.text(12).unwrap_or_default(),
            relay: text(Some(packet.giaddr).filter(|a| !a.is_unspecified())),
            options: packet.options.clone(),
        })
    }

    /// Answers one packet at `now`, seconds since 1970; `answer` is what a closure changes. An acknowledged lease is in
    /// the file when this returns.
    ///
    /// # Errors
    /// `dhcp.leases`: the file could not be written: nothing may be acknowledged then.
    pub fn handle(&mut self, packet: &Packet, answer: &Changes, now: u64) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if packet.op != 1 || client(packet).is_empty() || !self.serves(packet) {
            return Ok(outcome);
        }
        match packet.kind() {
            Some(Kind::Discover) => {
                outcome.note("discovered", packet, None, "");
                self.offer(&mut outcome, packet, answer, now);
            }
            Some(Kind::Request) => self.request(&mut outcome, packet, answer, now)?,
            Some(Kind::Release) => self.release(&mut outcome, packet)?,
            Some(Kind::Decline) => self.decline(&mut outcome, packet, now)?,
            Some(Kind::Inform) => {
                outcome.note("informed", packet, Some(packet.ciaddr), "");
                outcome.reply = Some(self.reply(packet, Some(Kind::Ack), None, answer));
            }
            // No option 53 at all is BOOTP (RFC 951); its leases never end, so only hosts known by name get one.
            None if !packet.options.contains_key(&53) => {
                let known = self.host(packet).ip.or(answer.ip).filter(|ip| self.free(*ip, packet, now));
                if let Some(ip) = known {
                    self.bind(packet, ip, u64::MAX, State::Bound)?;
                    outcome.note("acknowledged", packet, Some(ip), "BOOTP");
                    outcome.reply = Some(self.reply(packet, None, Some(ip), answer));
                }
            }
            _ => {}
        }
        Ok(outcome)
    }

    fn offer(&mut self, outcome: &mut Outcome, packet: &Packet, answer: &Changes, now: u64) {
        let Some(ip) = self.choose(packet, answer.ip, now) else {
            return outcome.note("exhausted", packet, None, "no address is free for it");
        };
        // A running lease stays as it is: the client may be trying another server.
        if self.leases.of(&client(packet)).is_none_or(|lease| lease.ip != ip || !lease.holds(now)) {
            self.leases.put(self.lease(packet, ip, now + OFFER, State::Offered));
        }
        self.cursor = Some(ip);
        outcome.note("offered", packet, Some(ip), "");
        outcome.reply = Some(self.reply(packet, Some(Kind::Offer), Some(ip), answer));
    }

    fn request(&mut self, outcome: &mut Outcome, packet: &Packet, answer: &Changes, now: u64) -> Result<()> {
        let known =
            self.leases.of(&client(packet)).filter(|lease| lease.state != State::Declined).map(|lease| lease.ip);
        let fixed = answer.ip.or(self.host(packet).ip);
        let wanted = packet.address(50).unwrap_or(packet.ciaddr);
        match packet.address(54) {
            Some(server) if server != self.server => {
                if self.leases.of(&client(packet)).is_some_and(|lease| lease.state == State::Offered) {
                    self.leases.remove(known.expect("an offered lease is known"));
                }
                outcome.note("foreign", packet, Some(wanted), &format!("chose the server {server}"));
                return Ok(());
            }
            // Selecting (4.3.2): exactly what was offered.
            Some(_) => {}
            // Init-reboot or renewing without a word of it here: silence (4.3.2), unless it cannot be right.
            None if known.is_none() && fixed.is_none() && self.settings.subnet.holds(wanted) => {
                let renewing = !packet.ciaddr.is_unspecified();
                if !(renewing && self.settings.in_range(wanted) && self.free(wanted, packet, now)) {
                    return Ok(());
                }
            }
            None => {}
        }
        let right = self.choose(packet, answer.ip, now);
        let right = right.filter(|ip| known.is_some() || fixed.is_some() || *ip == wanted);
        if right != Some(wanted) {
            let message = match right {
                Some(right) => format!("asked for {wanted}, has {right}"),
                None => format!("asked for {wanted}, which is not to be had"),
            };
            outcome.note("refused", packet, Some(wanted), &message);
            outcome.reply = Some(reply::nak(packet, self.server, &message));
            return Ok(());
        }
        let time = self.given(packet, answer).lease.map_or(3600, |time| time.as_secs());
        self.bind(packet, wanted, now.saturating_add(time), State::Bound)?;
        outcome.note("acknowledged", packet, Some(wanted), "");
        outcome.reply = Some(self.reply(packet, Some(Kind::Ack), Some(wanted), answer));
        Ok(())
    }

    fn release(&mut self, outcome: &mut Outcome, packet: &Packet) -> Result<()> {
        let ours = self.leases.of(&client(packet)).filter(|lease| lease.ip == packet.ciaddr).cloned();
        let Some(lease) = ours else { return Ok(()) };
        outcome.note("released", packet, Some(lease.ip), "");
        self.commit(Lease { state: State::Released, ..lease })
    }

    fn decline(&mut self, outcome: &mut Outcome, packet: &Packet, now: u64) -> Result<()> {
        if packet.address(54).is_some_and(|server| server != self.server) {
            return Ok(());
        }
        let Some(ip) = packet.address(50) else { return Ok(()) };
        let Some(lease) = self.leases.of(&client(packet)).filter(|lease| lease.ip == ip).cloned() else {
            return Ok(());
        };
        outcome.note("declined", packet, Some(ip), &packet.text(56).unwrap_or_default());
        // Nobody's: a name that no client has.
        let nobody = format!("declined {ip}");
        self.leases.remove(ip);
        self.commit(Lease { client: nobody, state: State::Declined, expires: now + REST, ..lease })
    }

    fn lease(&self, packet: &Packet, ip: Ipv4Addr, expires: u64, state: State) -> Lease {
        let hostname = packet.text(12).unwrap_or_default();
        Lease { ip, mac: packet.hardware(), client: client(packet), hostname, state, expires }
    }

    fn bind(&mut self, packet: &Packet, ip: Ipv4Addr, expires: u64, state: State) -> Result<()> {
        self.commit(self.lease(packet, ip, expires, state))
    }

    /// On disk before anybody is told. What cannot be written is taken back.
    fn commit(&mut self, lease: Lease) -> Result<()> {
        let (ip, before) = (lease.ip, self.leases.at(lease.ip).cloned());
        self.leases.put(lease);
        self.leases.save().inspect_err(|_| match before {
            Some(before) => self.leases.put(before),
            None => self.leases.remove(ip),
        })
    }

    /// The settings of a client's host, if it is one.
    pub(super) fn host(&self, packet: &Packet) -> Changes {
        packet.mac().and_then(|mac| self.settings.hosts.get(&mac)).cloned().unwrap_or_default()
    }

    /// All that a client is given: the common settings, over them its host's, over them the closure's.
    fn given(&self, packet: &Packet, answer: &Changes) -> Changes {
        self.settings.common.overlay(&self.host(packet)).overlay(answer)
    }

    fn reply(&self, packet: &Packet, kind: Option<Kind>, ip: Option<Ipv4Addr>, answer: &Changes) -> Packet {
        reply::reply(packet, kind, ip, &self.given(packet, answer), self.server, self.settings.subnet)
    }
}

impl Outcome {
    pub(super) fn note(&mut self, event: &'static str, packet: &Packet, ip: Option<Ipv4Addr>, message: &str) {
        self.events.push(Event::of(event, packet, ip, message));
    }
}

impl Event {
    pub(super) fn of(event: &'static str, packet: &Packet, ip: Option<Ipv4Addr>, message: &str) -> Event {
        let ip = ip.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()).unwrap_or_default();
        let hostname = packet.text(12).unwrap_or_default();
        Event { event, mac: packet.hardware(), ip, hostname, message: message.into() }
    }

    pub(super) fn failed(packet: &Packet, fault: &Fault) -> Event {
        Event::of("failed", packet, None, &fault.message)
    }
}

/// See the module's head.
pub(super) fn client(packet: &Packet) -> String {
    match packet.options.get(&61) {
        Some(id) if packet.chaddr.is_empty() => id.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => packet.hardware(),
    }
}
