//! The client: asks for a lease as some firmware would, renews it, gives it back. It configures nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Subnet;
use super::option::Options;
use super::packet::{Kind, Packet};
use super::socket;
use super::talk::Talk;
use crate::host::{Fault, Result, format_duration};
use crate::kit::net::{self, Interface, Mac};

/// What is asked for: subnet, router, name servers, names, boot server and file, and what boot ROMs ask beyond.
const WANTED: [u8; 33] = [
    1, 2, 3, 6, 12, 15, 17, 26, 28, 42, 43, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
    150, 155, 175, 208, 209, 210,
];

/// How long a second offer is waited for where the first one alone is not enough.
const MORE: Duration = Duration::from_secs(1);

/// Who asks. Every field but the times is told to the server.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The interface's own unless said.
    pub mac: Option<Mac>,
    /// The server's port, 67 unless said.
    pub port: Option<u16>,
    /// Our port: 68, on the loopback a free one.
    pub client_port: Option<u16>,
    /// The server asked; everybody unless said.
    pub server: Option<Ipv4Addr>,
    /// Asks as a relay with this address would.
    pub relay: Option<Ipv4Addr>,
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
    /// Wants answers sent to this machine alone: they are heard by a packet socket. Some servers send to everybody
    /// all the same.
    pub unicast: bool,
    /// For the whole conversation; 30 s unless said.
    pub timeout: Option<Duration>,
}

impl Ask {
    fn time(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(30))
    }

    fn mac(&self, interface: &Interface) -> Result<Mac> {
        self.mac.map_or_else(
            || {
                interface.mac.parse().map_err(|_| {
                    Fault::new("dhcp.mac", format!("{} has no hardware address of its own", interface.name))
                        .hint("say which to ask with: mac: \"52:54:00:12:34:56\"")
                })
            },
            Ok,
        )
    }
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

impl Granted {
    /// Address from one server, boot file from another.
    fn boot_from(&mut self, proxy: &Packet) {
        let told = granted(self.mac, proxy, proxy.address(54).unwrap_or(proxy.siaddr));
        if !told.bootfile.is_empty() {
            (self.next_server, self.bootfile) = (told.next_server, told.bootfile);
        }
        for code in [43, 60, 66, 67] {
            self.options.extend(told.options.get(&code).map(|data| (code, data.clone())));
        }
    }
}

/// From DISCOVER to ACK, asking again with growing pauses. Cancel-safe.
///
/// # Errors
/// `dhcp.timeout`: nobody offered, or nobody acknowledged what was offered; `net.missing`, `dhcp.bind`, `dhcp.send`.
pub async fn request(interface: &str, ask: &Ask) -> Result<Granted> {
    let interface = net::find(interface)?;
    let (mac, time) = (ask.mac(&interface)?, ask.time());
    let mut talk = Talk::open(&interface, mac, ask, time, ask.unicast)?;
    let mut refused = None;
    loop {
        let Some((offer, proxy)) = offers(&mut talk, ask).await? else {
            return Err(late(&interface, &talk, time, refused));
        };
        let server = offer.address(54).unwrap_or(offer.siaddr);
        // A proxy alone: no address, but a boot file.
        if offer.yiaddr.is_unspecified() {
            return Ok(granted(mac, &offer, server));
        }
        let mut request = question(&talk, ask, Kind::Request);
        request.options.insert(50, offer.yiaddr.octets().to_vec());
        request.options.insert(54, server.octets().to_vec());
        match talk.ask(&request, &[Kind::Ack, Kind::Nak]).await? {
            Some(reply) if reply.kind() == Some(Kind::Ack) => {
                let mut granted = granted(mac, &reply, server);
                if let Some(proxy) = proxy {
                    granted.boot_from(&proxy);
                }
                return Ok(granted);
            }
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

/// The offer of an address and the one of a proxy. Firmware listens on for a while where one of them is missing (PXE
/// specification 2.1, 2.2.3).
async fn offers(talk: &mut Talk, ask: &Ask) -> Result<Option<(Packet, Option<Packet>)>> {
    let Some(first) = talk.ask(&question(talk, ask, Kind::Discover), &[Kind::Offer]).await? else { return Ok(None) };
    let proxy = |offer: &Packet| offer.yiaddr.is_unspecified();
    let enough = !proxy(&first) && (ask.arch.is_none() || !boot_file(&first).is_empty());
    if enough {
        return Ok(Some((first, None)));
    }
    let until = (Instant::now() + MORE).min(talk.end);
    while let Ok(second) = timeout_at(until, talk.hear(&[Kind::Offer])).await {
        match (proxy(&first), proxy(&second)) {
            (true, false) => return Ok(Some((second, Some(first)))),
            (false, true) => return Ok(Some((first, Some(second)))),
            _ => {}
        }
    }
    Ok(Some((first, None)))
}

/// Asks for more time on an address that is in use (RFC 2131, 4.4.5): its server first, then, in the second half of the
/// time, everybody. The interface has to have the address.
///
/// # Errors
/// `dhcp.refused`: the server says no, the address must not be used any longer; `dhcp.timeout` and others as
/// [`request`].
pub async fn renew(interface: &str, ip: Ipv4Addr, ask: &Ask) -> Result<Granted> {
    let interface = net::find(interface)?;
    let (mac, time) = (ask.mac(&interface)?, ask.time());
    let mut talk = Talk::open(&interface, mac, ask, time, false)?;
    let end = talk.end;
    let mut question = question(&talk, ask, Kind::Request);
    (question.ciaddr, question.broadcast) = (ip, false);
    talk.end = Instant::now() + time / 2;
    let mut reply = talk.ask(&question, &[Kind::Ack, Kind::Nak]).await?;
    if reply.is_none() {
        talk.end = end;
        talk.to.set_ip(socket::everybody(&interface));
        reply = talk.ask(&question, &[Kind::Ack, Kind::Nak]).await?;
    }
    match reply {
        None => Err(late(&interface, &talk, time, None)),
        Some(reply) if reply.kind() == Some(Kind::Nak) => {
            let why = reply.text(56).unwrap_or_default();
            Err(Fault::new("dhcp.refused", format!("{ip} is not given to {mac} any longer: {why}"))
                .hint("ask for a new lease: dhcp::request(interface)"))
        }
        Some(reply) => Ok(granted(mac, &reply, reply.address(54).unwrap_or(reply.siaddr))),
    }
}

/// Gives an address back (RFC 2131, 4.4.6). Nobody answers this.
///
/// # Errors
/// As [`request`], but for `dhcp.timeout`.
pub async fn release(interface: &str, ip: Ipv4Addr, server: Ipv4Addr, ask: &Ask) -> Result<()> {
    let interface = net::find(interface)?;
    let mut talk = Talk::open(&interface, ask.mac(&interface)?, ask, ask.time(), false)?;
    let mut options = Options::from([(53, vec![Kind::Release as u8]), (54, server.octets().to_vec())]);
    options.extend(ask.client_id.clone().map(|id| (61, id)));
    let packet = Packet { xid: talk.xid, ciaddr: ip, chaddr: talk.mac.0.to_vec(), options, ..Packet::default() };
    talk.tell(&packet).await
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
    let relay = ask.relay.unwrap_or(Ipv4Addr::UNSPECIFIED);
    // No address yet: only broadcasts reach a UDP socket.
    Packet {
        xid: talk.xid,
        hops: u8::from(ask.relay.is_some()),
        broadcast: !ask.unicast,
        giaddr: relay,
        chaddr: talk.mac.0.to_vec(),
        options,
        ..Packet::default()
    }
}

fn granted(mac: Mac, reply: &Packet, server: Ipv4Addr) -> Granted {
    let mask = reply.address(1).map_or(32, |mask| mask.to_bits().count_ones() as u8);
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
        bootfile: boot_file(reply),
        lease: reply.number(51).unwrap_or(u32::MAX),
        options: reply.options.clone(),
    }
}

fn boot_file(reply: &Packet) -> String {
    let field = || String::from_utf8_lossy(&reply.file).to_string();
    reply.text(67).filter(|file| !file.is_empty()).unwrap_or_else(field)
}
