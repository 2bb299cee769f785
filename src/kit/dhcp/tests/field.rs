//! What firmware and clients demand, line by line: a test for each, named after it.

use std::net::SocketAddrV4;

use super::*;
use crate::kit::dhcp::packet::COMMON;
use crate::kit::dhcp::port::{Target, Way};

fn relayed(packet: Packet, giaddr: Ipv4Addr, option: &[u8]) -> Packet {
    let mut packet = Packet { giaddr, ..packet };
    packet.options.insert(82, option.to_vec());
    packet
}

pub fn answer(rules: &mut Rules, packet: &Packet) -> Packet {
    let reply = handle(rules, packet, NOW).reply.expect("an answer");
    Packet::parse(&reply.encode()).unwrap()
}

pub const WAY: Way = Way { server: 67, client: Some(68), ethernet: true };
const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);

#[test]
fn options_51_58_and_59_halve_and_take_seven_eighths() {
    let offer = answer(&mut rules(), &from(2, Kind::Discover, &[]));
    assert_eq!([51, 58, 59].map(|code| offer.number(code).unwrap()), [600, 300, 525]);
}

#[test]
fn a_lease_without_end_does_not_overflow() {
    let mut settings = settings();
    settings.common.lease = Some(Duration::MAX);
    let mut rules = made(settings).unwrap();
    assert_eq!(answer(&mut rules, &from(2, Kind::Discover, &[])).number(51), Some(u32::MAX));
    lease(&mut rules, 2, NOW).unwrap();
    assert_eq!(rules.bound(NOW)[0].expires, u64::MAX);
}

#[test]
fn option_61_is_echoed_and_does_not_change_who_a_client_is() {
    let mut rules = rules();
    let with = |id: &[u8]| from(7, Kind::Discover, &[(61, id.to_vec())]);
    let first = answer(&mut rules, &with(b"\x01rom"));
    let second = answer(&mut rules, &with(b"\xffinstalled system"));
    assert_eq!((first.yiaddr, &first.options[&61]), (second.yiaddr, &b"\x01rom".to_vec()));
}

#[test]
fn option_61_names_a_client_without_hardware_address() {
    let mut rules = rules();
    let infiniband = |id: u8| Packet { htype: 32, chaddr: Vec::new(), ..from(0, Kind::Discover, &[(61, vec![0, id])]) };
    let (first, second) = (answer(&mut rules, &infiniband(1)), answer(&mut rules, &infiniband(2)));
    assert_ne!(first.yiaddr, second.yiaddr);
    assert!(handle(&mut rules, &Packet { chaddr: Vec::new(), ..from(0, Kind::Discover, &[]) }, NOW).reply.is_none());
}

#[test]
fn a_request_that_names_another_server_is_not_ours() {
    let mut rules = rules();
    lease(&mut rules, 7, NOW).unwrap();
    let other = from(7, Kind::Request, &[address(50, ip(100)), address(54, ip(9))]);
    let outcome = handle(&mut rules, &other, NOW);
    assert!(outcome.reply.is_none() && outcome.events.iter().any(|event| event.event == "foreign"));
    assert_eq!(rules.bound(NOW).len(), 1, "what it has stays its own");
    // What was only offered is free again.
    let offered = answer(&mut rules, &from(8, Kind::Discover, &[])).yiaddr;
    handle(&mut rules, &from(8, Kind::Request, &[address(50, ip(200)), address(54, ip(9))]), NOW);
    assert_eq!(answer(&mut rules, &from(9, Kind::Discover, &[])).yiaddr, offered);
}

#[test]
fn a_released_address_comes_back_to_its_client() {
    let mut rules = rules();
    let mine = lease(&mut rules, 7, NOW).unwrap();
    let release = Packet { ciaddr: mine, ..from(7, Kind::Release, &[address(54, SERVER)]) };
    assert_eq!(handle(&mut rules, &release, NOW).events[0].event, "released");
    assert!(rules.bound(NOW).is_empty());
    assert_eq!(lease(&mut rules, 7, NOW + 1), Some(mine));
}

#[test]
fn a_broadcast_flag_a_ciaddr_and_a_relay_each_get_their_way_of_reply() {
    let mut rules = rules();
    let question = from(7, Kind::Discover, &[]);
    let offer = answer(&mut rules, &question);
    let to = |ip, port| Target::Address(SocketAddrV4::new(ip, port));
    let mine = SocketAddrV4::new(offer.yiaddr, 68);
    assert_eq!(WAY.target(&question, &offer, NOBODY, false), Target::Link { mac: [2, 0, 0, 0, 0, 7], to: mine });
    let loud = Packet { broadcast: true, ..question.clone() };
    assert_eq!(WAY.target(&loud, &offer, NOBODY, false), to(Ipv4Addr::BROADCAST, 68));
    let renews = Packet { ciaddr: ip(50), ..question.clone() };
    assert_eq!(WAY.target(&renews, &offer, NOBODY, false), to(ip(50), 68));
    let relayed = relayed(question.clone(), ip(3), &[]);
    assert_eq!(WAY.target(&relayed, &offer, NOBODY, false), to(ip(3), 67));
    // A NAK must reach whoever uses an address that is wrong here: everybody, or the relay.
    let nak = super::reply::nak(&renews, SERVER, "no");
    assert_eq!(WAY.target(&renews, &nak, NOBODY, false), to(Ipv4Addr::BROADCAST, 68));
    assert!(super::reply::nak(&relayed, SERVER, "no").broadcast, "the relay is told to broadcast it");
    // No Ethernet, no hardware address to send to.
    let way = Way { ethernet: false, ..WAY };
    assert_eq!(way.target(&question, &offer, NOBODY, false), to(Ipv4Addr::BROADCAST, 68));
}

#[test]
fn replies_are_padded_to_300_bytes() {
    let mut rules = made(Settings { common: Changes::default(), ..settings() }).unwrap();
    for kind in [Kind::Discover, Kind::Inform] {
        let reply = handle(&mut rules, &from(7, kind, &[]), NOW).reply.unwrap();
        assert_eq!(reply.encode().len(), 300);
    }
}

#[test]
fn option_57_is_respected_and_one_too_small_is_not_believed() {
    let mut rules = rules();
    let big = (150..170).map(|code| (code, vec![b'x'; 100]));
    rules.settings.common.options.extend(big);
    for (size, limit) in
        [(None, COMMON), (Some(10u16), COMMON), (Some(600), 572), (Some(1500), 1472), (Some(9000), 1472)]
    {
        let options: Vec<_> = size.map(|size| (57, size.to_be_bytes().to_vec())).into_iter().collect();
        let length = handle(&mut rules, &from(1, Kind::Discover, &options), NOW).reply.unwrap().encode().len();
        assert!(length <= limit && length > limit - 103, "{size:?}: {length}");
    }
}

#[test]
fn options_in_an_overloaded_file_field_count() {
    let mut bytes = from(7, Kind::Discover, &[(52, vec![1])]).encode();
    // Option 50 in `file`.
    bytes[108..115].copy_from_slice(&[50, 4, 10, 0, 0, 102, 255]);
    let reply = answer(&mut rules(), &Packet::parse(&bytes).unwrap());
    assert_eq!(reply.yiaddr, ip(102));
}

#[test]
fn long_options_are_split_and_joined_again() {
    let mut rules = rules();
    rules.settings.common.options.insert(43, (0..700).map(|n| n as u8).collect());
    let question = from(7, Kind::Discover, &[(57, vec![5, 220])]);
    let bytes = handle(&mut rules, &question, NOW).reply.unwrap().encode();
    assert_eq!(bytes.windows(2).filter(|pair| *pair == [43, 255]).count(), 2, "two whole parts and a rest");
    assert_eq!(Packet::parse(&bytes).unwrap().options[&43].len(), 700);
}

#[test]
fn no_option_53_means_bootp() {
    let mut rules = rules();
    let bootp = |mac| Packet { xid: 7, chaddr: vec![2, 0, 0, 0, 0, mac], ..Packet::default() };
    let reply = answer(&mut rules, &bootp(1));
    assert_eq!((reply.yiaddr, reply.file.as_slice()), (ip(20), b"boot.ipxe".as_slice()));
    assert!([51, 53, 54, 58].iter().all(|code| !reply.options.contains_key(code)));
    assert!(handle(&mut rules, &bootp(9), NOW).reply.is_none(), "no address for ever for a stranger");
    assert_eq!(rules.bound(NOW)[0].expires, u64::MAX);
}

/// A server with a network of its own and one behind a relay.
fn two() -> Rules {
    let mut far = Network::new("10.9.0.0/24".parse().unwrap(), vec!["10.9.0.100-110".parse().unwrap()]);
    far.given.router = Some(vec![Ipv4Addr::new(10, 9, 0, 1)]);
    let mut settings = settings();
    settings.networks.push(far);
    made(settings).unwrap()
}

#[test]
fn a_relays_address_chooses_the_subnet() {
    let mut rules = two();
    let reply = answer(&mut rules, &relayed(from(7, Kind::Discover, &[]), Ipv4Addr::new(10, 9, 0, 1), &[]));
    assert_eq!((reply.yiaddr, reply.address(3)), (Ipv4Addr::new(10, 9, 0, 100), Some(Ipv4Addr::new(10, 9, 0, 1))));
    assert_eq!(answer(&mut rules, &from(8, Kind::Discover, &[])).yiaddr, ip(100), "the wire's own");
    let stranger = relayed(from(7, Kind::Discover, &[]), Ipv4Addr::new(10, 8, 0, 1), &[]);
    assert!(handle(&mut rules, &stranger, NOW).reply.is_none());
}

#[test]
fn option_82_5_chooses_the_subnet_before_the_relays_address() {
    let link = [5, 4, 10, 9, 0, 0];
    let reply = answer(&mut two(), &relayed(from(7, Kind::Discover, &[]), ip(3), &link));
    assert_eq!((reply.yiaddr, reply.giaddr), (Ipv4Addr::new(10, 9, 0, 100), ip(3)));
}

#[test]
fn option_118_chooses_the_subnet() {
    let question = from(7, Kind::Discover, &[address(118, Ipv4Addr::new(10, 9, 0, 0))]);
    assert_eq!(answer(&mut two(), &question).yiaddr, Ipv4Addr::new(10, 9, 0, 100));
}

#[test]
fn a_client_behind_a_relay_renews_with_the_server_itself() {
    let mut rules = two();
    let relay = Ipv4Addr::new(10, 9, 0, 1);
    let offer = answer(&mut rules, &relayed(from(7, Kind::Discover, &[]), relay, &[]));
    let request = from(7, Kind::Request, &[address(50, offer.yiaddr), address(54, offer.address(54).unwrap())]);
    assert_eq!(answer(&mut rules, &relayed(request, relay, &[])).kind(), Some(Kind::Ack));
    let renews = Packet { ciaddr: offer.yiaddr, ..from(7, Kind::Request, &[]) };
    assert_eq!(answer(&mut rules, &renews).kind(), Some(Kind::Ack));
}

#[test]
fn rebinding_is_answered_by_whoever_knows_the_lease() {
    let mut rules = rules();
    let mine = lease(&mut rules, 7, NOW).unwrap();
    // To everybody: no option 54, the address in ciaddr (RFC 2131, 4.3.2).
    let rebinds = |mac, ip| Packet { ciaddr: ip, ..from(mac, Kind::Request, &[]) };
    let told = answer(&mut rules, &rebinds(7, mine));
    assert_eq!((told.kind(), told.yiaddr, told.ciaddr), (Some(Kind::Ack), mine, mine));
    assert_eq!(WAY.target(&rebinds(7, mine), &told, NOBODY, false), Target::Address(SocketAddrV4::new(mine, 68)));
    // Of another server's client nothing is known here: it is that one's to answer.
    assert!(handle(&mut rules, &rebinds(8, ip(40)), NOW).reply.is_none());
    assert_eq!(answer(&mut rules, &rebinds(8, mine)).kind(), Some(Kind::Nak), "another's address");
}

#[test]
fn a_declined_address_rests_and_its_client_gets_another() {
    let mut rules = rules();
    let mine = lease(&mut rules, 7, NOW).unwrap();
    let decline = |server| from(7, Kind::Decline, &[address(50, mine), address(54, server)]);
    assert!(handle(&mut rules, &decline(ip(9)), NOW).events.is_empty(), "another server's offer");
    let outcome = handle(&mut rules, &decline(SERVER), NOW);
    assert!(outcome.reply.is_none(), "nobody answers a DECLINE");
    assert_eq!((outcome.events[0].event, outcome.records[0].state), ("declined", State::Declined));
    assert_ne!(lease(&mut rules, 7, NOW + 1), Some(mine));
    let wish = from(8, Kind::Discover, &[address(50, mine)]);
    assert_ne!(answer(&mut rules, &wish).yiaddr, mine, "nor does who wishes for it");
    assert!(lease(&mut rules, 8, NOW + 2).is_some() && lease(&mut rules, 9, NOW + 3).is_none(), "the range is empty");
    assert_eq!(lease(&mut rules, 9, NOW + 603), Some(mine), "a lease long it rests");
}

#[test]
fn inform_is_answered_to_its_address_without_a_lease() {
    let mut rules = rules();
    let question = Packet { ciaddr: ip(77), ..from(8, Kind::Inform, &[]) };
    let told = answer(&mut rules, &question);
    assert_eq!((told.kind(), told.yiaddr, told.ciaddr), (Some(Kind::Ack), Ipv4Addr::UNSPECIFIED, ip(77)));
    assert!([50, 51, 58, 59].iter().all(|code| !told.options.contains_key(code)) && told.options.contains_key(&3));
    assert_eq!(WAY.target(&question, &told, NOBODY, false), Target::Address(SocketAddrV4::new(ip(77), 68)));
    assert!(rules.bound(NOW).is_empty());
}

#[test]
fn option_82_is_echoed_last() {
    let bytes = handle(&mut rules(), &relayed(from(7, Kind::Discover, &[]), ip(3), &[1, 2, 9, 9]), NOW);
    let bytes = bytes.reply.unwrap().encode();
    let end = bytes.iter().rposition(|byte| *byte == 255).unwrap();
    assert_eq!(bytes[end - 6..end], [82, 4, 1, 2, 9, 9]);
}

#[test]
fn option_82_11_is_the_server_that_a_client_sees() {
    let mut rules = rules();
    let option = [11, 4, 10, 0, 0, 3];
    let offer = answer(&mut rules, &relayed(from(7, Kind::Discover, &[]), ip(3), &option));
    assert_eq!(offer.address(54), Some(ip(3)));
    let request = from(7, Kind::Request, &[address(50, offer.yiaddr), address(54, ip(3))]);
    assert_eq!(answer(&mut rules, &relayed(request, ip(3), &option)).kind(), Some(Kind::Ack));
}

#[test]
fn hosts_are_known_by_uuid_and_by_the_port_of_a_relay() {
    let mut settings = settings();
    let given = |last| Changes { ip: Some(ip(last)), ..Changes::default() };
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    settings.hosts.add(Key::Uuid(uuid.into()), given(30)).unwrap();
    settings.hosts.add(Key::Port(b"slot1/port7".to_vec()), given(31)).unwrap();
    let mut rules = made(settings).unwrap();
    let mut id = vec![0];
    id.extend((0..16).map(|n| n * 17));
    assert_eq!(answer(&mut rules, &from(7, Kind::Discover, &[(97, id)])).yiaddr, ip(30));
    let port = [&[1, 11], b"slot1/port7".as_slice()].concat();
    assert_eq!(answer(&mut rules, &relayed(from(8, Kind::Discover, &[]), ip(3), &port)).yiaddr, ip(31));
}

#[test]
fn an_address_that_is_new_to_its_client_is_probed_and_one_that_it_knows_is_not() {
    let mut rules = rules();
    let discover = |rules: &mut Rules, mac| handle(rules, &from(mac, Kind::Discover, &[]), NOW).probe;
    assert_eq!(discover(&mut rules, 7), Some(ip(100)));
    assert_eq!(discover(&mut rules, 7), None, "it was asked about");
    assert_eq!(discover(&mut rules, 1), None, "a host's own");
    // Somebody has it: the client gets another one, and nobody this one for a while.
    let outcome = rules.conflict(&from(7, Kind::Discover, &[]), ip(100), "02:ff", NOW);
    assert_eq!((outcome.events[0].event, outcome.records[0].state), ("conflict", State::Declined));
    assert_eq!(answer(&mut rules, &from(7, Kind::Discover, &[])).yiaddr, ip(101));
}

#[test]
fn a_lease_that_is_over_is_told_and_comes_back_to_its_client() {
    let mut rules = rules();
    let mine = lease(&mut rules, 7, NOW).unwrap();
    assert!(rules.sweep(NOW + 599).is_empty());
    let over = rules.sweep(NOW + 600);
    assert_eq!((over[0].event, over[0].ip.clone()), ("expired", mine.to_string()));
    assert_eq!(lease(&mut rules, 8, NOW + 601), Some(ip(101)), "never used ones first");
    assert_eq!(lease(&mut rules, 7, NOW + 700), Some(mine));
}
