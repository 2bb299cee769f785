//! A failure anywhere is a failure everywhere it matters, and nowhere else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kar::host::Cancel;
use kar::kit::chain::{Notes, Offer, OfferOptions, ReceiveOptions, receive};
use kar::kit::stream::into_command;

use crate::parts::{Door, Kept, Net, Pattern, ends, eventually};

const LENGTH: u64 = 12_000_001;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_only_its_own_node() {
    let net = Net(40);
    for bad in 1..=3u8 {
        let offer = net.offer(Pattern::of(LENGTH), 3).await;
        let kept = [Kept::default(), Kept::default(), Kept::default()];
        let tasks: Vec<_> = (1..=3u8)
            .map(|host| {
                let own = &kept[usize::from(host) - 1];
                net.node(&offer, host, if host == bad { own.small(3_000_000) } else { own.sink() })
            })
            .collect();
        let fault = ends(offer.wait()).await.unwrap_err();
        assert_eq!(fault.kind, "chain.lossy");
        let expected = format!(
            "1 of 3 nodes have no complete copy: node{bad} ({}): No space left on device (os error 28)",
            net.address(bad)
        );
        assert_eq!(fault.message, expected);
        let report = fault.report.unwrap();
        assert_eq!(report["complete"], 2);
        assert_eq!(report["nodes"][usize::from(bad) - 1]["failure"]["kind"], "test.full");
        for (task, host) in tasks.into_iter().zip(1..) {
            let outcome = ends(task).await.unwrap();
            let own = &kept[usize::from(host) - 1];
            if host == bad {
                assert_eq!(outcome.unwrap_err().kind, "test.full");
                assert!(own.aborted());
            } else {
                outcome.unwrap();
                assert!(own.whole(LENGTH));
            }
        }
        net.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_disks_full_ends_it() {
    let net = Net(41);
    let offer = net.offer(Pattern::of(1 << 40), 2).await;
    let tasks = [1, 2].map(|host| net.node(&offer, host, Kept::default().small(2_000_000)));
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.lossy");
    assert!(fault.message.starts_with("2 of 2 nodes"), "{}", fault.message);
    for task in tasks {
        assert!(ends(task).await.unwrap().is_err());
    }
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_reaches_every_sink_as_a_failure() {
    let net = Net(42);
    for at in [0, 1, 512 << 10, (512 << 10) + 1, 7_654_321, LENGTH] {
        let offer = net.offer(Pattern::failing(LENGTH, at), 3).await;
        let nodes = net.nodes(&offer, 3);
        let fault = ends(offer.wait()).await.unwrap_err();
        assert_eq!(fault.kind, "chain.source");
        assert!(fault.message.contains("Input/output error (os error 5)"), "{}", fault.message);
        assert_eq!(fault.hints, ["look at dmesg"]);
        assert_eq!(fault.report.unwrap()["complete"], 0);
        for (kept, task) in nodes {
            let fault = ends(task).await.unwrap().unwrap_err();
            assert_eq!(fault.kind, "chain.source");
            assert!(fault.message.contains("`a pattern` failed at"), "{}", fault.message);
            assert!(kept.aborted(), "at {at}");
            assert!(kept.why.lock().unwrap().contains("Input/output error"));
        }
        net.clean().await;
    }
}

/// A program cannot tell a cut stream from a whole one by its end of file: it is killed before it sees one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_never_sees_the_end_of_a_stream_that_was_cut() {
    let net = Net(47);
    let dir = tempfile::tempdir().unwrap();
    for (round, source) in [Pattern::of(LENGTH), Pattern::failing(LENGTH, 7_654_321)].into_iter().enumerate() {
        let whole = round == 0;
        let offer = net.offer(source, 2).await;
        let mark = |host: u8| dir.path().join(format!("{round}.{host}"));
        let node = |host: u8| {
            let script = format!("cat > {0}.data; touch {0}", mark(host).display());
            net.node(&offer, host, Box::new(into_command("sh", &["-c", &script]).unwrap()))
        };
        let nodes = [node(1), node(2)];
        assert_eq!(ends(offer.wait()).await.is_ok(), whole);
        for (task, host) in nodes.into_iter().zip(1..) {
            assert_eq!(ends(task).await.unwrap().is_ok(), whole);
            let data = std::fs::metadata(mark(host).with_extension(format!("{host}.data"))).unwrap();
            assert!(data.len() == LENGTH || !whole && data.len() > 0);
            assert_eq!(mark(host).exists(), whole, "node{host} saw the end");
        }
        net.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_says_so() {
    let net = Net(43);
    let door = Door::default();
    let offer = net.offer(Pattern::held(LENGTH, 4_000_000, &door), 2).await;
    let nodes = net.nodes(&offer, 2);
    eventually("bytes arrive", || offer.progress().nodes.iter().filter(|n| n.bytes > 0).count() == 2).await;
    let opener = door.clone();
    let ((), ()) = tokio::join!(ends(offer.stop()), async move { opener.open() });
    assert_eq!(offer.wait().await.unwrap_err().kind, "chain.stopped");
    for (kept, task) in nodes {
        let fault = ends(task).await.unwrap().unwrap_err();
        assert_eq!((fault.kind.as_ref(), fault.message.as_str()), ("chain.stopped", "the server stopped the session"));
        assert!(kept.aborted());
    }
    net.clean().await;
}

/// A node that leaves, by its cancel or by a dropped future: the others close up and go on.
async fn a_node_leaves(net: Net, politely: bool, words: &str) {
    let door = Door::default();
    let offer = net.offer(Pattern::held(LENGTH, 4_000_000, &door), 3).await;
    let kept = [Kept::default(), Kept::default(), Kept::default()];
    let cancel = Cancel::new();
    let first = net.node(&offer, 1, kept[0].sink());
    let second = tokio::spawn(receive(kept[1].sink(), net.receiving(&offer, 2), cancel.clone()));
    let third = net.node(&offer, 3, kept[2].sink());
    eventually("bytes arrive", || offer.progress().nodes.iter().filter(|n| n.bytes > 0).count() == 3).await;
    if politely {
        cancel.set();
        assert!(ends(second).await.unwrap().unwrap_err().is_stopped());
    } else {
        second.abort();
    }
    eventually("it is noticed", || offer.progress().nodes[1].failure.is_some()).await;
    door.open();
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.lossy");
    let expected = format!("1 of 3 nodes have no complete copy: node2 ({}){words}", net.address(2));
    assert!(fault.message.starts_with(&expected), "{}", fault.message);
    for (task, own) in [(first, &kept[0]), (third, &kept[2])] {
        ends(task).await.unwrap().unwrap();
        assert!(own.whole(LENGTH));
    }
    eventually("its sink is aborted", || kept[1].aborted()).await;
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cancelled_is_named() {
    a_node_leaves(Net(44), true, ": stopped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dropped_is_named() {
    a_node_leaves(Net(45), false, " vanished: connection").await;
}

/// It was there still for the node behind it alone: that one is fed by somebody else, and nobody lacks anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_vanishes_once_its_copy_is_whole_costs_nobody_anything() {
    let net = Net(48);
    let folder = crate::harness::scratch();
    let slow = folder.path().join("slow");
    std::fs::write(&slow, "0.5").unwrap();
    let said = Arc::new(Mutex::new(Vec::<String>::new()));
    let note = said.clone();
    let notes: Notes = Arc::new(move |_, text| note.lock().unwrap().push(text.into()));
    let options = OfferOptions { nodes: Some(2), notes, ..net.offering() };
    let offer = Offer::open(Pattern::of(LENGTH), options).await.unwrap();
    let kept = [Kept::default(), Kept::default()];
    let first = net.node(&offer, 1, kept[0].sink());
    let faults = Some(folder.path().to_path_buf());
    let options = ReceiveOptions { buffer: 2 << 20, faults, ..net.receiving(&offer, 2) };
    let second = tokio::spawn(receive(kept[1].sink(), options, Cancel::new()));
    eventually("the first one has it all", || offer.progress().nodes.first().is_some_and(|n| n.bytes == LENGTH)).await;
    assert!(kept[0].whole(LENGTH) && !offer.progress().nodes[0].done);
    first.abort();
    eventually("it is noticed", || said.lock().unwrap().iter().any(|text| text.ends_with("; its copy is whole"))).await;
    std::fs::remove_file(slow).unwrap();
    let report = ends(offer.wait()).await.unwrap();
    let repairs: Vec<_> = report.repairs.iter().map(|r| (r.node.as_str(), r.from.as_str(), r.to.as_str())).collect();
    assert_eq!((report.complete, repairs), (2, vec![("node2", "node1", "the server")]));
    ends(second).await.unwrap().unwrap();
    assert!(kept[1].whole(LENGTH));
    net.clean().await;
}

/// A source that hangs is left behind after a while: the stop of a session does not hang with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_source_does_not_hang_the_stop() {
    let net = Net(46);
    let door = Door::default();
    let offer = net.offer(Pattern::held(LENGTH, 100, &door), 1).await;
    let nodes = net.nodes(&offer, 1);
    eventually("it starts", || offer.progress().phase == kar::kit::chain::Phase::Streaming).await;
    tokio::time::timeout(Duration::from_secs(20), offer.stop()).await.expect("it stops");
    for (kept, task) in nodes {
        assert_eq!(ends(task).await.unwrap().unwrap_err().kind, "chain.stopped");
        assert!(kept.aborted());
    }
    door.open();
    net.clean().await;
}
