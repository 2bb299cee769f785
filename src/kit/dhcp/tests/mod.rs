//! The rules, packet by packet, and the server with its client on the loopback.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod field;
mod pxe;

use super::packet::{Kind, MINIMUM, Packet};
use super::*;
use crate::host::{Host, Result, Silent};
use crate::kit::net::Mac;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NOW: u64 = 1_000_000;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn settings() -> Settings {
    let node = Changes { ip: Some(ip(20)), name: Some("node1".into()), ..Changes::default() };
    let mut hosts = Hosts::default();
    hosts.add(Key::Mac(Mac([2, 0, 0, 0, 0, 1])), node).unwrap();
    Settings {
        networks: vec![Network::new("10.0.0.0/24".parse().unwrap(), vec![range(100, 102)])],
        hosts,
        common: Changes {
            router: Some(vec![ip(254)]),
            lease: Some(Duration::from_secs(600)),
            bootfile: Some("boot.ipxe".into()),
            options: [(135, b"scripts/224".to_vec())].into(),
            ..Changes::default()
        },
        ..Settings::default()
    }
}

fn range(first: u8, last: u8) -> Range {
    Range { first: ip(first), last: ip(last) }
}

fn made(settings: Settings) -> Result<Rules> {
    Rules::new(settings, vec![Wire::new("eth0", SERVER)])
}

fn rules() -> Rules {
    made(settings()).unwrap()
}

fn from(mac: u8, kind: Kind, options: &[(u8, Vec<u8>)]) -> Packet {
    let mut packet = Packet { xid: 7, chaddr: vec![2, 0, 0, 0, 0, mac], ..Packet::default() };
    packet.options.insert(53, vec![kind as u8]);
    packet.options.extend(options.iter().cloned());
    packet
}

fn address(code: u8, ip: Ipv4Addr) -> (u8, Vec<u8>) {
    (code, ip.octets().to_vec())
}

fn handle(rules: &mut Rules, packet: &Packet, now: u64) -> Outcome {
    rules.handle(packet, 0, &Changes::default(), now)
}

fn reply(rules: &mut Rules, packet: &Packet, now: u64) -> Option<(Kind, Ipv4Addr)> {
    let reply = handle(rules, packet, now).reply?;
    let again = Packet::parse(&reply.encode()).unwrap();
    assert_eq!((again.op, again.xid, &again.chaddr), (2, packet.xid, &packet.chaddr));
    Some((again.kind()?, again.yiaddr))
}

/// DISCOVER to ACK; the address.
fn lease(rules: &mut Rules, mac: u8, now: u64) -> Option<Ipv4Addr> {
    let (_, offered) = reply(rules, &from(mac, Kind::Discover, &[]), now)?;
    let request = from(mac, Kind::Request, &[address(50, offered), address(54, SERVER)]);
    assert_eq!(reply(rules, &request, now), Some((Kind::Ack, offered)));
    Some(offered)
}

/// Without a range only known machines are served: two servers of one wire need not tell of each other's.
#[test]
fn where_there_is_no_range_others_are_not_even_mentioned() {
    let networks = vec![Network::new("10.0.0.0/24".parse().unwrap(), Vec::new())];
    let mut rules = made(Settings { networks, ..settings() }).unwrap();
    assert_eq!(lease(&mut rules, 1, NOW), Some(ip(20)));
    let outcome = handle(&mut rules, &from(9, Kind::Discover, &[]), NOW);
    assert!(outcome.reply.is_none() && outcome.events.iter().all(|event| event.event != "exhausted"));
}

#[test]
fn hosts_get_theirs_and_others_one_of_the_range_until_it_is_empty() {
    let mut rules = rules();
    assert_eq!(lease(&mut rules, 1, NOW), Some(ip(20)));
    let given: HashSet<_> = (2..5).map(|mac| lease(&mut rules, mac, NOW).unwrap()).collect();
    assert_eq!(given, HashSet::from([ip(100), ip(101), ip(102)]));
    let outcome = handle(&mut rules, &from(9, Kind::Discover, &[]), NOW);
    assert!(outcome.reply.is_none() && outcome.events[1].event == "exhausted");
    // The same client, the same address; another's once it is over.
    assert_eq!(lease(&mut rules, 3, NOW + 300), lease(&mut rules, 3, NOW + 400));
    assert!(lease(&mut rules, 9, NOW + 601).is_some());
}

#[test]
fn a_reply_carries_what_the_settings_say() {
    let mut rules = rules();
    let asked = (55, vec![28, 66, 67]);
    let class = (60, b"PXEClient:Arch:00000:UNDI:002001".to_vec());
    let uuid = (97, vec![0; 17]);
    let question = from(1, Kind::Discover, &[asked, class, (93, vec![0, 0]), uuid.clone(), (61, vec![1, 2])]);
    let reply = handle(&mut rules, &question, NOW).reply.unwrap();
    assert!(reply.encode().len() >= MINIMUM);
    assert_eq!((reply.yiaddr, reply.siaddr, reply.file.as_slice()), (ip(20), SERVER, b"boot.ipxe".as_slice()));
    for (code, data) in [
        (1, vec![255, 255, 255, 0]),
        (3, vec![10, 0, 0, 254]),
        (12, b"node1".to_vec()),
        (28, vec![10, 0, 0, 255]),
        (43, vec![6, 1, 8, 255]),
        (51, vec![0, 0, 2, 88]),
        (58, vec![0, 0, 1, 44]),
        (59, vec![0, 0, 2, 13]),
        (60, b"PXEClient".to_vec()),
        (61, vec![1, 2]),
        (66, b"10.0.0.1".to_vec()),
        (67, b"boot.ipxe".to_vec()),
        uuid,
        (135, b"scripts/224".to_vec()),
    ] {
        assert_eq!(reply.options.get(&code), Some(&data), "option {code}");
    }
}

#[test]
fn a_reply_keeps_to_the_size_the_client_takes() {
    let mut rules = rules();
    let big: Vec<(u8, Vec<u8>)> = (150..170).map(|code| (code, vec![b'x'; 100])).collect();
    rules.settings.common.options.extend(big);
    let reply = handle(&mut rules, &from(1, Kind::Discover, &[(57, vec![2, 64])]), NOW).reply.unwrap();
    let length = reply.encode().len();
    assert!(length <= 548 && length > 400, "{length}");
    assert!(reply.options.contains_key(&51));
}

#[test]
fn init_reboot_and_renewing_are_answered_by_the_book() {
    let mut rules = rules();
    let reboot = |mac, last| from(mac, Kind::Request, &[address(50, ip(last))]);
    let renew = |mac, last| Packet { ciaddr: ip(last), ..from(mac, Kind::Request, &[]) };
    // Unknown clients: silence, but for an address of another wire.
    assert_eq!(reply(&mut rules, &reboot(7, 100), NOW), None);
    let elsewhere = from(7, Kind::Request, &[address(50, Ipv4Addr::new(192, 168, 0, 5))]);
    assert_eq!(reply(&mut rules, &elsewhere, NOW).unwrap().0, Kind::Nak);
    // Known ones: their own address, and no other.
    let mine = lease(&mut rules, 7, NOW).unwrap();
    assert_eq!(reply(&mut rules, &reboot(7, mine.octets()[3]), NOW + 1), Some((Kind::Ack, mine)));
    assert_eq!(reply(&mut rules, &renew(7, mine.octets()[3]), NOW + 1), Some((Kind::Ack, mine)));
    assert_eq!(reply(&mut rules, &reboot(7, 102), NOW + 1).unwrap().0, Kind::Nak);
    assert_eq!(reply(&mut rules, &reboot(1, 21), NOW).unwrap().0, Kind::Nak);
    // Renewing what a lost file knew: a free address of the range.
    assert_eq!(reply(&mut rules, &renew(8, 102), NOW), Some((Kind::Ack, ip(102))));
    // Selecting another address than the one offered.
    let request = from(7, Kind::Request, &[address(50, ip(101)), address(54, SERVER)]);
    assert_eq!(reply(&mut rules, &request, NOW).unwrap().0, Kind::Nak);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let mut outside = settings();
    outside.networks[0].ranges[0].last = Ipv4Addr::new(10, 0, 1, 5);
    let mut twice = settings();
    twice.hosts.set(Key::Mac(Mac([9; 6])), Changes { ip: Some(ip(20)), ..Changes::default() });
    let mut overlap = settings();
    overlap.networks[0].ranges.push(range(102, 103));
    let mut same = settings();
    same.networks.push(Network::new("10.0.0.128/25".parse().unwrap(), Vec::new()));
    for settings in [outside, twice, overlap, same] {
        assert_eq!(made(settings).unwrap_err().kind, "dhcp.settings");
    }
    let mut rules = rules();
    let clash = Changes { ip: Some(ip(20)), ..Changes::default() };
    assert!(rules.reserve(Key::Mac(Mac([9; 6])), clash).is_err());
    assert_eq!(lease(&mut rules, 1, NOW), Some(ip(20)), "as before");
}

/// A small generator: the same packets every run.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn a_million_mutated_packets_harm_nobody() {
    let mut rules = rules();
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let kinds = [Kind::Discover, Kind::Request, Kind::Decline, Kind::Release, Kind::Inform];
    let samples: Vec<Vec<u8>> = kinds
        .iter()
        .map(|kind| {
            let options =
                [address(50, ip(100)), address(54, SERVER), (82, vec![5, 4, 10, 0, 0, 1]), (77, vec![4, 1, 2, 3, 4])];
            from(50, *kind, &options).encode()
        })
        .collect();
    // The whole number where it takes seconds.
    for round in 0..if cfg!(debug_assertions) { 100_000 } else { 1_000_000 } {
        let mut bytes = samples[next(&mut seed) as usize % samples.len()].clone();
        for _ in 0..1 + next(&mut seed) % 8 {
            let at = if next(&mut seed).is_multiple_of(2) { 240 + next(&mut seed) % 40 } else { next(&mut seed) % 300 };
            bytes[at as usize] = next(&mut seed) as u8;
        }
        if next(&mut seed).is_multiple_of(8) {
            bytes.truncate(next(&mut seed) as usize % 300);
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            let _ = rules.question(&packet, 0, NOW);
            if let Some(reply) = handle(&mut rules, &packet, NOW).reply {
                reply.encode();
            }
        }
        if round % 1000 == 0 {
            assert_eq!(lease(&mut rules, 1, NOW), Some(ip(20)), "a well-formed client in between");
        }
    }
    assert!(rules.leases.all().count() <= 256, "nothing grows without end");
}

fn setup(ports: Ports, settings: Settings, answer: Option<Answer>) -> Setup {
    Setup { interfaces: vec!["lo".into()], ports, settings, answer, ..Setup::default() }
}

fn loopback() -> (tokio::runtime::Runtime, Host) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    (runtime, host)
}

#[test]
fn sixteen_clients_at_once_on_the_loopback() {
    let (_runtime, host) = loopback();
    let settings = Settings {
        networks: vec![Network {
            interfaces: vec!["lo".into()],
            ..Network::new("10.0.0.0/24".parse().unwrap(), vec![range(100, 120)])
        }],
        ..settings()
    };
    let answer: Answer = Arc::new(|request| {
        Ok(match request.mac.as_str() {
            "02:00:00:00:00:03" => Decided::Silence,
            "02:00:00:00:00:04" => return Err(crate::host::Fault::new("script.thrown", "no")),
            _ => Decided::Changes(Changes {
                name: Some(format!("arch{}", request.arch.unwrap_or(99))),
                ..Changes::default()
            }),
        })
    });
    let ports = Ports { server: Some(0), client: None };
    let server = Server::start(&host, setup(ports, settings, Some(answer))).unwrap();
    let asking: Vec<_> = (1..=16)
        .map(|mac| {
            let timeout = Duration::from_secs(if mac == 3 { 1 } else { 60 });
            let mac = Mac([2, 0, 0, 0, 0, mac]);
            let ask = client::Ask {
                mac: Some(mac),
                port: Some(server.port),
                arch: Some(7),
                timeout: Some(timeout),
                ..Default::default()
            };
            host.runtime().spawn(async move { client::request("lo", &ask).await })
        })
        .collect();
    let mut given = HashSet::new();
    for (at, asked) in asking.into_iter().enumerate() {
        let granted = host.runtime().block_on(asked).unwrap();
        if at == 2 {
            assert_eq!(granted.unwrap_err().kind, "dhcp.timeout");
            continue;
        }
        let granted = granted.unwrap();
        assert!(given.insert(granted.ip), "{} twice", granted.ip);
        assert_eq!((granted.bootfile.as_str(), granted.lease), ("boot.ipxe", 600));
        assert_eq!(granted.options[&135], b"scripts/224");
        let name = match at {
            0 => "arch7",
            3 => "",
            _ => "arch7",
        };
        assert_eq!(granted.hostname, name);
    }
    assert!(given.contains(&ip(20)));
    assert_eq!(server.leases().len(), 15);
    let mut seen = HashSet::new();
    while !(seen.contains("acknowledged") && seen.contains("failed")) {
        seen.insert(host.wait(async { Ok(server.events().next().await) }).unwrap().unwrap().event);
    }
    let port = server.port;
    server.stop();
    // Free again: nothing of the server is left. Another test may have been given the same port for a moment.
    let until = Instant::now() + Duration::from_secs(20);
    let ports = Ports { server: Some(port), client: None };
    while let Err(fault) = Server::start(&host, setup(ports, self::settings(), None)) {
        assert!(Instant::now() < until, "{fault}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_server_on_the_port_is_refused() {
    let (_runtime, host) = loopback();
    let first = Server::start(&host, setup(Ports { server: Some(0), client: None }, settings(), None)).unwrap();
    let ports = Ports { server: Some(first.port), client: None };
    let fault = Server::start(&host, setup(ports, settings(), None)).err().unwrap();
    assert_eq!(fault.kind, "dhcp.bind");
}
