//! A client's conversation with servers: its sockets, and asking again.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::client::Ask;
use super::frame;
use super::link::{Link, Protocol};
use super::packet::{Kind, Packet};
use super::socket::{self, Share};
use crate::host::{Fault, Result};
use crate::kit::net::{Interface, Mac};

pub struct Talk {
    socket: UdpSocket,
    /// Hears what is sent to an address that is not ours yet.
    link: Option<AsyncFd<Link>>,
    port: u16,
    pub to: SocketAddrV4,
    pub xid: u32,
    pub mac: Mac,
    start: Instant,
    pub end: Instant,
    pub asked: u32,
}

impl Talk {
    /// `heard`: whether answers come by the link layer, to an address that the interface does not have.
    pub fn open(interface: &Interface, mac: Mac, ask: &Ask, time: Duration, heard: bool) -> Result<Talk> {
        let server = ask.port.unwrap_or(67);
        // A relay is answered where servers listen.
        let usual = if ask.relay.is_some() { server } else { 68 };
        let port = ask.client_port.unwrap_or(if interface.loopback { 0 } else { usual });
        // Several clients may share port 68: each hears all and takes what bears its number.
        let share = if port != 0 { Share::All } else { Share::Alone };
        let socket = UdpSocket::from_std(socket::open(interface, port, share)?)
            .map_err(|error| Fault::io("dhcp.bind", "use a socket", error))?;
        let link = match heard && !interface.loopback {
            true => {
                let link = Link::open(interface, Protocol::Ip)?;
                // SAFETY: the socket is moved in and closed with it, after it was taken off the reactor; nobody replaces it.
                let registered = unsafe { AsyncFd::register(link) };
                Some(registered.map_err(|error| Fault::io("dhcp.bind", "use a packet socket", error))?)
            }
            false => None,
        };
        let to = SocketAddrV4::new(ask.server.unwrap_or(socket::everybody(interface)), server);
        let xid = uuid::Uuid::new_v4().as_u128() as u32;
        let start = Instant::now();
        Ok(Talk { socket, link, port, to, xid, mac, start, end: start + time, asked: 0 })
    }

    /// Sends until one of `kinds` comes back or the time is over. Pauses double from 1 s to 16 s (RFC 2131, 4.1 starts
    /// at 4 s, which a person at a rack finds long), each up to a quarter longer, so that a room of machines
    /// switched on together does not ask in step.
    pub async fn ask(&mut self, question: &Packet, kinds: &[Kind]) -> Result<Option<Packet>> {
        let mut pause = Duration::from_secs(1);
        let mut question = question.clone();
        while Instant::now() < self.end {
            question.secs = self.start.elapsed().as_secs().min(0xffff) as u16;
            self.tell(&question).await?;
            let spread = u32::from(self.mac.0[5] ^ self.asked as u8);
            let until = (Instant::now() + pause + pause * spread / 1024).min(self.end);
            if let Ok(answer) = timeout_at(until, self.hear(kinds)).await {
                return Ok(Some(answer));
            }
            pause = (pause * 2).min(Duration::from_secs(16));
        }
        Ok(None)
    }

    /// Sends, and expects nothing.
    pub async fn tell(&mut self, packet: &Packet) -> Result<()> {
        let sent = self.socket.send_to(&packet.encode(), SocketAddr::from(self.to)).await;
        sent.map_err(|error| Fault::io("dhcp.send", format_args!("ask {}", self.to), error))?;
        self.asked += 1;
        Ok(())
    }

    /// The next packet that answers this conversation; all others are somebody else's.
    pub async fn hear(&self, kinds: &[Kind]) -> Packet {
        let mut buffer = vec![0; 65_536];
        let mut frame = vec![0; 65_536];
        loop {
            let packet = tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, _)) => Packet::parse(&buffer[..length]),
                    // An error is an ICMP message: nobody listens there yet.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                },
                Some(length) = self.frame(&mut frame) => match frame::read(&frame[..length]) {
                    Some((_, to, payload)) if to.port() == self.port && *to.ip() != Ipv4Addr::BROADCAST => {
                        Packet::parse(payload)
                    }
                    _ => continue,
                },
            };
            let Ok(packet) = packet else { continue };
            let ours = packet.op == 2 && packet.xid == self.xid && packet.mac() == Some(self.mac);
            if ours && packet.kind().is_some_and(|kind| kinds.contains(&kind)) {
                return packet;
            }
        }
    }

    async fn frame(&self, buffer: &mut [u8]) -> Option<usize> {
        let link = self.link.as_ref()?;
        loop {
            let mut ready = link.readable().await.ok()?;
            if let Ok(received) = ready.try_io(|link| link.get_ref().receive(buffer)) {
                return received.ok();
            }
        }
    }
}
