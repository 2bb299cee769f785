//! One interface that is served: its sockets, and where replies go.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use super::batch::{self, MANY};
use super::frame;
use super::link::{Link, Protocol};
use super::packet::{Kind, Packet};
use super::server::Ports;
use super::socket::{self, Share};
use super::subnet::Subnet;
use crate::host::{Fault, Result};
use crate::kit::net::{Interface, Mac};

/// Where proxies are asked a second time (PXE specification 2.1, 2.2.3).
pub const PROXY: u16 = 4011;

/// Where a reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Address(SocketAddrV4),
    /// By hardware address, to one that has no other yet.
    Link {
        mac: [u8; 6],
        to: SocketAddrV4,
    },
}

impl Target {
    fn is_link(&self) -> bool {
        matches!(self, Target::Link { .. })
    }
}

/// A reply on its way.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub port: usize,
    pub target: Target,
    /// Whether it answers on the proxy's second port.
    pub second: bool,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Port {
    pub interface: Interface,
    pub address: Ipv4Addr,
    pub mac: Option<Mac>,
    pub socket: UdpSocket,
    /// A proxy's second one.
    pub second: Option<UdpSocket>,
    /// To clients without an address; none on what is no Ethernet.
    link: Option<Link>,
    /// Where addresses are asked for before they are offered.
    pub arp: Option<Link>,
    pub way: Way,
}

/// By which numbers clients and relays of an interface are reached.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// Where servers and relays listen.
    pub server: u16,
    /// Where clients listen; none: where each asked from.
    pub client: Option<u16>,
    /// Whether machines are reached by their hardware address.
    pub ethernet: bool,
}

impl Way {
    /// Where a reply goes (RFC 2131, 4.1).
    pub fn target(&self, question: &Packet, reply: &Packet, from: SocketAddrV4, second: bool) -> Target {
        let Some(client) = self.client else { return Target::Address(from) };
        let to = |ip| Target::Address(SocketAddrV4::new(ip, client));
        if !question.giaddr.is_unspecified() {
            // Relays listen where servers do.
            return Target::Address(SocketAddrV4::new(question.giaddr, self.server));
        }
        if second && !from.ip().is_unspecified() {
            return Target::Address(from);
        }
        if reply.kind() == Some(Kind::Nak) {
            return to(Ipv4Addr::BROADCAST);
        }
        if !question.ciaddr.is_unspecified() {
            return to(question.ciaddr);
        }
        match question.mac() {
            Some(Mac(mac)) if self.ethernet && !question.broadcast && !reply.yiaddr.is_unspecified() => {
                Target::Link { mac, to: SocketAddrV4::new(reply.yiaddr, client) }
            }
            _ => to(Ipv4Addr::BROADCAST),
        }
    }
}

impl Port {
    pub fn open(interface: Interface, address: Ipv4Addr, ports: Ports, proxy: bool, probe: bool) -> Result<Port> {
        let server = ports.server.unwrap_or(67);
        let share = if proxy { Share::Beside } else { Share::Alone };
        let socket = socket::open(&interface, server, share)?;
        let second = match proxy {
            true if interface.loopback => Some(socket::open(&interface, 0, Share::Alone)?),
            true => Some(socket::open(&interface, PROXY, Share::Alone)?),
            false => None,
        };
        let fail = |error| Fault::io("dhcp.bind", "ask for the port", error);
        let server = socket.local_addr().map_err(fail)?.port();
        let mac: Option<Mac> = interface.mac.parse().ok();
        let ethernet = mac.is_some() && !interface.loopback;
        let link = ethernet.then(|| Link::open(&interface, Protocol::None)).transpose()?;
        let arp = (ethernet && probe).then(|| Link::open(&interface, Protocol::Arp)).transpose()?;
        let client = ports.client.or((!interface.loopback).then_some(68));
        let way = Way { server, client, ethernet };
        Ok(Port { interface, address, mac, socket, second, link, arp, way })
    }

    /// Whether an address is on this very wire.
    pub fn reaches(&self, ip: Ipv4Addr) -> bool {
        self.interface.ipv4.iter().any(|(own, prefix)| Subnet::of(*own, *prefix).contains(ip))
    }

    pub fn number(&self) -> u16 {
        self.way.server
    }

    /// Sends as many of these as go by one call, from the first on: those that leave by the same socket. Gives back how
    /// many.
    pub fn send(&self, list: &[&Outgoing]) -> io::Result<usize> {
        let Some(first) = list.first() else { return Ok(0) };
        let same = |out: &&&Outgoing| out.second == first.second && out.target.is_link() == first.target.is_link();
        let list = list.iter().take(MANY).take_while(same);
        match &self.link {
            Some(link) if first.target.is_link() => {
                let from = SocketAddrV4::new(self.address, self.way.server);
                let frame = |out: &&Outgoing| match out.target {
                    Target::Link { mac, to } => (link.to(mac), frame::udp(from, to, &out.bytes)),
                    Target::Address(to) => (link.to([255; 6]), frame::udp(from, to, &out.bytes)),
                };
                let frames: Vec<_> = list.map(frame).collect();
                let packets: Vec<_> = frames.iter().map(|(to, bytes)| (*to, bytes.as_slice())).collect();
                batch::send(link, &packets)
            }
            _ => {
                let packet = |out: &&'_ Outgoing| match out.target {
                    Target::Address(to) | Target::Link { to, .. } => batch::address(to),
                };
                let packets: Vec<_> = list.map(|out| (packet(out), out.bytes.as_slice())).collect();
                let socket = if first.second { self.second.as_ref().unwrap_or(&self.socket) } else { &self.socket };
                batch::send(socket, &packets)
            }
        }
    }

    /// Asks the wire who has these addresses, from the first on. Gives back how many were asked for.
    pub fn ask(&self, addresses: &[Ipv4Addr]) -> io::Result<usize> {
        let (Some(arp), Some(Mac(mac))) = (&self.arp, self.mac) else { return Ok(addresses.len()) };
        let probes: Vec<_> = addresses.iter().take(MANY).map(|ip| frame::arp_probe(mac, *ip)).collect();
        let packets: Vec<_> = probes.iter().map(|probe| (arp.to([255; 6]), probe.as_slice())).collect();
        batch::send(arp, &packets)
    }
}

/// Whether the queue to the wire is, and not the wire gone.
pub fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}
