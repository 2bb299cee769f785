//! A DHCP or BOOTP message (RFC 951, 2131, 2132, 3396), read through dhcproto by our own accessors.
//!
//! It is written by hand: a server writes thousands a second, and a raw option 82 has to stand last, and once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dhcproto::v4::borrowed::{self, DhcpOptionIterator};

use crate::host::{Fault, Result};
use crate::kit::net::Mac;

/// Option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    Discover = 1,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

impl Kind {
    pub fn of(number: u8) -> Option<Kind> {
        use Kind::*;
        [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Replies are padded to this: old ROMs and relays drop what is shorter than a BOOTP message (RFC 1542, 2.1).
pub const MINIMUM: usize = 300;
/// The size every client has to take, of the UDP payload: 576 bytes of IP less its headers (RFC 2131, 2).
pub const COMMON: usize = 548;

/// What stands before the options (RFC 2131, 3).
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const KIND: u8 = 53;
/// A relay's own.
const RELAY: u8 = 82;

/// Fields as on the wire; options whole: parts of one number are joined wherever they stood (RFC 3396), and those
/// from an overloaded `file` and `sname` are among them (option 52).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// 1 from a client, 2 from a server.
    pub op: u8,
    pub htype: u8,
    pub hops: u8,
    pub xid: u32,
    pub secs: u16,
    pub broadcast: bool,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    /// The hardware address, `hlen` (0 to 16) bytes.
    pub chaddr: Vec<u8>,
    pub sname: Vec<u8>,
    pub file: Vec<u8>,
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Default for Packet {
    fn default() -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Packet {
            op: 1,
            htype: 1,
            hops: 0,
            xid: 0,
            secs: 0,
            broadcast: false,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            chaddr: Vec::new(),
            sname: Vec::new(),
            file: Vec::new(),
            options: BTreeMap::new(),
        }
    }
}

impl Packet {
    /// # Errors
    /// `dhcp.packet`: shorter than a header, or a hardware address longer than its field.
    pub fn parse(bytes: &[u8]) -> Result<Packet> {
        let bad =
            |why: &str| Fault::new("dhcp.packet", format!("cannot read a packet of {} bytes: {why}", bytes.len()));
        let message = borrowed::Message::new(bytes).map_err(|_| bad("it is shorter than a DHCP header"))?;
        // dhcproto slices by this number unchecked.
        if message.hlen() > 16 {
            return Err(bad("its hardware address is longer than 16 bytes"));
        }
        let mut options = BTreeMap::new();
        join(&mut options, message.opts());
        let overload = options.get(&52).and_then(|value| value.first().copied()).unwrap_or(0);
        let (mut sname, mut file) = (message.sname().to_vec(), message.fname().to_vec());
        if overload & 1 != 0 {
            join(&mut options, DhcpOptionIterator::new(&bytes[108..236]));
            file.clear();
        }
        if overload & 2 != 0 {
            join(&mut options, DhcpOptionIterator::new(&bytes[44..108]));
            sname.clear();
        }
        Ok(Packet {
            op: bytes[0],
            htype: bytes[1],
            hops: message.hops(),
            xid: message.xid(),
            secs: message.secs(),
            broadcast: message.flags().broadcast(),
            ciaddr: message.ciaddr(),
            yiaddr: message.yiaddr(),
            siaddr: message.siaddr(),
            giaddr: message.giaddr(),
            chaddr: message.chaddr().to_vec(),
            sname,
            file,
            options,
        })
    }

    /// The bytes to send, padded to [`MINIMUM`]. Names too long for their fields are cut: whoever sets them checks.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length());
        let chaddr = &self.chaddr[..self.chaddr.len().min(16)];
        bytes.extend([self.op, self.htype, chaddr.len() as u8, self.hops]);
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        bytes.extend([if self.broadcast { 0x80 } else { 0 }, 0]);
        for ip in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            bytes.extend(ip.octets());
        }
        // Each ends with a NUL at least.
        for (field, end, limit) in [(chaddr, 44, 16), (&self.sname, 108, 63), (&self.file, 236, 127)] {
            bytes.extend_from_slice(&field[..field.len().min(limit)]);
            bytes.resize(end, 0);
        }
        bytes.extend(MAGIC);
        // The kind first, which some clients want; a relay's own last (RFC 3046, 2.2).
        let plain = self.options.iter().filter(|(code, _)| !matches!(**code, KIND | RELAY));
        let one = |code: u8| self.options.get_key_value(&code);
        for (code, data) in one(KIND).into_iter().chain(plain).chain(one(RELAY)) {
            // Long ones are split (RFC 3396).
            let (mut rest, mut first) = (data.as_slice(), true);
            while first || !rest.is_empty() {
                let (part, more) = rest.split_at(rest.len().min(255));
                bytes.extend([*code, part.len() as u8]);
                bytes.extend_from_slice(part);
                (rest, first) = (more, false);
            }
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(MINIMUM), 0);
        bytes
    }

    /// How many bytes [`Packet::encode`] makes.
    pub fn length(&self) -> usize {
        let option = |data: &Vec<u8>| data.len() + 2 * data.len().div_ceil(255).max(1);
        (241 + self.options.values().map(option).sum::<usize>()).max(MINIMUM)
    }

    /// The kind of a packet that was not read yet, where option 53 stands as clients write it.
    pub fn kind_in(bytes: &[u8]) -> u8 {
        let mut rest = bytes.get(240..).unwrap_or_default();
        while let [code, more @ ..] = rest {
            rest = match (code, more) {
                (0, more) => more,
                (&KIND, [1, kind, ..]) => return *kind,
                (255, _) => return 0,
                (_, [length, more @ ..]) => more.get(usize::from(*length)..).unwrap_or_default(),
                _ => return 0,
            };
        }
        0
    }

    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.options.get(&53)?.first().copied()?)
    }

    /// An option of one address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.addresses(code).first().copied()
    }

    pub fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let data = self.options.get(&code).map(Vec::as_slice).unwrap_or_default();
        data.chunks_exact(4).map(|four| Ipv4Addr::new(four[0], four[1], four[2], four[3])).collect()
    }

    /// A number of as many bytes as there are, at most 4.
    pub fn number(&self, code: u8) -> Option<u32> {
        let data = self.options.get(&code).filter(|data| (1..=4).contains(&data.len()))?;
        Some(data.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Text without what ends it on some clients (NUL); what is not UTF-8 is shown as replacement characters.
    pub fn text(&self, code: u8) -> Option<String> {
        let data = self.options.get(&code)?;
        Some(String::from_utf8_lossy(data).trim_end_matches('\0').to_string())
    }

    /// Option 93: all architectures the client boots as (RFC 4578, 2.1: a list).
    pub fn archs(&self) -> Vec<u16> {
        let data = self.options.get(&93).map(Vec::as_slice).unwrap_or_default();
        data.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect()
    }

    /// Option 77, first class: bare text as iPXE sends it, or framed by its length (RFC 3004).
    pub fn user_class(&self) -> Option<String> {
        let data = self.options.get(&77)?;
        let framed = data.split_first().filter(|(length, rest)| **length > 0 && usize::from(**length) <= rest.len());
        let class = match framed {
            Some((length, rest)) if frames(data) => &rest[..usize::from(*length)],
            _ => data.as_slice(),
        };
        Some(String::from_utf8_lossy(class).trim_end_matches('\0').to_string())
    }

    /// Option 97, type 0, as UUIDs are written; the first three groups are little-endian in the firmware and stay as
    /// the wire has them (RFC 4578, 2.3).
    pub fn uuid(&self) -> Option<String> {
        let data = self.options.get(&97)?;
        let bytes: [u8; 16] = data.get(1..17)?.try_into().ok()?;
        (data.len() == 17 && data[0] == 0).then(|| uuid::Uuid::from_bytes(bytes).to_string())
    }

    /// The hardware address, where it is an Ethernet one.
    pub fn mac(&self) -> Option<Mac> {
        self.chaddr.as_slice().try_into().ok().map(Mac)
    }

    /// The hardware address for people: pairs of digits, whatever its length.
    pub fn hardware(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(3 * self.chaddr.len());
        for (at, byte) in self.chaddr.iter().enumerate() {
            if at > 0 {
                text.push(':');
            }
            text.push(DIGITS[usize::from(byte >> 4)].into());
            text.push(DIGITS[usize::from(byte & 15)].into());
        }
        text
    }
}

fn join(options: &mut BTreeMap<u8, Vec<u8>>, list: DhcpOptionIterator<'_>) {
    for option in list {
        options.entry(option.code().into()).or_default().extend_from_slice(option.data());
    }
}

/// A sub-option of option 82 (RFC 3046).
pub fn sub_option(mut data: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *code == wanted {
            return Some(value);
        }
        data = &rest[value.len()..];
    }
    None
}

/// Whether the lengths of RFC 3004 cover the option exactly.
fn frames(mut data: &[u8]) -> bool {
    while let Some((length, rest)) = data.split_first() {
        match rest.get(usize::from(*length)..) {
            Some(next) if *length > 0 => data = next,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
