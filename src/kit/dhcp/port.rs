//! One interface that is served: its sockets, and where replies go.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

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
    server: u16,
    /// Where clients listen; none: where each asked from.
    client: Option<u16>,
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
        Ok(Port { interface, address, mac, socket, second, link, arp, server, client })
    }

    /// Whether an address is on this very wire.
    pub fn reaches(&self, ip: Ipv4Addr) -> bool {
        self.interface.ipv4.iter().any(|(own, prefix)| Subnet::of(*own, *prefix).contains(ip))
    }

    pub fn number(&self) -> u16 {
        self.server
    }

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
        match (&self.link, question.mac()) {
            (Some(_), Some(Mac(mac))) if !question.broadcast && !reply.yiaddr.is_unspecified() => {
                Target::Link { mac, to: SocketAddrV4::new(reply.yiaddr, client) }
            }
            _ => to(Ipv4Addr::BROADCAST),
        }
    }

    /// Sends a reply; waits a little while the queue to the wire is full.
    pub fn send(&self, out: &Outgoing) -> io::Result<()> {
        let mut tries = 0;
        loop {
            let sent = match (out.target, &self.link) {
                (Target::Link { mac, to }, Some(link)) => {
                    link.send(mac, &frame::udp(SocketAddrV4::new(self.address, self.server), to, &out.bytes))
                }
                (Target::Link { to, .. }, None) | (Target::Address(to), _) => {
                    let socket = if out.second { self.second.as_ref().unwrap_or(&self.socket) } else { &self.socket };
                    socket.send_to(&out.bytes, to).map(drop)
                }
            };
            match sent {
                Err(error) if tries < 50 && full(&error) => std::thread::sleep(Duration::from_millis(1)),
                sent => return sent,
            }
            tries += 1;
        }
    }
}

fn full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}
