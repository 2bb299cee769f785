//! Several servers on one wire.

use std::time::Duration;

use kar::kit::dhcp::client::{self, Ask};
use kar::kit::dhcp::{Changes, Mode, Network, Server, Settings, Setup};

use crate::harness::{self, eventually};
use crate::rig::{LONG, Rig, counters, rig, text};

const LOOK: Duration = Duration::from_secs(2);

/// As the firmware of a machine asks.
fn firmware(arch: u16) -> Ask {
    Ask { arch: Some(arch), ..Ask::default() }
}

/// dnsmasq on a node, once it answers.
pub fn dnsmasq(rig: &Rig, node: usize, more: &[&str]) {
    harness::need("dnsmasq", "dnsmasq-base");
    let (leases, pid) = (rig.dir.path().join("dnsmasq-leases"), rig.dir.path().join("dnsmasq-pid"));
    let leases = format!("--dhcp-leasefile={}", text(&leases));
    let pid_file = format!("--pid-file={}", text(&pid));
    let args = ["-k", "-p", "0", "-C", "/dev/null", "-u", "root", "--interface=eth0", "--no-ping", &leases, &pid_file];
    rig.net.background(node, "dnsmasq", &[&args, more].concat());
    eventually(LONG, "dnsmasq listens", || rig.net.run(node, "ss", &["-ulnH"]).contains(":67 "));
}

fn proxy(rig: &Rig, bootfile: &str) -> Setup {
    let common = Changes { bootfile: Some(bootfile.into()), ..Changes::default() };
    let settings = Settings { mode: Mode::Proxy, common, ..Settings::default() };
    Setup { settings, ..rig.setup() }
}

#[test]
fn a_second_full_server_refuses_to_start_and_says_who_answers() {
    let rig = rig(3);
    let first = rig.serve(None);
    let start = |setup| rig.start(2, setup).err().map(|fault| (fault.kind.to_string(), fault.message));
    let own = |look| {
        let settings = Settings { leases: Some(rig.dir.path().join("own")), ..rig.setup().settings };
        Setup { look, settings, ..rig.setup() }
    };
    let second = |look| start(own(look));
    rig.net.run(2, "ip", &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    let (kind, message) = second(LOOK).expect("it refuses");
    assert_eq!(kind, "dhcp.foreign");
    assert!(message.contains("10.77.0.1 answers"), "{message}");
    assert!(first.leases().is_empty(), "looking takes no address");
    // Told to, it starts, but not on the first one's leases; and where nobody answers.
    let (kind, message) = start(Setup { look: Duration::ZERO, ..rig.setup() }).expect("it refuses");
    assert_eq!(kind, "dhcp.leases");
    assert!(message.contains(&format!("process {} ", std::process::id())), "{message}");
    assert_eq!(second(Duration::ZERO), None);
    first.stop();
    assert_eq!(second(LOOK), None);
}

#[test]
fn a_full_server_refuses_beside_dnsmasq_and_a_proxy_gives_it_boot_files() {
    let rig = rig(4);
    dnsmasq(&rig, 1, &["--dhcp-range=10.77.0.200,10.77.0.220,1h"]);
    for (node, address) in [(2, "10.77.0.2/24"), (3, "10.77.0.3/24")] {
        rig.net.run(node, "ip", &["addr", "add", address, "dev", "eth0"]);
    }
    let fault = rig.start(2, Setup { look: LOOK, ..rig.setup() }).err().expect("it refuses");
    assert!(fault.kind == "dhcp.foreign" && fault.message.contains("10.77.0.1"), "{fault}");

    // Address from dnsmasq, boot file from the proxy; who is no firmware hears nothing of it.
    let proxy = rig.start(2, proxy(&rig, "ipxe.efi")).unwrap();
    let lease = rig.ask(4, firmware(7));
    assert_eq!((lease.server.to_string().as_str(), lease.bootfile.as_str()), ("10.77.0.1", "ipxe.efi"));
    assert_eq!(lease.next_server, "10.77.0.2");
    assert!(lease.ip.octets()[3] >= 200, "{}", lease.ip);
    let plain = rig.ask(4, Ask::default());
    assert_eq!((plain.server.to_string().as_str(), plain.bootfile.as_str()), ("10.77.0.1", ""));
    assert_eq!(counters(&proxy)["offers"], 1);

    // A full server with other addresses beside both, told to: each does its part.
    let network = Network::new("10.77.0.0/24".parse().unwrap(), vec!["10.77.0.100-110".parse().unwrap()]);
    let settings = Settings { networks: vec![network], ..Settings::default() };
    let full: Server = rig.start(3, Setup { settings, ..rig.setup() }).unwrap();
    let lease = rig.ask(4, firmware(7));
    assert_eq!(lease.bootfile, "ipxe.efi");
    let from = lease.server.to_string();
    assert!(["10.77.0.1", "10.77.0.3"].contains(&from.as_str()), "{from}");
    assert_eq!(full.leases().len(), usize::from(from == "10.77.0.3"));
}

#[test]
fn a_proxy_serves_beside_a_server_on_its_own_machine() {
    let rig = rig(2);
    dnsmasq(&rig, 1, &["--bind-interfaces", "--dhcp-range=10.77.0.200,10.77.0.220,1h"]);
    let _proxy = rig.start(1, proxy(&rig, "undionly.kpxe")).unwrap();
    let lease = rig.ask(2, firmware(0));
    assert_eq!((lease.bootfile.as_str(), lease.ip.octets()[3] >= 200), ("undionly.kpxe", true));
    // What is sent to the server's own address still reaches it.
    rig.net.run(2, "ip", &["addr", "add", &format!("{}/24", lease.ip), "dev", "eth0"]);
    let renew = Ask { server: Some(lease.server), timeout: Some(LONG), ..Default::default() };
    let again = rig.net.inside(2, || rig.host.wait(client::renew("eth0", lease.ip, &renew)).unwrap());
    assert_eq!(again.server.to_string(), "10.77.0.1");
}

#[test]
fn discovery_writes_pairs_that_a_server_reads_back() {
    let rig = rig(4);
    let hosts = rig.dir.path().join("hosts");
    let network = Network::new("10.77.0.0/24".parse().unwrap(), vec!["10.77.0.11-20".parse().unwrap()]);
    let settings =
        Settings { mode: Mode::Discover(hosts.clone()), networks: vec![network.clone()], ..Settings::default() };
    let server = rig.start(1, Setup { settings, ..rig.setup() }).unwrap();
    // Switched on in this order.
    for (node, last) in [(4, 11), (2, 12), (3, 13)] {
        assert_eq!(rig.ask(node, firmware(0)).ip.octets()[3], last);
    }
    server.stop();
    assert_eq!(std::fs::read_to_string(&hosts).unwrap().lines().count(), 3);
    let known = kar::kit::dhcp::sites::hosts(&hosts).unwrap();
    let network = Network { ranges: Vec::new(), ..network };
    let settings = Settings { networks: vec![network], hosts: known, ..Settings::default() };
    let _server = rig.start(1, Setup { settings, ..rig.setup() }).unwrap();
    assert_eq!(rig.ask(2, Ask::default()).ip.octets()[3], 12);
}

#[test]
fn one_server_has_two_wires_and_two_servers_share_a_machine() {
    let rig = rig(3);
    // A second wire, between nodes 1 and 3 alone.
    rig.net.run(3, "ip", &["link", "set", "eth0", "down"]);
    let space = rig.net.space(3);
    rig.net.run(1, "ip", &["link", "add", "eth1", "type", "veth", "peer", "name", "far"]);
    harness::run(std::process::Command::new("ip").args([
        "-n",
        &rig.net.space(1),
        "link",
        "set",
        "far",
        "netns",
        &space,
    ]));
    rig.net.run(1, "ip", &["link", "set", "eth1", "up"]);
    rig.net.run(1, "ip", &["addr", "add", "10.78.0.1/24", "dev", "eth1"]);
    rig.net.run(3, "ip", &["link", "set", "far", "up"]);
    let network = |text: &str, range: &str| Network::new(text.parse().unwrap(), vec![range.parse().unwrap()]);
    let (near, far) = (network("10.77.0.0/24", "10.77.0.100-110"), network("10.78.0.0/24", "10.78.0.100-110"));
    let setup = |interfaces: &[&str], networks: &[&Network]| Setup {
        interfaces: interfaces.iter().map(|name| name.to_string()).collect(),
        settings: Settings {
            networks: networks.iter().map(|network| (*network).clone()).collect(),
            ..Settings::default()
        },
        ..rig.setup()
    };
    let ask = |node, interface: &str| {
        let lease = rig.ask_on(node, interface, Ask::default()).unwrap();
        (lease.ip.to_string(), lease.server.to_string())
    };
    let expected = [("10.77.0.100", "10.77.0.1"), ("10.78.0.100", "10.78.0.1")].map(|(a, b)| (a.into(), b.into()));
    let one = rig.start(1, setup(&["eth0", "eth1"], &[&near, &far])).unwrap();
    assert_eq!([ask(2, "eth0"), ask(3, "far")], expected);
    assert_eq!(one.leases().len(), 2);
    one.stop();
    // Each hears its own wire only.
    let two =
        [("eth0", &near), ("eth1", &far)].map(|(name, network)| rig.start(1, setup(&[name], &[network])).unwrap());
    assert_eq!([ask(2, "eth0"), ask(3, "far")], expected);
    assert_eq!(two.map(|server| server.leases().len()), [1, 1]);
}

#[test]
fn an_address_behind_a_relay_is_asked_for_by_ping() {
    let rig = rig(2);
    // Node 2 relays for a network of its own, on which somebody has the first address of the range.
    let ip = |node, args: &[&str]| rig.net.run(node, "ip", args);
    ip(2, &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    ip(2, &["addr", "add", "10.79.0.1/32", "dev", "lo"]);
    ip(2, &["addr", "add", "10.79.0.100/32", "dev", "lo"]);
    ip(1, &["route", "add", "10.79.0.0/24", "via", "10.77.0.2"]);
    let far = Network::new("10.79.0.0/24".parse().unwrap(), vec!["10.79.0.100-110".parse().unwrap()]);
    let settings = Settings { networks: vec![far], ..Settings::default() };
    let server = rig.start(1, Setup { settings, probe: Duration::from_millis(300), ..rig.setup() }).unwrap();
    let mac = Some("02:00:00:00:00:79".parse().unwrap());
    let (relay, asked) = (Some([10, 79, 0, 1].into()), Some([10, 77, 0, 1].into()));
    let lease = rig.ask(2, Ask { mac, relay, server: asked, ..Ask::default() });
    assert_eq!(lease.ip.to_string(), "10.79.0.101");
    let conflict = rig.event(&server, "conflict");
    assert!(conflict.ip == "10.79.0.100" && conflict.message.contains("answers pings"), "{conflict:?}");
}
