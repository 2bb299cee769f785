//! Real clients, our own among them: leases, renewals, releases, restarts.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use kar::kit::dhcp::client::{self, Ask};
use kar::kit::dhcp::packet::Kind;
use kar::kit::dhcp::{Answer, Changes, Decided, Packet};

use crate::harness::{self, eventually};
use crate::rig::{LONG, rig, text};

#[test]
fn dhclient_leases_survives_a_restart_and_releases() {
    harness::need("dhclient", "isc-dhcp-client");
    let rig = rig(2);
    let server = rig.serve(None);
    let script = rig.script(
        "dhclient-script",
        "case $reason in BOUND|RENEW|REBIND|REBOOT) ip addr replace $new_ip_address/24 dev $interface;; \
         RELEASE|EXPIRE|STOP) ip addr flush dev $interface;; esac",
    );
    let (leases, pid) = (rig.dir.path().join("client-leases"), rig.dir.path().join("pid"));
    let args = ["-1", "-sf", text(&script), "-lf", text(&leases), "-pf", text(&pid), "eth0"];
    rig.net.run(2, "dhclient", &args);
    let mine = rig.address(2).expect("an address");
    assert_eq!(rig.event(&server, "acknowledged").ip, mine);
    rig.net.run(2, "dhclient", &[&["-x"], &args[1..]].concat());
    assert!(std::fs::read_to_string(&leases).unwrap().contains("filename \"boot.ipxe\""));

    server.stop();
    let server = rig.serve(None);
    assert_eq!(server.leases()[0].ip.to_string(), mine, "read back");
    rig.net.bare(2);
    rig.net.run(2, "dhclient", &args);
    assert_eq!(rig.event(&server, "acknowledged").ip, mine);
    assert_eq!(rig.address(2), Some(mine.clone()));

    rig.net.run(2, "dhclient", &[&["-r"], &args[1..]].concat());
    assert_eq!(rig.event(&server, "released").ip, mine);
    assert!(server.leases().is_empty());
}

#[test]
fn udhcpc_leases_renews_and_releases() {
    harness::need("udhcpc", "udhcpc");
    let rig = rig(2);
    let answer: Answer = Arc::new(|request| {
        let name = format!("node-{}", request.vendor_class.split(' ').next().unwrap_or_default());
        Ok(Decided::Changes(Changes { name: Some(name), ..Changes::default() }))
    });
    let server = rig.serve(Some(answer));
    let told = rig.dir.path().join("hostname");
    let script = rig.script(
        "udhcpc-script",
        &format!(
            "case $1 in bound|renew) ip addr replace $ip/24 dev $interface; echo $hostname > {}.part; mv {0}.part {0};; \
             deconfig) ip addr flush dev $interface;; esac",
            text(&told)
        ),
    );
    let pid = rig.net.background(2, "udhcpc", &["-f", "-i", "eth0", "-s", text(&script)]);
    let mine = rig.event(&server, "acknowledged").ip;
    eventually(LONG, "udhcpc configured the address", || rig.address(2).as_deref() == Some(&mine));
    eventually(LONG, "udhcpc was told its name", || {
        std::fs::read_to_string(&told).is_ok_and(|name| name.trim() == "node-udhcp")
    });
    let signal = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
    signal(nix::sys::signal::SIGUSR1);
    assert_eq!(rig.event(&server, "acknowledged").ip, mine, "renewed");
    signal(nix::sys::signal::SIGUSR2);
    assert_eq!(rig.event(&server, "released").ip, mine);
}

#[test]
fn our_own_client_gets_a_lease_without_an_address() {
    let rig = rig(3);
    let server = rig.serve(None);
    let mut given = Vec::new();
    for node in 2..=3 {
        let granted = rig.ask(node, Ask { arch: Some(7), ..Ask::default() });
        assert_eq!((granted.bootfile.as_str(), granted.server), ("boot.ipxe", Ipv4Addr::new(10, 77, 0, 1)));
        assert_eq!(granted.next_server, "10.77.0.1");
        given.push(granted.ip);
    }
    assert_ne!(given[0], given[1]);
    assert_eq!(server.leases().len(), 2);
}

#[test]
fn a_relay_is_answered_with_its_option() {
    let rig = rig(2);
    let _server = rig.serve(None);
    rig.net.run(2, "ip", &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    let relay = rig.net.inside(2, || UdpSocket::bind("10.77.0.2:67").unwrap());
    relay.set_read_timeout(Some(LONG)).unwrap();
    let question = Packet {
        xid: 99,
        hops: 1,
        giaddr: [10, 77, 0, 2].into(),
        chaddr: vec![2, 0, 0, 0, 0, 7],
        options: [(53, vec![Kind::Discover as u8]), (82, vec![1, 4, b'p', b'o', b'r', b't'])].into(),
        ..Packet::default()
    };
    relay.send_to(&question.encode(), "10.77.0.1:67").unwrap();
    let mut buffer = [0; 1500];
    let (length, _) = relay.recv_from(&mut buffer).unwrap();
    let offer = Packet::parse(&buffer[..length]).unwrap();
    assert_eq!((offer.kind(), offer.xid, offer.giaddr), (Some(Kind::Offer), 99, Ipv4Addr::new(10, 77, 0, 2)));
    assert_eq!(offer.options[&82], question.options[&82]);
}

#[test]
fn only_the_named_interface_is_served() {
    let rig = rig(2);
    let server = rig.serve(None);
    // The same question on the loopback of the serving node stays without an answer, while one on the wire gets one.
    let mac = Some("02:00:00:00:00:09".parse().unwrap());
    let ask = Ask { mac, timeout: Some(Duration::from_secs(1)), ..Ask::default() };
    assert_eq!(rig.ask_on(1, "lo", ask).unwrap_err().kind, "dhcp.timeout");
    rig.ask(2, Ask::default());
    assert_eq!(server.leases().len(), 1);
}

#[test]
fn dhcpcd_leases_survives_a_restart_and_releases() {
    harness::need("dhcpcd", "dhcpcd-base");
    let rig = rig(2);
    let server = rig.serve(None);
    let config = rig.dir.path().join("dhcpcd.conf");
    // Its own look for a conflict takes seconds; its files belong to all of the machine.
    std::fs::write(&config, "noarp\nnoipv6\nnoipv4ll\nduid\n").unwrap();
    let script = rig.script("dhcpcd-script", "exit 0");
    let args = ["-B", "-4", "-f", text(&config), "-c", text(&script), "eth0"];
    let command = format!("exec dhcpcd {}", args.join(" "));
    // A /var/lib and a /run of its own: leases and process ids are not this machine's.
    let alone = format!("mount -t tmpfs none /var/lib/dhcpcd && mount -t tmpfs none /run && {command}");
    let pid = rig.net.background(2, "unshare", &["--mount", "sh", "-c", &alone]);
    let mine = rig.event(&server, "acknowledged").ip;
    eventually(LONG, "dhcpcd configured the address", || rig.address(2).as_deref() == Some(&mine));

    server.stop();
    drop(server);
    let server = rig.serve(None);
    assert_eq!(server.leases()[0].ip.to_string(), mine, "read back");
    // SIGALRM: release and end.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGALRM).unwrap();
    assert_eq!(rig.event(&server, "released").ip, mine);
    assert!(server.leases().is_empty());
}

#[test]
fn our_own_client_renews_and_releases() {
    let rig = rig(2);
    let server = rig.serve(None);
    let lease = rig.ask(2, Ask { unicast: true, ..Ask::default() });
    rig.net.run(2, "ip", &["addr", "add", &format!("{}/24", lease.ip), "dev", "eth0"]);
    let ask = Ask { server: Some(lease.server), timeout: Some(LONG), ..Default::default() };
    let again = rig.net.inside(2, || rig.host.wait(client::renew("eth0", lease.ip, &ask)).unwrap());
    assert_eq!((again.ip, again.lease), (lease.ip, 600));
    rig.net.inside(2, || rig.host.wait(client::release("eth0", lease.ip, lease.server, &ask)).unwrap());
    assert_eq!(rig.event(&server, "released").ip, lease.ip.to_string());
}

#[test]
fn our_own_client_plays_a_relay() {
    let rig = rig(2);
    let _server = rig.serve(None);
    rig.net.run(2, "ip", &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    let mac = Some("02:00:00:00:00:55".parse().unwrap());
    let (relay, server) = (Some([10, 77, 0, 2].into()), Some([10, 77, 0, 1].into()));
    let lease = rig.ask(2, Ask { mac, relay, server, ..Ask::default() });
    assert_eq!(lease.server, Ipv4Addr::new(10, 77, 0, 1));
}

#[test]
fn an_address_that_somebody_has_is_not_offered() {
    let rig = rig(3);
    let setup = kar::kit::dhcp::Setup { probe: Duration::from_millis(300), ..rig.setup() };
    let server = rig.start(1, setup).unwrap();
    rig.net.run(3, "ip", &["addr", "add", "10.77.0.100/24", "dev", "eth0"]);
    let lease = rig.ask(2, Ask::default());
    assert_eq!(lease.ip, Ipv4Addr::new(10, 77, 0, 101));
    let conflict = rig.event(&server, "conflict");
    assert!(conflict.ip == "10.77.0.100" && conflict.message.contains("in use by"), "{conflict:?}");
}
