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
    let bytes = packet.encode();
    assert_eq!(Packet::parse(&bytes).unwrap(), packet);
    assert_eq!((packet.archs(), packet.user_class().as_deref()), (vec![7, 9], Some("iPXE")));
    assert_eq!(Packet::default().encode().len(), MINIMUM);
    // Option 82 stands last (RFC 3046, 2.2).
    let end = bytes.iter().rposition(|byte| *byte == 255).unwrap();
    assert_eq!(bytes[end - 6..end], [82, 4, 1, 2, 3, 4]);
}

#[test]
fn overloaded_fields_and_scattered_parts_are_joined() {
    let mut bytes = Packet { options: [(53, vec![1]), (52, vec![3])].into(), ..Packet::default() }.encode();
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

fn packets() -> impl Strategy<Value = Packet> {
    let options = prop::collection::btree_map(1u8..255, prop::collection::vec(any::<u8>(), 0..300), 0..12);
    let fields = (any::<[u8; 7]>(), any::<[u32; 4]>(), prop::collection::vec(any::<u8>(), 0..17));
    // No NUL, which ends a name.
    let names = (prop::collection::vec(1u8.., 0..70), prop::collection::vec(1u8.., 0..140));
    (fields, options, names).prop_map(|((small, ips, chaddr), options, (sname, file))| {
        let [op, htype, hops, a, b, c, d] = small;
        let [ciaddr, yiaddr, siaddr, giaddr] = ips.map(Ipv4Addr::from);
        let (xid, secs, broadcast) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([a, d]), d & 1 == 1);
        Packet { op, htype, hops, xid, secs, broadcast, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, options }
    })
}

proptest! {
    /// dhcproto is the other implementation: what we write it reads as it was meant, and so do we.
    #[test]
    fn what_is_written_by_hand_others_read(packet in packets()) {
        use dhcproto::{Decodable, Decoder, v4::Message};
        let bytes = packet.encode();
        prop_assert_eq!(bytes.len(), packet.length());
        let mut plain = packet.clone();
        plain.options.remove(&52);
        // Its own tables know how some options look, and refuse what does not fit.
        plain.options.retain(|code, _| *code >= 224);
        let theirs = Message::decode(&mut Decoder::new(&plain.encode())).unwrap();
        prop_assert_eq!((theirs.xid(), theirs.yiaddr(), theirs.giaddr()), (packet.xid, packet.yiaddr, packet.giaddr));
        prop_assert_eq!((theirs.chaddr(), theirs.flags().broadcast()), (packet.chaddr.as_slice(), packet.broadcast));
        prop_assert_eq!(theirs.opts().iter().count(), plain.options.len());
        let mut expected = packet.clone();
        expected.options.remove(&52);
        expected.sname.truncate(63);
        expected.file.truncate(127);
        let bytes = Packet { options: expected.options.clone(), ..packet.clone() }.encode();
        prop_assert_eq!(Packet::parse(&bytes).unwrap(), expected);
        if let Some([kind]) = packet.options.get(&53).map(Vec::as_slice) {
            prop_assert_eq!(Packet::kind_in(&bytes), *kind);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn mutated_packets_never_panic(edits in prop::collection::vec((0usize..1000, any::<u8>()), 0..12), cut in 0usize..1100) {
        let mut bytes = sample().encode();
        for (at, byte) in edits {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        bytes.truncate(cut);
        if let Ok(packet) = Packet::parse(&bytes) {
            let _ = (Packet::kind_in(&bytes), packet.kind(), packet.archs(), packet.user_class(), packet.uuid(), packet.mac(), packet.hardware());
            for code in 0..=255 {
                let _ = (packet.address(code), packet.number(code), packet.text(code));
            }
            let again = Packet::parse(&packet.encode()).unwrap();
            prop_assert_eq!(again.chaddr, packet.chaddr);
        }
    }
}
