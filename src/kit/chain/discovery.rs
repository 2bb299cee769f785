//! Finding a session by its name: a datagram to everybody, an answer from the server that has it.
//!
//! Every server of a machine listens on the one port; the kernel gives a copy of each broadcast to all of them.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, bind, setsockopt, socket, sockopt,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::PORT;
use super::frame::{self, FrameError, Kind};
use super::message::Message;
use super::proof::nonce;

/// All hosts of a link.
const ALL_HOSTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A datagram is never longer: it has to pass any network in one piece.
const DATAGRAM: usize = 1400;

/// What a datagram says, if it is one of ours.
///
/// # Errors
/// Why it is not.
pub fn parse(datagram: &[u8]) -> Result<Message, FrameError> {
    let (header, payload) = frame::decode(datagram)?;
    match (header.kind, Message::parse(payload)) {
        (Kind::Message, Some(message @ (Message::Query { .. } | Message::Answer { .. }))) => Ok(message),
        _ => Err(FrameError::Kind(header.kind as u8)),
    }
}

fn udp(address: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    if port != 0 {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, port)))?;
    UdpSocket::from_std(fd.into())
}

/// The same for IPv6 alone; multicast to all hosts of a link reaches it without being asked for.
fn udp6(port: u16) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    if port != 0 {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)))?;
    UdpSocket::from_std(fd.into())
}

/// The server's ears: one for IPv4 and, where the kernel has it, one for IPv6.
pub fn ears() -> io::Result<Vec<UdpSocket>> {
    Ok(std::iter::once(udp(Ipv4Addr::UNSPECIFIED, PORT)?).chain(udp6(PORT).ok()).collect())
}

/// Answers for one session until dropped. `address` is told where the server listens on that address alone.
pub async fn answer(ear: UdpSocket, session: String, port: u16, address: Option<IpAddr>) {
    let mut buffer = [0; DATAGRAM];
    loop {
        // An error here is about an earlier answer that nobody took.
        let Ok((length, from)) = ear.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Who listens on an address of one family alone has nothing to say to the other.
        let deaf = address.is_some_and(|address| address.is_ipv4() != from.is_ipv4());
        if let Ok(Message::Query { session: wanted, nonce }) = parse(&buffer[..length])
            && wanted == session
            && nonce.len() <= 64
            && !deaf
        {
            let answer = Message::Answer { session: wanted, nonce, port, address };
            let _ = ear.try_send_to(&answer.frame(), from);
        }
    }
}

/// Where to ask by IPv6: all hosts of the link of every interface that can; with a local address, of the one that has it.
fn links(local: Option<Ipv6Addr>) -> BTreeSet<u32> {
    let able = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST;
    let interfaces = getifaddrs().into_iter().flatten().filter(|i| i.flags.contains(able));
    interfaces
        .filter_map(|interface| {
            let own = interface.address?.as_sockaddr_in6().map(SockaddrIn6::ip)?;
            let wanted = local.map_or(own.is_unicast_link_local(), |local| local == own);
            wanted.then(|| if_nametoindex(interface.interface_name.as_str()).ok()).flatten()
        })
        .collect()
}

/// Where to ask: the broadcast address of every interface that is up, and the loopback's. With a local address, only
/// the interface that has it.
fn nets(local: Option<Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
    let mut targets = BTreeSet::new();
    let v4 = |address: Option<SockaddrStorage>| address.and_then(|a| a.as_sockaddr_in().map(SockaddrIn::ip));
    for interface in getifaddrs().into_iter().flatten().filter(|i| i.flags.contains(InterfaceFlags::IFF_UP)) {
        let (Some(own), Some(mask)) = (v4(interface.address), v4(interface.netmask)) else { continue };
        if local.is_some_and(|local| local & mask != own & mask) {
            continue;
        }
        // Where no broadcast address is set, the kernel still takes the last address of the network for one.
        if interface.flags.intersects(InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_BROADCAST) {
            targets.insert(own | !mask);
        }
        if let Some(broadcast) =
            v4(interface.broadcast).filter(|_| interface.flags.contains(InterfaceFlags::IFF_BROADCAST))
        {
            targets.insert(broadcast);
        }
    }
    if local.is_none_or(|local| !local.is_loopback()) {
        targets.insert(Ipv4Addr::BROADCAST);
    }
    targets
}

/// How long an answer by IPv4 is waited for when one by IPv6 is there: all nodes of a session had best use one family.
const FIRST: Duration = Duration::from_millis(500);

/// Asks for a session until a server answers, by IPv4 and by IPv6.
///
/// # Errors
/// What was heard instead when `until` is over: nothing (`None`), or another version.
pub async fn find(session: &str, local: Option<IpAddr>, until: Instant) -> io::Result<Result<SocketAddr, Option<u8>>> {
    let (v4, v6) = match local {
        Some(IpAddr::V4(address)) => (Some(Some(address)), None),
        Some(IpAddr::V6(address)) => (None, Some(Some(address))),
        None => (Some(None), Some(None)),
    };
    let mouth = v4.map(|local| udp(local.unwrap_or(Ipv4Addr::UNSPECIFIED), 0)).transpose()?;
    let mouth6 = v6.and_then(|_| udp6(0).ok());
    let own = nonce();
    let query = Message::Query { session: session.to_string(), nonce: own.clone() }.frame();
    let mut pause = Duration::from_millis(100);
    let mut other_version = None;
    let mut second: Option<(SocketAddr, Instant)> = None;
    loop {
        // Interfaces come up while a node waits: looked at each time. One that does not take it is passed over.
        if let (Some(mouth), Some(local)) = (&mouth, v4) {
            for target in nets(local) {
                let _ = mouth.send_to(&query, (target, PORT)).await;
            }
        }
        if let (Some(mouth), Some(local)) = (&mouth6, v6) {
            for link in links(local) {
                let _ = mouth.send_to(&query, SocketAddrV6::new(ALL_HOSTS, PORT, 0, link)).await;
            }
        }
        let again = (Instant::now() + pause).min(until);
        loop {
            let limit = second.map_or(again, |(_, limit)| limit.min(again));
            let heard = tokio::select! {
                heard = listen(mouth.as_ref()) => heard,
                heard = listen(mouth6.as_ref()) => heard,
                () = sleep_until(limit) => break,
            };
            match parse(&heard.0) {
                Ok(Message::Answer { session: has, nonce, port, address }) if has == session && nonce == own => {
                    let mut server = heard.1;
                    server.set_port(port);
                    if let Some(address) = address {
                        server.set_ip(address);
                    }
                    if server.is_ipv4() || mouth.is_none() {
                        return Ok(Ok(server));
                    }
                    second.get_or_insert((server, Instant::now() + FIRST));
                }
                Err(FrameError::Version(version)) => other_version = Some(version),
                _ => {}
            }
        }
        if let Some((server, _)) = second.filter(|(_, limit)| *limit <= Instant::now()) {
            return Ok(Ok(server));
        }
        if Instant::now() >= until {
            return Ok(Err(other_version));
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// The next datagram; never where there is no socket.
async fn listen(socket: Option<&UdpSocket>) -> (Vec<u8>, SocketAddr) {
    let Some(socket) = socket else { return std::future::pending().await };
    let mut buffer = vec![0; DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                buffer.truncate(length);
                return (buffer, from);
            }
            // About an earlier question that could not be delivered.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..DATAGRAM)) {
            let _ = parse(&bytes);
            let _ = parse(&frame::encode(Kind::Message, 0, &bytes));
        }
    }

    #[test]
    fn only_questions_and_answers_are_heard() {
        let query = Message::Query { session: "a".into(), nonce: "1".into() };
        assert_eq!(parse(&query.frame()), Ok(query));
        assert!(parse(&Message::Bye.frame()).is_err());
        assert!(parse(&frame::encode(Kind::Ping, 0, &[])).is_err());
    }

    #[test]
    fn the_loopback_is_asked_too() {
        assert_eq!(nets(Some(Ipv4Addr::new(127, 53, 0, 1))), [Ipv4Addr::new(127, 255, 255, 255)].into());
        assert!(nets(None).contains(&Ipv4Addr::new(127, 255, 255, 255)));
    }
}
