//! Many clients at once, and one that asks without end.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kar::kit::dhcp::packet::Kind;
use kar::kit::dhcp::{Lease, Network, Packet, Settings, Setup, State, store};

use crate::harness::{self, eventually};
use crate::rig::{LONG, Rig, counters, rig, text};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Before a client asks again.
const AGAIN: Duration = Duration::from_secs(2);

/// A client on its way to a lease.
struct Client {
    offer: Option<Packet>,
    ack: Option<Packet>,
    asked: Instant,
}

fn question(number: usize, offer: Option<&Packet>) -> Packet {
    let [.., a, b] = (number as u16).to_be_bytes();
    let mut packet = Packet {
        xid: number as u32,
        hops: 1,
        giaddr: [10, 77, 0, 2].into(),
        chaddr: vec![2, 0, 0, 1, a, b],
        options: [(53, vec![Kind::Discover as u8]), (55, vec![1, 3, 6, 67]), (93, vec![0, 7])].into(),
        ..Packet::default()
    };
    if let Some(offer) = offer {
        packet.options.insert(53, vec![Kind::Request as u8]);
        packet.options.insert(50, offer.yiaddr.octets().to_vec());
        packet.options.insert(54, SERVER.octets().to_vec());
    }
    packet
}

/// Boots `count` clients behind a relay on node 2, all at once, until all have a lease, the time is over, or `enough` says
/// so. Gives the ACK of each that has one.
fn boot(rig: &Rig, count: usize, mut enough: impl FnMut(usize) -> bool + Send) -> HashMap<usize, Packet> {
    rig.net.inside(2, || {
        let socket = UdpSocket::bind("10.77.0.2:67").unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(16 << 20)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let send = |packet: Packet| drop(socket.send_to(&packet.encode(), (SERVER, 67)));
        let start = Instant::now();
        let mut clients: Vec<Client> = (0..count)
            .map(|number| {
                send(question(number, None));
                Client { offer: None, ack: None, asked: Instant::now() }
            })
            .collect();
        let (mut done, mut buffer, mut looked) = (0, [0; 2048], Instant::now());
        while done < count && start.elapsed() < 2 * LONG && !enough(done) {
            if let Ok((length, _)) = socket.recv_from(&mut buffer) {
                let packet = Packet::parse(&buffer[..length]).unwrap();
                let client = &mut clients[packet.xid as usize];
                client.asked = Instant::now();
                match packet.kind() {
                    Some(Kind::Offer) if client.ack.is_none() => {
                        send(question(packet.xid as usize, Some(&packet)));
                        client.offer = Some(packet);
                    }
                    Some(Kind::Ack) => done += usize::from(client.ack.replace(packet).is_none()),
                    Some(Kind::Nak) => client.offer = None,
                    _ => {}
                }
            }
            if looked.elapsed() > AGAIN / 4 {
                looked = Instant::now();
                for (number, client) in clients.iter_mut().enumerate() {
                    if client.ack.is_none() && client.asked.elapsed() > AGAIN {
                        client.asked = Instant::now();
                        send(question(number, client.offer.as_ref()));
                    }
                }
            }
        }
        clients.into_iter().enumerate().filter_map(|(number, client)| Some((number, client.ack?))).collect()
    })
}

/// Node 2 relays for a big network of its own.
fn relayed() -> kar::kit::dhcp::Network {
    Network::new("10.77.0.0/16".parse().unwrap(), vec![BIG.parse().unwrap()])
}

const BIG: &str = "10.77.16.0-10.77.127.255";

/// A recipe that serves the big network, running on node 1.
fn recipe(rig: &Rig, range: &str, more: &str) -> u32 {
    let path = rig.dir.path().join("serve.rhai");
    let leases = rig.dir.path().join("leases");
    let text_of = format!(
        "fn main(args) {{\n    let server = dhcp::serve(#{{ interface: \"eth0\", subnet: \"10.77.0.0/16\", range: \
         \"{range}\", leases: \"{}\", look: \"0s\", {more} }});\n    task::sleep(\"1h\");\n}}\n",
        text(&leases)
    );
    std::fs::write(&path, text_of).unwrap();
    let pid = rig.net.background(1, text(harness::kar()), &["run", text(&path)]);
    eventually(LONG, "the recipe serves", || rig.net.run(1, "ss", &["-ulnH"]).contains(":67 "));
    pid
}

/// Node 2 answers for itself, which has to be reached before anything is relayed.
fn room() -> Rig {
    let rig = rig(3);
    rig.net.run(2, "ip", &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    rig
}

#[test]
fn ten_thousand_clients_are_answered_with_a_closure_in_the_path() {
    let rig = room();
    // One in a hundred fails, one never ends: both get the usual answer.
    let closure = "probe: \"0s\", bootfile: \"usual\", answer: |req| { if req.mac.ends_with(\":00\") { throw \"no\"; } \
                   if req.mac == \"02:00:00:01:00:07\" && req.kind == \"discover\" { loop { } } \
                   #{ bootfile: \"nodes/\" + req.mac } }";
    recipe(&rig, BIG, closure);
    let count = 10_000;
    let acks = boot(&rig, count, |_| false);
    assert_eq!(acks.len(), count);
    let mut given: Vec<_> = acks.values().map(|ack| ack.yiaddr).collect();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), count, "nobody has another's address");
    let decided = acks.values().filter(|ack| ack.text(67).is_some_and(|file| file.starts_with("nodes/"))).count();
    // Those that had to wait for long got the usual answer: many, where nothing is optimized.
    let least = if cfg!(debug_assertions) { 50 } else { count / 2 };
    assert!(decided > least, "the closure decided for {decided}");
    let usual =
        acks.iter().filter(|(number, _)| *number % 256 == 0).all(|(_, ack)| ack.text(67).as_deref() == Some("usual"));
    assert!(usual, "a closure that fails leaves the usual answer");
}

#[test]
fn a_kill_at_any_moment_loses_no_acknowledged_lease() {
    let rig = room();
    let leases = rig.dir.path().join("leases");
    for (round, limit) in [150, 400].into_iter().enumerate() {
        let pid = recipe(&rig, BIG, "probe: \"0s\"");
        let kill = || nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGKILL);
        let acks = boot(&rig, 600, |done| done >= limit && kill().is_ok());
        eventually(LONG, "it is dead", || kill().is_err() || rig.net.run(1, "ss", &["-ulnH"]).trim().is_empty());
        assert!(acks.len() >= limit, "round {round}: {}", acks.len());
        let kept = store::parse(&std::fs::read(&leases).unwrap(), &leases).unwrap();
        let kept: HashMap<String, Lease> = kept.into_iter().map(|lease| (lease.mac.clone(), lease)).collect();
        for ack in acks.values() {
            let lease = kept.get(&ack.hardware()).unwrap_or_else(|| panic!("the lease of {} is lost", ack.hardware()));
            assert_eq!((lease.ip, lease.state), (ack.yiaddr, State::Bound));
        }
    }
}

#[test]
fn a_flood_from_one_mac_does_not_starve_others() {
    let rig = room();
    rig.net.run(3, "ip", &["addr", "add", "10.77.0.3/24", "dev", "eth0"]);
    let settings = Settings { networks: vec![relayed()], ..Settings::default() };
    let server = rig.start(1, Setup { settings, probe: Duration::ZERO, ..rig.setup() }).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            rig.net.inside(3, || {
                let socket = UdpSocket::bind("10.77.0.3:68").unwrap();
                let mut number = 0u32;
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    let packet = Packet {
                        xid: number,
                        chaddr: vec![2, 9, 9, 9, 9, 9],
                        giaddr: [0; 4].into(),
                        ..question(0, None)
                    };
                    let _ = socket.send_to(&packet.encode(), (SERVER, 67));
                }
            });
        });
        let acks = boot(&rig, 200, |_| false);
        over.store(true, Ordering::Relaxed);
        assert_eq!(acks.len(), 200);
    });
    let counts = counters(&server);
    assert!(counts["limited"] > 100, "{counts:?}");
    assert!(rig.event(&server, "limited").mac == "02:09:09:09:09:09");
}

#[test]
fn mutated_packets_harm_no_client_in_between_and_leave_nothing_behind() {
    let rig = room();
    let pid = recipe(&rig, "10.77.16.0-10.77.16.99", "probe: \"0s\", limit: 0, answer: |req| #{ bootfile: req.mac }");
    let resident = || {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the server runs");
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    // It has its address before the noise, which takes all others.
    let first = boot(&rig, 1, |_| false).remove(&0).expect("a well-formed client is answered").yiaddr;
    let mut grown = Vec::new();
    for _ in 0..12 {
        rig.net.inside(2, || {
            let socket = UdpSocket::bind("10.77.0.2:6767").unwrap();
            for number in 0..2000 {
                let mut bytes = question(30_000 + number, None).encode();
                for _ in 0..1 + next() % 8 {
                    let at = if next() % 2 == 0 { 240 + next() % 40 } else { next() % 240 };
                    bytes[at as usize] = next() as u8;
                }
                bytes.truncate(if next() % 8 == 0 { next() as usize % 300 } else { 300 });
                let _ = socket.send_to(&bytes, (SERVER, 67));
                // No faster than they are answered without optimization: what overruns a buffer proves nothing.
                if number % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        let ack = boot(&rig, 1, |_| false).remove(&0).expect("a well-formed client is answered");
        assert_eq!((ack.yiaddr, ack.text(67).as_deref()), (first, Some("02:00:00:01:00:00")));
        grown.push(resident());
    }
    let (before, after) = (grown[5], grown[11]);
    assert!(after < before + (8 << 20), "resident bytes after each 2000 packets: {grown:?}");
}
