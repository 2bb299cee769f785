//! On a real network of namespaces: found by broadcast, fed over the wire, one node lost on the way.

use crate::children::Process;
use crate::harness::netns;
use crate::parts::{Door, PATIENCE, Pattern, eventually};

use kar::kit::chain::{Offer, OfferOptions};

const LENGTH: u64 = 12_000_001;

#[test]
fn machines_find_each_other_by_broadcast() {
    let net = netns::Net::new("chain", 4);
    let session = "wire";
    // The server's sockets are made in its namespace and stay there.
    let door = Door::default();
    let (runtime, offer) = net.inside(1, || {
        // Threads of the runtime are started here, so that the links they make are in the namespace too.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let source = Pattern::held(LENGTH, 4_000_000, &door);
        let options = OfferOptions { nodes: Some(3), ..OfferOptions::new(session) };
        let offer = runtime.block_on(Offer::open(source, options)).unwrap();
        (runtime, offer)
    });
    let role = format!("named {session}");
    let mut nodes: Vec<Process> = (2..=4).map(|node| Process::inside(&net, node, &role)).collect();
    runtime.block_on(eventually("bytes arrive", || {
        offer.progress().nodes.iter().filter(|node| node.bytes > 0).count() == 3
    }));
    let addresses: Vec<String> = offer.progress().nodes.into_iter().map(|node| node.address).collect();
    assert_eq!(addresses, (2..=4).map(|node| net.address(node)).collect::<Vec<_>>());
    // The last one's cable is pulled: nothing closes its connections.
    net.run(4, "ip", &["link", "set", "eth0", "down"]);
    runtime.block_on(eventually("it is missed", || offer.progress().nodes[2].failure.is_some()));
    door.open();
    let fault = runtime.block_on(offer.wait()).unwrap_err();
    let words = format!("1 of 3 nodes have no complete copy: {} vanished: silent for 2.5s", net.address(4));
    assert!(fault.message.starts_with(&words), "{}", fault.message);
    for node in &mut nodes[..2] {
        assert!(node.ends_well(), "its copy is whole");
    }
    assert!(!nodes[2].ends_well(), "the server is gone for it");
    drop(offer);
    runtime.shutdown_timeout(PATIENCE);
}

/// No machine has an address of IPv4: they meet by multicast, on addresses of the link alone.
#[test]
fn machines_find_each_other_by_ipv6() {
    let net = netns::Net::new("chain6", 4);
    for node in 1..=4 {
        net.run(node, "ip", &["-4", "addr", "flush", "dev", "eth0"]);
    }
    let (runtime, offer) = net.inside(1, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = OfferOptions { nodes: Some(3), ..OfferOptions::new("six") };
        let offer = runtime.block_on(Offer::open(Pattern::of(LENGTH), options)).unwrap();
        (runtime, offer)
    });
    let nodes: Vec<Process> = (2..=4).map(|node| Process::inside(&net, node, "named six")).collect();
    let report = runtime.block_on(crate::parts::ends(offer.wait())).unwrap();
    assert!(report.nodes.iter().all(|node| node.address.starts_with("fe80:")), "{report:?}");
    for mut node in nodes {
        assert!(node.ends_well(), "its copy is whole");
    }
    drop(offer);
    runtime.shutdown_timeout(PATIENCE);
}

/// A server with a card in each of two networks, and a node in each; a third card of each node leads nowhere, and takes what
/// goes to everybody. They find the server on the card that has it, and each other through it.
#[test]
fn a_session_is_found_on_whichever_card_has_it() {
    let net = netns::Net::new("cards", 3);
    net.run(1, "ip", &["link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", &net.space(3)]);
    net.run(3, "ip", &["addr", "del", "10.77.0.3/24", "dev", "eth0"]);
    for (node, address) in [(1, "10.78.0.1/24"), (3, "10.78.0.3/24")] {
        net.run(node, "ip", &["addr", "add", address, "dev", "eth1"]);
        net.run(node, "ip", &["link", "set", "eth1", "up"]);
    }
    net.run(1, "sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    for (node, back) in [(2, ["10.78.0.0/24", "10.77.0.1"]), (3, ["10.77.0.0/24", "10.78.0.1"])] {
        net.run(node, "ip", &["link", "add", "nowhere", "type", "veth", "peer", "name", "nobody"]);
        net.run(node, "ip", &["link", "set", "nobody", "up"]);
        net.run(node, "ip", &["addr", "add", "10.79.0.1/24", "dev", "nowhere"]);
        net.run(node, "ip", &["link", "set", "nowhere", "up"]);
        net.run(node, "ip", &["route", "add", "default", "dev", "nowhere"]);
        net.run(node, "ip", &["route", "add", back[0], "via", back[1]]);
    }
    let (runtime, offer) = net.inside(1, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = OfferOptions { nodes: Some(2), ..OfferOptions::new("cards") };
        let offer = runtime.block_on(Offer::open(Pattern::of(LENGTH), options)).unwrap();
        (runtime, offer)
    });
    let nodes = [2, 3].map(|node| Process::inside(&net, node, "named cards"));
    let report = runtime.block_on(crate::parts::ends(offer.wait())).unwrap();
    let addresses: Vec<&str> = report.nodes.iter().map(|node| node.address.as_str()).collect();
    assert_eq!(addresses, ["10.77.0.2", "10.78.0.3"]);
    for mut node in nodes {
        assert!(node.ends_well(), "its copy is whole");
    }
    drop(offer);
    runtime.shutdown_timeout(PATIENCE);
}
