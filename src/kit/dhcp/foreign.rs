//! Another server on the same wire: looked for before this one starts to give addresses.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use super::frame;
use super::link::{Link, Protocol};
use super::packet::{Kind, Packet};
use super::port::Port;
use crate::host::{Fault, Host, Result};
use crate::kit::net::Mac;

/// Asks each wire, all at once, as a client would and as a machine would that has an address already: some servers take
/// seconds to offer, all of them answer the second at once.
///
/// # Errors
/// `dhcp.foreign`: says who answered; `dhcp.bind`.
pub fn refuse<'a>(host: &Host, ports: impl Iterator<Item = &'a Port>, time: Duration) -> Result<()> {
    let xid = uuid::Uuid::new_v4().as_u128() as u32;
    let open = |port: &'a Port| Some((port, Link::open(&port.interface, Protocol::Ip), port.mac?));
    let asked: Vec<_> = ports.filter(|port| !port.interface.loopback).filter_map(open).collect();
    let (start, mut sent) = (Instant::now(), 0);
    while !asked.is_empty() && start.elapsed() < time {
        host.check()?;
        for (port, link, mac) in &asked {
            let link = link.as_ref().map_err(Clone::clone)?;
            // Twice, in case that one is lost.
            if sent == 0 || sent == 1 && start.elapsed() > time / 2 {
                for packet in questions(xid, *mac, port.address) {
                    let from = SocketAddrV4::new(packet.ciaddr, 68);
                    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);
                    // A wire that cannot be asked now has nobody to find.
                    let _ = link.send([255; 6], &frame::udp(from, to, &packet.encode()));
                }
            }
            let mut buffer = [0; 2048];
            while let Ok(count) = link.receive(&mut buffer) {
                if let Some((server, what)) = answered(&buffer[..count], xid) {
                    let name = &port.interface.name;
                    return Err(Fault::new(
                        "dhcp.foreign",
                        format!("cannot serve DHCP on {name}: the server {server} answers there already ({what})"),
                    )
                    .hint("beside it: mode: \"proxy\" gives boot settings and no addresses; look: \"0s\" serves all the same"));
                }
            }
        }
        sent = if start.elapsed() > time / 2 { 2 } else { 1 };
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn questions(xid: u32, mac: Mac, address: Ipv4Addr) -> [Packet; 2] {
    let ask = |kind: Kind, ciaddr| Packet {
        xid,
        ciaddr,
        broadcast: ciaddr == Ipv4Addr::UNSPECIFIED,
        chaddr: mac.0.to_vec(),
        options: [(53, vec![kind as u8]), (55, vec![1, 3, 54])].into(),
        ..Packet::default()
    };
    [ask(Kind::Discover, Ipv4Addr::UNSPECIFIED), ask(Kind::Inform, address)]
}

/// Which server speaks, and what it says.
fn answered(bytes: &[u8], xid: u32) -> Option<(Ipv4Addr, String)> {
    let (from, _, payload) = frame::read(bytes)?;
    let packet = Packet::parse(payload).ok().filter(|packet| packet.op == 2 && packet.xid == xid)?;
    let what = match packet.kind()? {
        Kind::Offer => format!("it offers {}", packet.yiaddr),
        Kind::Ack => "it answers DHCPINFORM".to_string(),
        _ => return None,
    };
    Some((packet.address(54).unwrap_or(*from.ip()), what))
}
