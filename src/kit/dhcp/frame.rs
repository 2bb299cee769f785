//! IPv4 and UDP headers, for packets to and from machines that have no address yet.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Internet checksum (RFC 1071) of several parts, each of even length but the last.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A UDP packet with its IPv4 header, at most 65,507 bytes of payload.
pub fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 8) as u16;
    let mut bytes = Vec::with_capacity(payload.len() + 28);
    bytes.extend([0x45, 0x10]);
    bytes.extend((length + 20).to_be_bytes());
    // No identification, not to be fragmented, 64 hops, UDP; the checksum follows.
    bytes.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    bytes.extend(from.ip().octets());
    bytes.extend(to.ip().octets());
    let sum = checksum(&[&bytes]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut head = Vec::with_capacity(8);
    head.extend(from.port().to_be_bytes());
    head.extend(to.port().to_be_bytes());
    head.extend(length.to_be_bytes());
    let pseudo = [&bytes[12..20], &[0, 17], &length.to_be_bytes()].concat();
    // Zero would mean that there is none.
    let sum = match checksum(&[&pseudo, &head, payload]) {
        0 => 0xffff,
        sum => sum,
    };
    head.extend(sum.to_be_bytes());
    bytes.extend(head);
    bytes.extend(payload);
    bytes
}

/// Source, destination and payload of an IPv4 packet, if it is a whole UDP one. Checksums are not looked at: between
/// machines of one host they are not there yet.
pub fn read(bytes: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4, &[u8])> {
    let first = *bytes.first()?;
    let header = usize::from(first & 15) * 4;
    let udp = bytes.get(header..header + 8)?;
    let fragment = u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3fff;
    if first >> 4 != 4 || header < 20 || bytes[9] != 17 || fragment != 0 {
        return None;
    }
    let number = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let payload = bytes.get(header + 8..header + usize::from(number(4)).max(8))?;
    Some((SocketAddrV4::new(address(12), number(0)), SocketAddrV4::new(address(16), number(2)), payload))
}

/// An ARP question (RFC 826, RFC 5227, 2.1.1): who has `target`? From nobody's address, so that no table learns of it.
pub fn arp_probe(mac: [u8; 6], target: Ipv4Addr) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    bytes[8..14].copy_from_slice(&mac);
    bytes[24..28].copy_from_slice(&target.octets());
    bytes
}

/// Whose hardware address stands in an ARP packet, and which address it says to have; zero where it asks for itself.
pub fn arp_sender(bytes: &[u8]) -> Option<([u8; 6], Ipv4Addr)> {
    let bytes: &[u8; 28] = bytes.get(..28)?.try_into().ok()?;
    if bytes[..6] != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let mac = bytes[8..14].try_into().ok()?;
    Some((mac, Ipv4Addr::new(bytes[14], bytes[15], bytes[16], bytes[17])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_reads_back() {
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 67);
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 68);
        for payload in [&b"hello"[..], b"even", b""] {
            let bytes = udp(from, to, payload);
            assert_eq!(read(&bytes), Some((from, to, payload)));
            assert_eq!(checksum(&[&bytes[..20]]), 0, "a right header sums up to nothing");
            for cut in 0..bytes.len() {
                assert!(read(&bytes[..cut]).is_none());
            }
        }
        let mut seed = 9u64;
        for _ in 0..10_000 {
            let mut bytes = udp(from, to, b"hello");
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            bytes[(seed >> 33) as usize % 33] = (seed >> 20) as u8;
            let _ = (read(&bytes), arp_sender(&bytes));
        }
        let probe = arp_probe([2; 6], Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(arp_sender(&probe), Some(([2; 6], Ipv4Addr::UNSPECIFIED)));
    }
}
