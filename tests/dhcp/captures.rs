//! What real clients and the server said to each other, recorded: the rules still answer each question with the same packet.
//!
//! The captures are those of the clients in `clients.rs`, `firmware.rs` and `servers.rs`, taken by tcpdump beside the server.

use std::path::Path;
use std::time::Duration;

use kar::kit::dhcp::packet::Kind;
use kar::kit::dhcp::{Changes, Class, Mode, Network, Packet, Rules, Settings, Wire, frame};

/// The DHCP messages of a capture (pcap, Ethernet), in their order, with the port each went to.
fn messages(path: &Path) -> Vec<(u16, Packet)> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a capture of a little-endian machine");
    let mut rest = &bytes[24..];
    let mut found = Vec::new();
    while rest.len() > 16 {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (_, to, payload) = frame::read(&rest[16 + 14..16 + length]).expect("only UDP was captured");
        found.push((to.port(), Packet::parse(payload).unwrap()));
        rest = &rest[16 + length..];
    }
    found
}

/// As the server was set up when they were taken: a full one, or a proxy beside dnsmasq.
fn rules(mode: Mode) -> Rules {
    let given = |file: &str| Changes { bootfile: Some(file.into()), ..Changes::default() };
    let (subnet, range, [a, b, c, d]) = match mode {
        Mode::Proxy => ("10.77.0.0/24", "10.77.0.100-150", [10, 77, 0, 1]),
        _ => ("10.200.0.0/14", "10.201.0.10-50", [10, 200, 0, 1]),
    };
    let network = Network::new(subnet.parse().unwrap(), vec![range.parse().unwrap()]);
    let settings = Settings {
        mode,
        networks: vec![network],
        classes: vec![
            Class { user_class: Some("iPXE".into()), given: given("boot.ipxe"), ..Class::default() },
            Class { arch: vec![7, 9], given: given("ipxe.efi"), ..Class::default() },
            Class { vendor_class: Some("PXEClient".into()), given: given("undionly.kpxe"), ..Class::default() },
        ],
        common: Changes {
            router: Some(vec![[10, 200, 0, 254].into()]),
            lease: Some(Duration::from_secs(600)),
            ..given("boot.ipxe")
        },
        ..Settings::default()
    };
    Rules::new(settings, vec![Wire::new("eth0", [a, b, c, d].into())]).unwrap()
}

/// Each question's answer, which may come some packets later: those of the capture with its number.
fn replay(name: &str, mode: Mode, kinds: &[Kind]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/dhcp/captures/{name}.pcap"));
    let all = messages(&path);
    let proxy = mode == Mode::Proxy;
    let mut rules = rules(mode);
    let mut seen = Vec::new();
    for (at, (port, question)) in all.iter().enumerate().filter(|(_, (_, packet))| packet.op == 1) {
        // What a proxy hears on port 67 beyond the first question is for the server of addresses.
        if proxy && *port == 67 && question.kind() != Some(Kind::Discover) {
            continue;
        }
        let outcome = rules.handle(question, 0, &Changes::default(), 1_000_000 + at as u64);
        let Some(reply) = outcome.reply else {
            // Until it was asked again under that number.
            let mut later = all[at + 1..].iter().filter(|(_, packet)| packet.xid == question.xid);
            let answered = later.next().is_some_and(|(_, packet)| packet.op == 2);
            assert!(!answered, "{name}: packet {at} is not answered any more: {question:?}");
            continue;
        };
        let reply = Packet::parse(&reply.encode()).unwrap();
        seen.extend(reply.kind());
        assert!(
            all[at..].iter().any(|(_, packet)| *packet == reply),
            "{name}: packet {at} is answered otherwise now: {reply:?}"
        );
    }
    assert!(kinds.iter().all(|kind| seen.contains(kind)), "{name}: {seen:?}");
    assert!(all.iter().any(|(_, packet)| packet.kind() == Some(Kind::Request)), "{name}");
}

#[test]
fn clients_of_systems_are_answered_as_recorded() {
    for name in ["dhclient", "udhcpc", "dhcpcd"] {
        replay(name, Mode::Full, &[Kind::Offer, Kind::Ack]);
    }
}

#[test]
fn firmware_is_answered_as_recorded() {
    for name in ["pxe-bios", "pxe-uefi"] {
        replay(name, Mode::Full, &[Kind::Offer, Kind::Ack]);
    }
}

#[test]
fn a_lease_from_the_first_question_to_its_release_is_answered_as_recorded() {
    // Our own client: DISCOVER to ACK, renewed, refused with another address, released.
    replay("kar", Mode::Full, &[Kind::Offer, Kind::Ack, Kind::Nak]);
}

#[test]
fn a_relay_is_answered_as_recorded() {
    replay("relay", Mode::Full, &[Kind::Offer, Kind::Ack]);
}

#[test]
fn a_uefi_beside_another_server_is_answered_as_recorded() {
    replay("proxy", Mode::Proxy, &[Kind::Offer, Kind::Ack]);
}
