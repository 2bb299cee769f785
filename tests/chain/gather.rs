//! Who meets whom, in which order, and when it starts.

use std::time::Duration;

use kar::host::Cancel;
use kar::kit::chain::{
    KnockOptions, Offer, OfferOptions, Order, Phase, ReceiveOptions, Rounds, Target, decline, parse_bind, receive,
    start,
};
use kar::kit::stream::Source;

use crate::parts::{Door, Kept, Net, PATIENCE, Pattern, ends, eventually};

const LENGTH: u64 = 3_000_001;

/// Joins nodes one after the other; gives their names in the order of the chain.
async fn order_of(net: Net, order: Order, hosts: &[u8]) -> Vec<String> {
    let offer = Offer::open(Pattern::of(10), OfferOptions { order, ..net.offering() }).await.unwrap();
    let mut tasks = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        tasks.push(net.node(&offer, *host, Kept::default().sink()));
        eventually("it joins", || offer.joined().len() == at + 1).await;
    }
    offer.start().unwrap();
    let report = ends(offer.wait()).await.unwrap();
    for task in tasks {
        ends(task).await.unwrap().unwrap();
    }
    net.clean().await;
    report.nodes.into_iter().map(|node| node.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_ordered_as_numbers() {
    assert_eq!(order_of(Net(20), Order::Address, &[100, 10, 9]).await, ["node9", "node10", "node100"]);
    assert_eq!(order_of(Net(20), Order::Joined, &[100, 10, 9]).await, ["node100", "node10", "node9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_are_found_by_name_at_once() {
    let nets = [Net(21), Net(22)];
    let mut sessions = Vec::new();
    for (net, length) in nets.into_iter().zip([1_000_000, 2_000_000]) {
        // One on a loopback address, one on all addresses with the port left open.
        let bind = if net.0 == 21 { (Some(net.address(254)), Some(0)) } else { (None, None) };
        let options = OfferOptions { nodes: Some(2), bind, ..net.offering() };
        sessions.push((net, length, Offer::open(Pattern::of(length), options).await.unwrap()));
    }
    for (net, length, offer) in sessions {
        let kept = [Kept::default(), Kept::default()];
        let tasks: Vec<_> = kept
            .iter()
            .zip(1..)
            .map(|(kept, host)| {
                let options = ReceiveOptions {
                    address: Some(net.address(host)),
                    timeout: PATIENCE,
                    ..ReceiveOptions::new(Target::Session(net.session()))
                };
                tokio::spawn(receive(kept.sink(), options, Cancel::new()))
            })
            .collect();
        ends(offer.wait()).await.unwrap();
        for task in tasks {
            ends(task).await.unwrap().unwrap();
        }
        assert!(kept.iter().all(|kept| kept.whole(length)));
        net.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_after_a_time_with_whoever_is_there() {
    let net = Net(23);
    let after = Some(Duration::from_secs(5));
    let options = OfferOptions { nodes: Some(3), start_after: after, ..net.offering() };
    let offer = Offer::open(Pattern::of(1000), options).await.unwrap();
    let node = net.node(&offer, 1, Kept::default().sink());
    assert_eq!(ends(offer.wait()).await.unwrap().complete, 1);
    ends(node).await.unwrap().unwrap();
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_when_told_from_elsewhere() {
    let net = Net(24);
    let offer = Offer::open(Pattern::of(1000), net.offering()).await.unwrap();
    let knock = |token: Option<&str>| {
        let target = Target::Server(offer.address().to_string(), Some(net.session()));
        start(KnockOptions { target, token: token.map(String::from), encrypt: false, timeout: PATIENCE })
    };
    assert_eq!(ends(knock(None)).await.unwrap_err().kind, "chain.nobody");
    assert_eq!(ends(knock(Some("guess"))).await.unwrap_err().kind, "chain.token");
    let kept = Kept::default();
    let node = net.node(&offer, 1, kept.sink());
    eventually("it joins", || offer.joined() == ["node1"]).await;
    assert_eq!(offer.progress().phase, Phase::Gathering);
    ends(knock(None)).await.unwrap();
    ends(offer.wait()).await.unwrap();
    assert_eq!(offer.progress().phase, Phase::Ended);
    ends(node).await.unwrap().unwrap();
    assert!(kept.whole(1000));
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_and_too_few_are_errors() {
    let net = Net(25);
    let short = |nodes| OfferOptions { nodes, timeout: Duration::from_millis(300), ..net.offering() };
    for session in [String::new(), "x".repeat(201)] {
        let refused = Offer::open(Pattern::of(10), OfferOptions { session, ..short(None) }).await;
        assert_eq!(refused.err().unwrap().kind, "chain.option");
    }
    let offer = Offer::open(Pattern::of(10), short(Some(2))).await.unwrap();
    assert_eq!(ends(offer.wait()).await.unwrap_err().kind, "chain.nobody");
    let after = OfferOptions { start_after: Some(Duration::from_millis(50)), ..short(None) };
    let offer = Offer::open(Pattern::of(10), after).await.unwrap();
    assert_eq!(ends(offer.wait()).await.unwrap_err().kind, "chain.nobody");

    let patient = OfferOptions { timeout: Duration::from_secs(8), ..short(Some(2)) };
    let offer = Offer::open(Pattern::of(10), patient).await.unwrap();
    let kept = Kept::default();
    let node = net.node(&offer, 1, kept.sink());
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.timeout");
    assert!(fault.message.contains("for 2 nodes, 1 joined: node1 ("), "{}", fault.message);
    assert_eq!(ends(node).await.unwrap().unwrap_err().kind, "chain.timeout");
    assert!(kept.aborted());
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_looks_for_its_session_no_longer_than_told() {
    let kept = Kept::default();
    let options = ReceiveOptions {
        timeout: Duration::from_millis(200),
        ..ReceiveOptions::new(Target::Session(Net(26).session()))
    };
    let fault = ends(receive(kept.sink(), options, Cancel::new())).await.unwrap_err();
    assert_eq!(fault.kind, "chain.timeout");
    assert!(kept.aborted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_before_the_start_was_never_there() {
    let net = Net(27);
    let offer = net.offer(Pattern::of(1000), 2).await;
    let cancel = Cancel::new();
    let quitter = tokio::spawn(receive(Kept::default().sink(), net.receiving(&offer, 9), cancel.clone()));
    eventually("it joins", || offer.joined() == ["node9"]).await;
    cancel.set();
    assert!(ends(quitter).await.unwrap().unwrap_err().is_stopped());
    eventually("it is struck off", || offer.joined().is_empty()).await;
    let nodes = net.nodes(&offer, 2);
    assert_eq!(ends(offer.wait()).await.unwrap().complete, 2);
    for (kept, task) in nodes {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(1000));
    }
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_an_error_where_it_was_asked_for() {
    let net = Net(28);
    let first = Offer::open(Pattern::of(1), net.offering()).await.unwrap();
    let bind = parse_bind(&first.address().to_string()).unwrap();
    let second = Offer::open(Pattern::of(1), OfferOptions { bind, ..net.offering() }).await;
    assert_eq!(second.err().unwrap().kind, "chain.bind");
    ends(first.stop()).await;
    assert!(net.listening().is_empty(), "closed when stop returns");
    assert_eq!(first.wait().await.unwrap_err().kind, "chain.stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_declines_is_not_waited_for_and_named() {
    let net = Net(29);
    let offer = net.offer(Pattern::of(1000), 2).await;
    let nodes = net.nodes(&offer, 1);
    let knock = |offer: &Offer| {
        let target = Target::Server(offer.address().to_string(), Some(net.session()));
        KnockOptions { target, token: None, encrypt: false, timeout: PATIENCE }
    };
    ends(decline(knock(&offer), Some("node2"), Some(net.address(2)), "no disk")).await.unwrap();
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.lossy");
    let expected = format!("1 of 2 nodes have no complete copy: node2 ({}) declined: no disk", net.address(2));
    assert_eq!(fault.message, expected);
    assert_eq!(fault.report.unwrap()["nodes"][1]["failure"]["kind"], "chain.declined");
    for (kept, task) in nodes {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(1000));
    }
    let offer = net.offer(Pattern::of(1000), 1).await;
    ends(decline(knock(&offer), Some("node2"), Some(net.address(2)), "no disk")).await.unwrap();
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.nobody");
    assert!(fault.message.contains("declined: no disk"), "{}", fault.message);
    net.clean().await;
}

/// A pattern that can be read again, through a spool or by itself.
fn twice(at: u64, door: &Door, spool: Option<&std::path::Path>) -> Box<dyn Source> {
    let held = Pattern::held(LENGTH, at, door);
    match spool {
        Some(path) => Box::new(kar::kit::chain::spool(held, path).unwrap()),
        None => held,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_gets_a_round_at_once() {
    let net = Net(30);
    let folder = crate::harness::scratch();
    let door = Door::default();
    let source = twice(LENGTH - 1, &door, Some(&folder.path().join("spool")));
    let offer = Offer::open(source, OfferOptions { nodes: Some(1), ..net.offering() }).await.unwrap();
    let first = Kept::default();
    let early = net.node(&offer, 1, first.sink());
    eventually("it starts", || offer.progress().nodes.iter().any(|node| node.bytes > 0)).await;
    let kept = [Kept::default(), Kept::default()];
    let late = [net.node(&offer, 2, kept[0].sink()), net.node(&offer, 3, kept[1].sink())];
    eventually("they are fed while the first round goes on", || {
        offer.progress().nodes.iter().filter(|node| node.bytes > 0).count() == 3
    })
    .await;
    assert!(!first.finished());
    door.open();
    let report = ends(offer.wait()).await.unwrap();
    assert_eq!(report.complete, 3);
    assert_eq!(report.nodes.iter().map(|node| node.round).collect::<Vec<_>>()[..2], [1, 2]);
    ends(early).await.unwrap().unwrap();
    for task in late {
        ends(task).await.unwrap().unwrap();
    }
    assert!(first.whole(LENGTH) && kept.iter().all(|kept| kept.whole(LENGTH)));
    drop(offer);
    eventually("the spool is gone", || !folder.path().join("spool").exists()).await;
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_kept_serves_who_failed_and_comes_back() {
    let net = Net(31);
    let source = Box::new(kar::kit::stream::blob(crate::parts::bytes(LENGTH)));
    let options = OfferOptions { nodes: Some(2), rounds: Rounds::Keep, ..net.offering() };
    let offer = Offer::open(source, options).await.unwrap();
    let kept = [Kept::default(), Kept::default()];
    let nodes = [net.node(&offer, 1, kept[0].sink()), net.node(&offer, 2, Kept::default().small(1_000_000))];
    for (node, well) in nodes.into_iter().zip([true, false]) {
        assert_eq!(ends(node).await.unwrap().is_ok(), well);
    }
    let again = net.node(&offer, 2, kept[1].sink());
    ends(again).await.unwrap().unwrap();
    offer.start().unwrap();
    let report = ends(offer.wait()).await.unwrap();
    assert_eq!((report.complete, report.nodes.len()), (2, 2));
    assert!(kept.iter().all(|kept| kept.whole(LENGTH)));
    net.clean().await;
}
