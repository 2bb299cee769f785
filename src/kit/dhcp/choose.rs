//! Which address a client gets.

use std::net::Ipv4Addr;

use super::leases::State;
use super::packet::Packet;
use super::rules::{Rules, client};

impl Rules {
    /// Whether a packet comes from the subnet served here: through a relay inside it, or directly. Option 82's link
    /// selection names the subnet where it is not the relay's (RFC 3527).
    pub(super) fn serves(&self, packet: &Packet) -> bool {
        let link = packet.options.get(&82).and_then(|data| sub_option(data, 5));
        let place = match link.and_then(|data| <[u8; 4]>::try_from(data).ok()) {
            Some(address) => Ipv4Addr::from(address),
            None => packet.giaddr,
        };
        place.is_unspecified() || self.settings.subnet.contains(place)
    }

    /// The address for a client (RFC 2131, 4.3.1): the closure's, its host's own, the one it has or had, the one it asks
    /// for, a fresh one, the one unused longest.
    pub(super) fn choose(&self, packet: &Packet, answer: Option<Ipv4Addr>, now: u64) -> Option<Ipv4Addr> {
        let free = |ip: &Ipv4Addr| self.free(*ip, packet, now);
        let dynamic = |ip: &Ipv4Addr| self.settings.in_range(*ip) && free(ip);
        if let Some(ip) = answer {
            return Some(ip).filter(|ip| self.settings.subnet.holds(*ip)).filter(free);
        }
        if let Some(ip) = self.host(packet).ip.filter(free) {
            return Some(ip);
        }
        let had = self.leases.of(&client(packet)).map(|lease| lease.ip);
        let asked = packet.address(50).or(Some(packet.ciaddr));
        had.filter(dynamic).or_else(|| asked.filter(dynamic)).or_else(|| self.fresh(packet, now))
    }

    fn fresh(&self, packet: &Packet, now: u64) -> Option<Ipv4Addr> {
        let (first, last) = self.settings.range?;
        let (first, last) = (first.to_bits(), last.to_bits());
        let start = self.cursor.map_or(first, Ipv4Addr::to_bits).clamp(first, last);
        let round = (start..=last).chain(first..start).map(Ipv4Addr::from_bits);
        let never = round.clone().find(|ip| self.leases.at(*ip).is_none() && self.free(*ip, packet, now));
        never.or_else(|| {
            let over = self.leases.all().filter(|lease| self.settings.in_range(lease.ip));
            let over = over.filter(|lease| self.free(lease.ip, packet, now));
            over.min_by_key(|lease| (lease.state != State::Released, lease.expires)).map(|lease| lease.ip)
        })
    }

    /// Whether this client may have this address now.
    pub(super) fn free(&self, ip: Ipv4Addr, packet: &Packet, now: u64) -> bool {
        let common = &self.settings.common;
        let taken = ip == self.server || common.router.iter().flatten().any(|router| *router == ip);
        let mac = packet.mac();
        let promised = self.settings.hosts.iter().any(|(other, host)| host.ip == Some(ip) && Some(*other) != mac);
        let held = self.leases.at(ip).is_some_and(|lease| lease.holds(now) && lease.client != client(packet));
        self.settings.subnet.holds(ip) && !taken && !promised && !held
    }
}

/// A sub-option of option 82 (RFC 3046).
fn sub_option(mut data: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *code == wanted {
            return Some(value);
        }
        data = &rest[value.len()..];
    }
    None
}
