//! Finding a session by its name: a datagram to everybody, an answer from the server that has it.
//!
//! Every server of a machine listens on the one port; the kernel gives a copy of each broadcast to all of them.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, setsockopt, socket, sockopt,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout};

use super::PORT;
use super::frame::{self, FrameError, Kind};
use super::message::Message;
use super::proof::nonce;

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

/// The server's ear.
pub fn ear() -> io::Result<UdpSocket> {
    udp(Ipv4Addr::UNSPECIFIED, PORT)
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
        if let Ok(Message::Query { session: wanted, nonce }) = parse(&buffer[..length])
            && wanted == session
            && nonce.len() <= 64
        {
            let answer = Message::Answer { session: wanted, nonce, port, address };
            let _ = ear.try_send_to(&answer.frame(), from);
        }
    }
}

/// Where to ask: the broadcast address of every interface that is up, and the loopback's. With a local address, only
/// the interface that has it.
fn ears(local: Option<Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
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

/// Asks for a session until a server answers.
///
/// # Errors
/// What was heard instead when `until` is over: nothing (`None`), or another version.
pub async fn find(session: &str, local: Option<IpAddr>, until: Instant) -> io::Result<Result<SocketAddr, Option<u8>>> {
    let local = match local {
        Some(IpAddr::V6(_)) => return Err(io::Error::other("a session is found by name from an IPv4 address only")),
        Some(IpAddr::V4(address)) => Some(address),
        None => None,
    };
    let mouth = udp(local.unwrap_or(Ipv4Addr::UNSPECIFIED), 0)?;
    let own = nonce();
    let query = Message::Query { session: session.to_string(), nonce: own.clone() }.frame();
    let mut buffer = [0; DATAGRAM];
    let mut pause = Duration::from_millis(100);
    let mut other_version = None;
    loop {
        // Interfaces come up while a node waits: looked at each time. One that does not take it is passed over.
        for target in ears(local) {
            let _ = mouth.send_to(&query, (target, PORT)).await;
        }
        let again = (Instant::now() + pause).min(until);
        while let Ok(heard) =
            timeout(again.saturating_duration_since(Instant::now()), mouth.recv_from(&mut buffer)).await
        {
            let Ok((length, from)) = heard else { break };
            match parse(&buffer[..length]) {
                Ok(Message::Answer { session: has, nonce, port, address }) if has == session && nonce == own => {
                    return Ok(Ok(SocketAddr::new(address.unwrap_or(from.ip()), port)));
                }
                Err(FrameError::Version(version)) => other_version = Some(version),
                _ => {}
            }
        }
        if Instant::now() >= until {
            return Ok(Err(other_version));
        }
        sleep_until(again).await;
        pause = (pause * 2).min(Duration::from_secs(2));
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
        assert_eq!(ears(Some(Ipv4Addr::new(127, 53, 0, 1))), [Ipv4Addr::new(127, 255, 255, 255)].into());
        assert!(ears(None).contains(&Ipv4Addr::new(127, 255, 255, 255)));
    }
}
