//! A server's packet.

use std::net::Ipv4Addr;

use super::option::Options;
use super::packet::{COMMON, Kind, Packet};
use super::settings::Changes;
use super::subnet::Subnet;

/// What both ACK and NAK take over from the question (RFC 2131, table 3).
fn answer(question: &Packet, kind: Option<Kind>, server: Ipv4Addr) -> Packet {
    let mut options = Options::new();
    if let Some(kind) = kind {
        options.insert(53, vec![kind as u8]);
        options.insert(54, server.octets().to_vec());
        // 61 goes back to the client (RFC 6842), 82 to the relay (RFC 3046).
        for code in [61, 82] {
            options.extend(question.options.get(&code).map(|data| (code, data.clone())));
        }
    }
    Packet {
        op: 2,
        htype: question.htype,
        xid: question.xid,
        broadcast: question.broadcast,
        giaddr: question.giaddr,
        chaddr: question.chaddr.clone(),
        options,
        ..Packet::default()
    }
}

pub fn nak(question: &Packet, server: Ipv4Addr, message: &str) -> Packet {
    let mut reply = answer(question, Some(Kind::Nak), server);
    reply.options.insert(56, message.as_bytes()[..message.len().min(200)].to_vec());
    // Through a relay the client has no address that is right: the relay is told to broadcast (4.3.2).
    reply.broadcast |= !question.giaddr.is_unspecified();
    reply
}

/// `kind` none: a BOOTP reply. `ip` none: an answer to INFORM or a proxy's, without address or times; `subnet` none: the
/// server knows nothing of the client's network.
pub fn reply(
    question: &Packet,
    kind: Option<Kind>,
    ip: Option<Ipv4Addr>,
    given: &Changes,
    server: Ipv4Addr,
    subnet: Option<Subnet>,
) -> Packet {
    let mut reply = answer(question, kind, server);
    let asked = question.options.get(&55).map(Vec::as_slice).unwrap_or_default();
    let addresses = |list: &[Ipv4Addr]| list.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>();
    // A renewing client's ciaddr comes back (table 3); an INFORM's too.
    reply.ciaddr = if kind == Some(Kind::Offer) { Ipv4Addr::UNSPECIFIED } else { question.ciaddr };
    reply.yiaddr = ip.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut set = |code: u8, data: Vec<u8>| {
        if !data.is_empty() {
            reply.options.insert(code, data);
        }
    };
    if ip.is_some() && kind.is_some() {
        let seconds = given.lease.map_or(3600, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        set(51, seconds.to_be_bytes().to_vec());
        set(58, (seconds / 2).to_be_bytes().to_vec());
        // Seven eighths (4.4.5), without overflow.
        set(59, (seconds - seconds / 8).to_be_bytes().to_vec());
    }
    set(1, subnet.map(|subnet| subnet.mask().octets().to_vec()).unwrap_or_default());
    set(3, addresses(given.router.as_deref().unwrap_or_default()));
    set(6, addresses(given.dns.as_deref().unwrap_or_default()));
    set(12, given.name.clone().unwrap_or_default().into_bytes());
    set(15, given.domain.clone().unwrap_or_default().into_bytes());
    if let Some(subnet) = subnet.filter(|_| asked.contains(&28)) {
        set(28, subnet.broadcast().octets().to_vec());
    }
    boot(&mut reply, question, given, server, subnet.is_none());
    // What the site gives by number goes before what was made here.
    reply.options.extend(given.options.iter().map(|(code, data)| (*code, data.clone())));
    fit(&mut reply, question, &given.options);
    reply
}

/// Boot server and file, where each kind of firmware looks (RFC 2131 table 3, RFC 4578, UEFI 24.7 for HTTP boot).
fn boot(reply: &mut Packet, question: &Packet, given: &Changes, server: Ipv4Addr, proxy: bool) {
    if let Some(uuid) = question.options.get(&97) {
        reply.options.insert(97, uuid.clone());
    }
    let Some(file) = given.bootfile.as_deref().filter(|file| !file.is_empty()) else {
        if let Some(next) = given.next_server {
            reply.siaddr = next;
        }
        return;
    };
    let asked = question.options.get(&55).map(Vec::as_slice).unwrap_or_default();
    let next = given.next_server.unwrap_or(server);
    reply.siaddr = next;
    reply.sname = next.to_string().into_bytes();
    if asked.contains(&66) {
        reply.options.insert(66, next.to_string().into_bytes());
    }
    // A name too long for its field, its NUL included, stands in option 67 alone.
    if file.len() < 128 {
        reply.file = file.as_bytes().to_vec();
    }
    if asked.contains(&67) || file.len() >= 128 {
        reply.options.insert(67, file.as_bytes().to_vec());
    }
    let class = question.text(60).unwrap_or_default();
    if class.starts_with("HTTPClient") {
        // It takes an answer without the echo for one of a server that knows nothing of HTTP (UEFI 24.7.2).
        reply.options.insert(60, b"HTTPClient".to_vec());
        reply.options.insert(67, file.as_bytes().to_vec());
    } else if class.starts_with("PXEClient") && question.user_class().as_deref() != Some("iPXE") {
        let bios = question.archs().first().is_none_or(|arch| *arch == 0);
        // UEFI that hears this from a server of addresses asks it once more on port 4011, and boots only if it hears there
        // of a file; it takes the file of an answer without it at once.
        if bios || proxy {
            reply.options.insert(60, b"PXEClient".to_vec());
        }
        // Boot the file, ask nobody else: discovery control, only for BIOS ROMs.
        if bios {
            reply.options.insert(43, vec![6, 1, 8, 255]);
        }
    }
}

/// Keeps to the size the client takes (option 57, RFC 2132, 9.10): what it did not ask for goes first, the site's own
/// options last.
fn fit(reply: &mut Packet, question: &Packet, own: &Options) {
    let limit = match question.number(57) {
        Some(size) => (size as usize).clamp(576, 1500) - 28,
        None => COMMON,
    };
    if reply.length() <= limit {
        return;
    }
    let asked = question.options.get(&55).cloned().unwrap_or_default();
    let needed = |code: &u8| matches!(code, 1 | 51 | 53 | 54 | 61 | 82);
    let mut candidates: Vec<u8> = reply.options.keys().copied().filter(|code| !needed(code)).collect();
    candidates.sort_by_key(|code| (own.contains_key(code), asked.contains(code), std::cmp::Reverse(*code)));
    for code in candidates {
        if reply.length() <= limit {
            return;
        }
        reply.options.remove(&code);
    }
}
