//! Which network a client is on, and which address it gets there.

use std::net::Ipv4Addr;

use super::leases::State;
use super::packet::{Packet, sub_option};
use super::rules::{Rules, client};

/// Where a packet came from, as far as addresses go.
pub(super) struct Place {
    /// The networks whose addresses fit there, by their place in the settings.
    pub networks: Vec<usize>,
    /// Option 54 of the answer.
    pub server: Ipv4Addr,
}

impl Rules {
    /// The networks of a packet heard on `wire`: named by option 82's link selection (RFC 3527), by option 118 (RFC
    /// 3011), by the relay's address, by the address of a client that renews through a router, or those of the wire.
    pub(super) fn place(&self, packet: &Packet, wire: usize) -> Place {
        let relay = packet.options.get(&82);
        let four = |data: &[u8]| <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from);
        let sub = |code| relay.and_then(|data| sub_option(data, code)).and_then(four);
        let some = |ip: Ipv4Addr| Some(ip).filter(|ip| !ip.is_unspecified());
        let named = sub(5).or_else(|| packet.address(118)).or(some(packet.giaddr));
        let of = |ip: Ipv4Addr| self.settings.networks.iter().position(|network| network.subnet.contains(ip));
        let local = &self.local[wire];
        let networks = match named {
            Some(ip) => of(ip).into_iter().collect(),
            None => match some(packet.ciaddr).and_then(of).filter(|network| !local.contains(network)) {
                Some(network) => vec![network],
                None => local.clone(),
            },
        };
        let wire = &self.wires[wire];
        let inside = |network: &usize| {
            let subnet = self.settings.networks[*network].subnet;
            wire.addresses.iter().find(|ip| subnet.contains(**ip)).copied()
        };
        // A relay that stands between may ask to be taken for the server (RFC 5107).
        let server = sub(11).or_else(|| networks.iter().find_map(inside)).unwrap_or(wire.address);
        Place { networks, server }
    }

    /// The network of an address among those of a place.
    pub(super) fn network(&self, place: &Place, ip: Ipv4Addr) -> Option<usize> {
        place.networks.iter().copied().find(|network| self.settings.networks[*network].subnet.holds(ip))
    }

    fn in_range(&self, place: &Place, ip: Ipv4Addr) -> bool {
        let ranges = place.networks.iter().flat_map(|network| &self.settings.networks[*network].ranges);
        ranges.into_iter().any(|range| range.contains(ip))
    }

    /// Whether machines that nobody has named get addresses here.
    pub(super) fn has_ranges(&self, place: &Place) -> bool {
        place.networks.iter().any(|network| !self.settings.networks[*network].ranges.is_empty())
    }

    /// The address for a client (RFC 2131, 4.3.1): the closure's, its host's own, the one it has or had, the one it asks
    /// for, a fresh one, the one unused longest.
    pub(super) fn choose(
        &mut self,
        packet: &Packet,
        place: &Place,
        answer: Option<Ipv4Addr>,
        now: u64,
    ) -> Option<Ipv4Addr> {
        let free = |ip: &Ipv4Addr| self.free(*ip, packet, now);
        let here = |ip: &Ipv4Addr| self.network(place, *ip).is_some() && free(ip);
        if answer.is_some() {
            return answer.filter(here);
        }
        if let Some(ip) = self.fixed(packet).filter(here) {
            return Some(ip);
        }
        let dynamic = |ip: &Ipv4Addr| self.in_range(place, *ip) && free(ip);
        let had = self.leases.of(&client(packet)).filter(|lease| lease.state != State::Declined).map(|lease| lease.ip);
        let asked = packet.address(50).or(Some(packet.ciaddr));
        // Discovery gives addresses in order, whatever clients wish for.
        let asked = asked.filter(|_| !self.learns());
        if let Some(ip) = had.filter(dynamic).or_else(|| asked.filter(dynamic)) {
            return Some(ip);
        }
        place.networks.iter().find_map(|network| {
            let Rules { settings, leases, wires, .. } = &mut *self;
            let ranges = &settings.networks[*network].ranges;
            let router = settings.networks[*network].given.router.as_ref().or(settings.common.router.as_ref());
            // Whoever holds it is looked for by `fresh` itself.
            let free = |ip: Ipv4Addr| {
                let taken = wires.iter().any(|wire| wire.addresses.contains(&ip));
                !taken && !router.is_some_and(|router| router.contains(&ip)) && !settings.hosts.promised(ip, packet)
            };
            ranges.iter().find_map(|range| leases.fresh(*range, free))
        })
    }

    /// The address promised to this very client.
    pub(super) fn fixed(&self, packet: &Packet) -> Option<Ipv4Addr> {
        self.settings.hosts.of(packet)?.ip
    }

    /// Whether an address is one of a range and not promised to its client: somebody may have taken it meanwhile.
    pub(super) fn unsure(&self, ip: Ipv4Addr, packet: &Packet, place: &Place) -> bool {
        let known = self.leases.at(ip).is_some_and(|lease| lease.client == client(packet));
        !known && self.fixed(packet) != Some(ip) && self.in_range(place, ip)
    }

    /// Whether this client may have this address now.
    pub(super) fn free(&self, ip: Ipv4Addr, packet: &Packet, now: u64) -> bool {
        let is_router = |router: &Option<Vec<Ipv4Addr>>| router.iter().flatten().any(|router| *router == ip);
        let network = self.settings.networks.iter().find(|network| network.subnet.contains(ip));
        let taken = self.wires.iter().any(|wire| wire.addresses.contains(&ip))
            || is_router(&self.settings.common.router)
            || network.is_some_and(|network| is_router(&network.given.router));
        let held = self.leases.at(ip).is_some_and(|lease| lease.holds(now) && lease.client != client(packet));
        !taken && !held && !self.settings.hosts.promised(ip, packet)
    }
}
