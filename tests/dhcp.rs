//! DHCP against real clients, on a wire of its own.

mod harness;

use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harness::{eventually, netns::Net, scratch};
use kar::host::{Host, Silent};
use kar::kit::dhcp::packet::Kind;
use kar::kit::dhcp::{Answer, Changes, Decided, Network, Packet, Server, Settings, Setup, client};

const LONG: Duration = Duration::from_secs(60);

struct Rig {
    net: Net,
    host: Host,
    _runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

/// Node 1 serves; the others are bare until they get an address.
fn rig(nodes: usize) -> Rig {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let net = Net::new("dhcp", nodes);
    (2..=nodes).for_each(|node| net.bare(node));
    Rig { net, host, _runtime: runtime, dir: scratch() }
}

impl Rig {
    /// What most tests serve; `look` costs a second where it is on.
    fn setup(&self) -> Setup {
        let network = Network::new("10.77.0.0/24".parse().unwrap(), vec!["10.77.0.100-150".parse().unwrap()]);
        let settings = Settings {
            networks: vec![network],
            common: Changes {
                router: Some(vec![[10, 77, 0, 1].into()]),
                lease: Some(Duration::from_secs(600)),
                bootfile: Some("boot.ipxe".into()),
                ..Changes::default()
            },
            leases: Some(self.dir.path().join("leases")),
            ..Settings::default()
        };
        Setup { interfaces: vec!["eth0".into()], settings, probe: Duration::from_millis(50), ..Setup::default() }
    }

    fn start(&self, node: usize, setup: Setup) -> kar::host::Result<Server> {
        self.net.inside(node, || Server::start(&self.host, setup))
    }

    fn serve(&self, answer: Option<Answer>) -> Server {
        self.start(1, Setup { answer, ..self.setup() }).unwrap()
    }

    /// The address on a node's wire, if it has one.
    fn address(&self, node: usize) -> Option<String> {
        let shown = self.net.run(node, "ip", &["-o", "-4", "addr", "show", "dev", "eth0"]);
        shown.split_whitespace().find_map(|word| Some(word.strip_suffix("/24")?.to_string()))
    }

    /// What a client runs to configure its node, and nothing else of it.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Takes events until one is as named.
    fn event(&self, server: &Server, name: &str) -> kar::kit::dhcp::Event {
        let found = self.host.runtime().block_on(async {
            tokio::time::timeout(LONG, async {
                loop {
                    match server.events().next().await {
                        Some(event) if event.event == name => return event,
                        Some(_) => {}
                        None => panic!("the server ended"),
                    }
                }
            })
            .await
        });
        found.unwrap_or_else(|_| panic!("no `{name}` within {LONG:?}"))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

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
        let ask = client::Ask { arch: Some(7), timeout: Some(LONG), ..Default::default() };
        let granted = rig.net.inside(node, || rig.host.wait(client::request("eth0", &ask)).unwrap());
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
    relay.send_to(&question.encode().unwrap(), "10.77.0.1:67").unwrap();
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
    let ask = client::Ask {
        mac: Some("02:00:00:00:00:09".parse().unwrap()),
        timeout: Some(Duration::from_secs(1)),
        ..Default::default()
    };
    let fault = rig.net.inside(1, || rig.host.wait(client::request("lo", &ask)).unwrap_err());
    assert_eq!(fault.kind, "dhcp.timeout");
    let ask = client::Ask { timeout: Some(LONG), ..Default::default() };
    rig.net.inside(2, || rig.host.wait(client::request("eth0", &ask)).unwrap());
    assert_eq!(server.leases().len(), 1);
}
