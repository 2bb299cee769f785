//! The client: asks for a lease as some firmware would, and configures nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::Subnet;
use super::option::Options;
use super::packet::{Kind, Packet};
use super::socket::{self, Share};
use crate::host::{Fault, Result, format_duration};
use crate::kit::net::{self, Interface, Mac};

/// What is asked for: subnet, router, name servers, names, boot server and file, and what boot ROMs ask beyond.
const WANTED: [u8; 33] = [
    1, 2, 3, 6, 12, 15, 17, 26, 28, 42, 43, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
    150, 155, 175, 208, 209, 210,
];

/// Who asks. Every field but the times is told to the server.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The interface's own unless said.
    pub mac: Option<Mac>,
    /// The server's port, 67 unless said.
    pub port: Option<u16>,
    /// Our port: 68, on the loopback a free one.
    pub client_port: Option<u16>,
    /// Option 93; with it come 60 and 94 as firmware sends them (RFC 4578).
    pub arch: Option<u16>,
    pub vendor_class: Option<String>,
    pub user_class: Option<String>,
    pub hostname: Option<String>,
    pub client_id: Option<Vec<u8>>,
    pub uuid: Option<uuid::Uuid>,
    /// The address wished for, option 50.
    pub ip: Option<Ipv4Addr>,
    /// Sent as given, over all else.
    pub options: Options,
    /// For the whole conversation; 30 s unless said.
    pub timeout: Option<Duration>,
}

/// What the server gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    pub mac: Mac,
    pub ip: Ipv4Addr,
    pub subnet: Subnet,
    pub router: Vec<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub domain: String,
    pub hostname: String,
    /// Option 54.
    pub server: Ipv4Addr,
    /// Where the boot file is: `siaddr`, else option 66, else the server.
    pub next_server: String,
    /// Option 67, else `file`; empty without.
    pub bootfile: String,
    /// Seconds.
    pub lease: u32,
    pub options: BTreeMap<u8, Vec<u8>>,
}

/// From DISCOVER to ACK, asking again with growing pauses. Cancel-safe.
///
/// # Errors
/// `dhcp.timeout`: nobody offered, or nobody acknowledged what was offered; `net.missing`, `dhcp.bind`, `dhcp.send`.
pub async fn request(interface: &str, ask: &Ask) -> Result<Granted> {
    let interface = net::find(interface)?;
    let mac = match ask.mac {
        Some(mac) => mac,
        None => interface.mac.parse().map_err(|_| {
            Fault::new("dhcp.mac", format!("{} has no hardware address of its own", interface.name))
                .hint("say which to ask with: mac: \"52:54:00:12:34:56\"")
        })?,
    };
    let time = ask.timeout.unwrap_or(Duration::from_secs(30));
    let port = ask.client_port.unwrap_or(if interface.loopback { 0 } else { 68 });
    // Several clients may share port 68: each hears all and takes what bears its number.
    let share = if port != 0 { Share::All } else { Share::Alone };
    let socket = UdpSocket::from_std(socket::open(&interface, port, share)?)
        .map_err(|error| Fault::io("dhcp.bind", "use a socket", error))?;
    let mut talk = Talk {
        socket,
        to: SocketAddr::from((socket::everybody(&interface), ask.port.unwrap_or(67))),
        xid: uuid::Uuid::new_v4().as_u128() as u32,
        mac,
        start: Instant::now(),
        end: Instant::now() + time,
        asked: 0,
    };
    let mut refused = None;
    loop {
        let Some(offer) = talk.ask(&question(&talk, ask, Kind::Discover), &[Kind::Offer]).await? else {
            return Err(late(&interface, &talk, time, refused));
        };
        let server = offer.address(54).unwrap_or(offer.siaddr);
        let mut request = question(&talk, ask, Kind::Request);
        request.options.insert(50, offer.yiaddr.octets().to_vec());
        request.options.insert(54, server.octets().to_vec());
        match talk.ask(&request, &[Kind::Ack, Kind::Nak]).await? {
            Some(reply) if reply.kind() == Some(Kind::Ack) => return Ok(granted(mac, &reply, server)),
            Some(reply) => {
                let why = reply.text(56).unwrap_or_default();
                refused = Some(format!("{server} offered {} and refused it: {why}", offer.yiaddr));
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            None => {
                let silent = format!("{server} offered {} and then fell silent", offer.yiaddr);
                return Err(late(&interface, &talk, time, Some(silent)));
            }
        }
        if Instant::now() >= talk.end {
            return Err(late(&interface, &talk, time, refused));
        }
    }
}

fn late(interface: &Interface, talk: &Talk, time: Duration, why: Option<String>) -> Fault {
    let why = why.unwrap_or_else(|| format!("no answer to {} packets", talk.asked));
    let time = format_duration(time);
    Fault::new(
        "dhcp.timeout",
        format!("cannot get a lease for {} on {} within {time}: {why}", talk.mac, interface.name),
    )
    .hint("is there a DHCP server on this wire, on this port, and an address left in its range?")
}

struct Talk {
    socket: UdpSocket,
    to: SocketAddr,
    xid: u32,
    mac: Mac,
    start: Instant,
    end: Instant,
    asked: u32,
}

impl Talk {
    /// Sends until one of `kinds` comes back or the time is over. Pauses double from 1 s to 16 s (RFC 2131, 4.1 starts
    /// at 4 s, which a person at a rack finds long), each up to a quarter longer, so that a room of machines
    /// switched on together does not ask in step.
    async fn ask(&mut self, question: &Packet, kinds: &[Kind]) -> Result<Option<Packet>> {
        let mut pause = Duration::from_secs(1);
        let mut question = question.clone();
        while Instant::now() < self.end {
            question.secs = self.start.elapsed().as_secs().min(0xffff) as u16;
            self.socket
                .send_to(&question.encode()?, self.to)
                .await
                .map_err(|error| Fault::io("dhcp.send", format_args!("ask {}", self.to), error))?;
            self.asked += 1;
            let spread = u32::from(self.mac.0[5] ^ self.asked as u8);
            let until = (Instant::now() + pause + pause * spread / 1024).min(self.end);
            if let Ok(answer) = timeout_at(until, self.hear(kinds)).await {
                return Ok(Some(answer));
            }
            pause = (pause * 2).min(Duration::from_secs(16));
        }
        Ok(None)
    }

    /// The next packet that answers this conversation; all others are somebody else's.
    async fn hear(&self, kinds: &[Kind]) -> Packet {
        let mut buffer = vec![0; 65_536];
        loop {
            // An error is an ICMP message: nobody listens there yet.
            let Ok((length, _)) = self.socket.recv_from(&mut buffer).await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let Ok(packet) = Packet::parse(&buffer[..length]) else { continue };
            let ours = packet.op == 2 && packet.xid == self.xid && packet.mac() == Some(self.mac);
            if ours && packet.kind().is_some_and(|kind| kinds.contains(&kind)) {
                return packet;
            }
        }
    }
}

fn question(talk: &Talk, ask: &Ask, kind: Kind) -> Packet {
    let mut options = Options::new();
    let mut set = |code: u8, data: Option<Vec<u8>>| options.extend(data.map(|data| (code, data)));
    let text = |text: &Option<String>| text.clone().map(String::into_bytes);
    set(53, Some(vec![kind as u8]));
    set(55, Some(WANTED.to_vec()));
    set(57, Some(1500u16.to_be_bytes().to_vec()));
    set(12, text(&ask.hostname));
    set(50, ask.ip.map(|ip| ip.octets().to_vec()));
    set(61, ask.client_id.clone());
    set(77, text(&ask.user_class));
    if let Some(arch) = ask.arch {
        set(60, Some(format!("PXEClient:Arch:{arch:05}:UNDI:003016").into_bytes()));
        set(93, Some(arch.to_be_bytes().to_vec()));
        set(94, Some(vec![1, 3, 16]));
    }
    set(60, text(&ask.vendor_class));
    set(97, ask.uuid.map(|uuid| [&[0], uuid.as_bytes().as_slice()].concat()));
    options.extend(ask.options.clone());
    // No address yet: only broadcasts reach a UDP socket.
    Packet { xid: talk.xid, broadcast: true, chaddr: talk.mac.0.to_vec(), options, ..Packet::default() }
}

fn granted(mac: Mac, reply: &Packet, server: Ipv4Addr) -> Granted {
    let mask = reply.address(1).map_or(32, |mask| mask.to_bits().count_ones() as u8);
    let field = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    let next = Some(reply.siaddr).filter(|a| !a.is_unspecified()).map(|a| a.to_string());
    Granted {
        mac,
        ip: reply.yiaddr,
        subnet: Subnet::of(reply.yiaddr, mask),
        router: reply.addresses(3),
        dns: reply.addresses(6),
        domain: reply.text(15).unwrap_or_default(),
        hostname: reply.text(12).unwrap_or_default(),
        server,
        next_server: next.or_else(|| reply.text(66)).unwrap_or_else(|| server.to_string()),
        bootfile: reply.text(67).filter(|file| !file.is_empty()).unwrap_or_else(|| field(&reply.file)),
        lease: reply.number(51).unwrap_or(u32::MAX),
        options: reply.options.clone(),
    }
}
