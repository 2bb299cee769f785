//! A DHCP or BOOTP message (RFC 951, 2131, 2132, 3396), read by our own accessors and written by dhcproto.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dhcproto::v4::borrowed::{self, DhcpOptionIterator};
use dhcproto::v4::{DhcpOption, Flags, Message, Opcode, UnknownOption};
use dhcproto::{Encodable, Encoder};

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

/// Option 82, a relay's own.
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
    pub fn encode(&self) -> Result<Vec<u8>> {
        let cut = |bytes: &[u8], limit: usize| bytes[..bytes.len().min(limit)].to_vec();
        let mut message =
            Message::new_with_id(self.xid, self.ciaddr, self.yiaddr, self.siaddr, self.giaddr, &cut(&self.chaddr, 16));
        let opcode = if self.op == 2 { Opcode::BootReply } else { Opcode::BootRequest };
        message.set_opcode(opcode).set_htype(self.htype.into()).set_hops(self.hops).set_secs(self.secs);
        message.set_flags(Flags::new(if self.broadcast { 0x8000 } else { 0 }));
        if !self.sname.is_empty() {
            message.set_sname(&cut(&self.sname, 63));
        }
        if !self.file.is_empty() {
            message.set_fname(&cut(&self.file, 127));
        }
        for (code, data) in self.options.iter().filter(|(code, _)| **code != RELAY) {
            // Given raw, every number goes out as it is; long ones are split (RFC 3396).
            message.opts_mut().insert(DhcpOption::Unknown(UnknownOption::new((*code).into(), data.clone())));
        }
        let mut bytes = Vec::with_capacity(MINIMUM);
        message
            .encode(&mut Encoder::new(&mut bytes))
            .map_err(|error| Fault::new("dhcp.packet", format!("cannot write a packet: {error}")))?;
        // dhcproto writes a raw option 82 twice; it goes last (RFC 3046, 2.2), before the end mark.
        if !message.opts().is_empty() {
            bytes.pop();
        }
        for part in self.options.get(&RELAY).map(Vec::as_slice).unwrap_or_default().chunks(255) {
            bytes.extend([RELAY, part.len() as u8]);
            bytes.extend_from_slice(part);
        }
        bytes.push(255);
        if bytes.len() < MINIMUM {
            bytes.resize(MINIMUM, 0);
        }
        Ok(bytes)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Packet {
        let options = [
            (53, vec![1]),
            (60, b"PXEClient:Arch:00007".to_vec()),
            (77, b"iPXE".to_vec()),
            (82, vec![1, 2, 3, 4]),
            (93, vec![0, 7, 0, 9]),
            (43, vec![7; 600]),
        ];
        Packet {
            xid: 7,
            broadcast: true,
            chaddr: vec![2, 0, 0, 0, 0, 9],
            file: b"boot".to_vec(),
            options: options.into(),
            ..Packet::default()
        }
    }

    #[test]
    fn what_is_written_reads_back_and_is_padded() {
        let packet = sample();
        let bytes = packet.encode().unwrap();
        assert_eq!(Packet::parse(&bytes).unwrap(), packet);
        assert_eq!((packet.archs(), packet.user_class().as_deref()), (vec![7, 9], Some("iPXE")));
        assert_eq!(Packet::default().encode().unwrap().len(), MINIMUM);
        // Option 82 stands last (RFC 3046, 2.2).
        let end = bytes.iter().rposition(|byte| *byte == 255).unwrap();
        assert_eq!(bytes[end - 6..end], [82, 4, 1, 2, 3, 4]);
    }

    #[test]
    fn overloaded_fields_and_scattered_parts_are_joined() {
        let mut bytes =
            Packet { options: [(53, vec![1]), (52, vec![3])].into(), ..Packet::default() }.encode().unwrap();
        bytes[108..116].copy_from_slice(&[12, 3, b'a', b'b', b'c', 61, 1, 9]);
        bytes[116] = 255;
        bytes[44..49].copy_from_slice(&[12, 2, b'd', b'e', 255]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.text(12).as_deref(), Some("abcde"));
        assert_eq!((packet.options[&61].clone(), packet.file, packet.sname), (vec![9], vec![], vec![]));
    }

    #[test]
    fn user_classes_bare_and_framed() {
        for (data, class) in
            [(&b"iPXE"[..], "iPXE"), (b"\x04iPXE", "iPXE"), (b"\x04iPXE\x01x", "iPXE"), (b"\x09iPXE", "\tiPXE")]
        {
            let packet = Packet { options: [(77, data.to_vec())].into(), ..Packet::default() };
            assert_eq!(packet.user_class().as_deref(), Some(class));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn mutated_packets_never_panic(edits in prop::collection::vec((0usize..1000, any::<u8>()), 0..12), cut in 0usize..1100) {
            let mut bytes = sample().encode().unwrap();
            for (at, byte) in edits {
                let length = bytes.len();
                bytes[at % length] = byte;
            }
            bytes.truncate(cut);
            if let Ok(packet) = Packet::parse(&bytes) {
                let _ = (packet.kind(), packet.archs(), packet.user_class(), packet.uuid(), packet.mac(), packet.hardware());
                for code in 0..=255 {
                    let _ = (packet.address(code), packet.number(code), packet.text(code));
                }
                let again = Packet::parse(&packet.encode().unwrap()).unwrap();
                prop_assert_eq!(again.chaddr, packet.chaddr);
            }
        }
    }
}
