//! Nodes that get the stream in two parts: moved out of the chain for their slow sink, or joining it while it runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kar::host::Cancel;
use kar::kit::chain::frame::CHUNK;
use kar::kit::chain::{Notes, Offer, OfferOptions, Phase, ReceiveOptions, Report, Slow, receive};
use kar::kit::dd;

use crate::parts::{Door, Kept, Net, PATIENCE, Pattern, bytes, ends, eventually};

const LENGTH: u64 = 24_000_001;
/// Small, so that others soon wait for a slow sink.
const BUFFER: u64 = 2 << 20;

type Said = Arc<Mutex<Vec<String>>>;

fn notes(said: &Said) -> Notes {
    let said = said.clone();
    Arc::new(move |_, text| said.lock().unwrap().push(text.into()))
}

/// The sink of who has its faults in this folder takes 0.5 MB/s, until the file is gone.
fn slow(folder: &Path) -> PathBuf {
    let file = folder.join("slow");
    std::fs::write(&file, "0.5").unwrap();
    file
}

/// A source that can be read again, and waits at a door the first time.
fn source(folder: &Path, at: u64, door: &Door) -> Box<dyn kar::kit::stream::Source> {
    Box::new(kar::kit::chain::spool(Pattern::held(LENGTH, at, door), &folder.join("spool")).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_node_leaves_and_is_served_afterwards() {
    let net = Net(110);
    let folder = crate::harness::scratch();
    let said = Said::default();
    let options = OfferOptions {
        nodes: Some(3),
        slow: Slow::Evict,
        buffer: BUFFER,
        notes: notes(&said),
        ..net.sealed_offering()
    };
    let door = Door::default();
    door.open();
    let offer = Offer::open(source(folder.path(), 0, &door), options).await.unwrap();
    let kept = [Kept::default(), Kept::default(), Kept::default()];
    let slow = slow(folder.path());
    let node = |host: u8| {
        let faults = (host == 2).then(|| folder.path().to_path_buf());
        let options = ReceiveOptions { buffer: BUFFER, faults, ..net.sealed_receiving(&offer, host) };
        tokio::spawn(receive(kept[usize::from(host) - 1].sink(), options, Cancel::new()))
    };
    let nodes = [node(1), node(2), node(3)];
    eventually("the others have it all", || kept[0].finished() && kept[2].finished()).await;
    assert!(!kept[1].finished(), "nobody waited for it");
    std::fs::remove_file(slow).unwrap();
    let report = ends(offer.wait()).await.unwrap();
    for node in nodes {
        assert_eq!(ends(node).await.unwrap().unwrap().digest, report.digest);
    }
    assert!(kept.iter().all(|kept| kept.whole(LENGTH)));
    assert_eq!((report.complete, report.nodes.len(), report.bytes), (3, 3, LENGTH));
    let of = |name: &str| report.nodes.iter().find(|node| node.name == name).unwrap();
    let (evicted, other) = (of("node2"), of("node1"));
    assert!(evicted.round == 2 && evicted.evicted.is_some_and(|speed| speed < 6.0), "{evicted:?}");
    assert!(evicted.bytes == LENGTH && evicted.failure.is_none() && other.evicted.is_none() && other.round == 1);
    assert!(report.repairs.iter().any(|repair| repair.node == "node3" && repair.to == "node1"));
    let said = said.lock().unwrap().clone();
    let named = |words: &[&str]| said.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(named(&["node2", "'s sink takes ", " MB/s; the others wait for it"]), "{said:?}");
    assert!(named(&["node2", "moved out of the chain at ", ", served afterwards"]), "{said:?}");
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_nodes_leave_only_where_they_can_come_back() {
    let net = Net(111);
    let options = OfferOptions { slow: Slow::Evict, ..net.offering() };
    let fault = Offer::open(Pattern::of(10), options).await.err().unwrap();
    assert_eq!(fault.kind, "chain.option");
    assert!(fault.message.contains("can be read again") && fault.hints[0].contains("spool"), "{fault}");
}

/// A chain of disk images that more of them join while its stream stands.
struct Join {
    net: Net,
    /// Where it stands.
    hold: u64,
    /// Whether it is known how long it will be.
    sized: bool,
    /// How long it stands once all have joined.
    stand: Duration,
}

impl Join {
    fn new(net: Net, hold: u64) -> Join {
        Join { net, hold, sized: true, stand: Duration::ZERO }
    }

    /// Nodes 1 and 2 from the beginning on, 3 to 5 late; the report, and what was said.
    async fn run(self) -> (Report, Vec<String>) {
        let Join { net, hold, sized, stand } = self;
        let folder = crate::harness::scratch();
        let image = |host: u8| folder.path().join(format!("image{host}"));
        // Every second disk was there and full of other things, the others are made anew. Now: a slow write would hold up
        // the nodes.
        for host in [2, 4] {
            std::fs::write(image(host), vec![0xaa; LENGTH as usize + 5000]).unwrap();
        }
        let (said, door) = (Said::default(), Door::default());
        let options = OfferOptions { nodes: Some(2), notes: notes(&said), ..net.offering() };
        let pattern = Pattern::held(LENGTH, hold, &door);
        let pattern = if sized { pattern } else { pattern.without_size() };
        let source = kar::kit::chain::spool(pattern, &folder.path().join("spool")).unwrap();
        let offer = Offer::open(Box::new(source), options).await.unwrap();
        let node = |host: u8| {
            let sink = dd::into(&image(host), &dd::IntoOptions::default()).unwrap();
            tokio::spawn(receive(Box::new(sink), net.receiving(&offer, host), Cancel::new()))
        };
        let mut nodes: Vec<_> = (1..=2).map(node).collect();
        eventually("the stream stands", || {
            let progress = offer.progress();
            let stands = |bytes: u64| bytes <= hold && bytes + CHUNK as u64 > hold;
            let all = || progress.nodes.iter().all(|node| stands(node.bytes));
            progress.phase == Phase::Streaming && stands(progress.sent) && all()
        })
        .await;
        for host in 3..=5 {
            nodes.push(node(host));
            eventually("it joins", || offer.progress().nodes.len() == usize::from(host)).await;
        }
        tokio::time::sleep(stand).await;
        door.open();
        let report = ends(offer.wait()).await.unwrap();
        for (node, host) in nodes.into_iter().zip(1..) {
            let own = ends(node).await.unwrap().unwrap();
            assert_eq!((own.bytes, &own.digest), (LENGTH, &report.digest), "node {host}");
            let data = std::fs::read(image(host)).unwrap();
            assert!(data[..LENGTH as usize] == bytes(LENGTH), "image {host}");
            assert!(data[LENGTH as usize..].iter().all(|byte| *byte == 0xaa), "what lies behind stays");
        }
        net.clean().await;
        let said = said.lock().unwrap().clone();
        (report, said)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_joins_a_running_chain_and_gets_what_it_missed() {
    // Whoever comes before the first frame may have missed nothing.
    for (hold, net, parts) in [(10_000_000, Net(112), 3), (100, Net(113), 0)] {
        let (report, said) = Join::new(net, hold).run().await;
        assert_eq!((report.complete, report.nodes.len()), (5, 5), "{report:?}");
        let later = report.nodes.iter().filter(|node| node.round > 1).count();
        assert!(if parts > 0 { later == parts } else { later <= 3 }, "{report:?}");
        assert_eq!(said.iter().filter(|line| line.contains("joins the chain at ")).count(), 3, "{said:?}");
        // They miss what was sent before, and are served together.
        assert!(said.iter().filter(|line| line.contains("a round ")).count() <= 1, "{said:?}");
    }
}

/// A part begins at a multiple of 1 MiB: here behind the end, with nothing of the stream in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_joins_close_to_the_end_gets_it_all_afterwards() {
    let (report, _) = Join { sized: false, ..Join::new(Net(116), LENGTH - 500_000) }.run().await;
    assert_eq!((report.complete, report.nodes.len()), (5, 5), "{report:?}");
    assert_eq!(report.nodes.iter().filter(|node| node.round == 2).count(), 3, "{report:?}");
}

/// Who waits for its own beginning has nothing to pass on, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_that_join_a_chain_that_stands_wait_with_it() {
    let stand = Duration::from_millis(3500);
    let (report, said) = Join { stand, ..Join::new(Net(117), 10_000_000) }.run().await;
    assert_eq!(report.complete, 5, "{report:?}");
    assert!(!said.iter().any(|line| line.contains("silent for ")), "{said:?}");
}

/// A slow disk that joins late leaves before the end: it comes back for that, and then for its beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_may_come_back_twice() {
    let net = Net(118);
    let folder = crate::harness::scratch();
    let (said, door) = (Said::default(), Door::default());
    let options =
        OfferOptions { nodes: Some(2), slow: Slow::Evict, buffer: BUFFER, notes: notes(&said), ..net.offering() };
    let offer = Offer::open(source(folder.path(), 4_000_000, &door), options).await.unwrap();
    let kept = [Kept::default(), Kept::default()];
    let receiving = |host| ReceiveOptions { buffer: BUFFER, ..net.receiving(&offer, host) };
    let early = [1, 2]
        .map(|host: u8| tokio::spawn(receive(kept[usize::from(host) - 1].sink(), receiving(host), Cancel::new())));
    eventually("the stream stands", || {
        offer.progress().nodes.iter().filter(|node| node.bytes > 3_000_000).count() == 2
    })
    .await;
    let image = folder.path().join("image");
    let slow = slow(folder.path());
    let sink = dd::into(&image, &dd::IntoOptions::default()).unwrap();
    let options = ReceiveOptions { faults: Some(folder.path().to_path_buf()), ..receiving(3) };
    let late = tokio::spawn(receive(Box::new(sink), options, Cancel::new()));
    eventually("it joins", || offer.progress().nodes.len() == 3).await;
    door.open();
    let named = |words: &str| said.lock().unwrap().iter().any(|line| line.contains(words));
    eventually("it leaves", || named("moved out of the chain at ")).await;
    std::fs::remove_file(slow).unwrap();
    let report = ends(offer.wait()).await.unwrap();
    for task in early {
        ends(task).await.unwrap().unwrap();
    }
    assert_eq!(ends(late).await.unwrap().unwrap().digest, report.digest);
    assert!(kept.iter().all(|kept| kept.whole(LENGTH)) && std::fs::read(&image).unwrap() == bytes(LENGTH));
    let node = report.nodes.iter().find(|node| node.name == "node3").unwrap();
    assert!(report.complete == 3 && node.round == 3 && node.evicted.is_some(), "{report:?}");
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_late_and_fails_costs_nobody_anything_and_is_named() {
    let net = Net(114);
    let folder = crate::harness::scratch();
    let door = Door::default();
    let options = OfferOptions { nodes: Some(1), ..net.offering() };
    let offer = Offer::open(source(folder.path(), 10_000_000, &door), options).await.unwrap();
    let kept = Kept::default();
    let first = net.node(&offer, 1, kept.sink());
    eventually("the stream stands", || offer.progress().sent > 9_000_000).await;
    let image = folder.path().join("image");
    std::fs::write(&image, vec![0xaa; LENGTH as usize]).unwrap();
    let sink = dd::into(&image, &dd::IntoOptions::default()).unwrap();
    let late = tokio::spawn(receive(Box::new(sink), net.receiving(&offer, 2), Cancel::new()));
    eventually("it joins", || offer.progress().nodes.len() == 2).await;
    late.abort();
    eventually("it is missed", || offer.progress().nodes[1].failure.is_some()).await;
    door.open();
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.lossy");
    assert!(fault.message.starts_with("1 of 2 nodes have no complete copy: node2 "), "{}", fault.message);
    ends(first).await.unwrap().unwrap();
    assert!(kept.whole(LENGTH));
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_back_and_is_lost_before_its_turn_holds_up_nobody() {
    let net = Net(115);
    let folder = crate::harness::scratch();
    let (said, door) = (Said::default(), Door::default());
    let options =
        OfferOptions { nodes: Some(3), slow: Slow::Evict, buffer: BUFFER, notes: notes(&said), ..net.offering() };
    let offer = Offer::open(source(folder.path(), LENGTH - 1, &door), options).await.unwrap();
    slow(folder.path());
    let kept = [Kept::default(), Kept::default(), Kept::default()];
    let node = |host: u8| {
        let faults = (host == 2).then(|| folder.path().to_path_buf());
        let options = ReceiveOptions { buffer: BUFFER, faults, ..net.receiving(&offer, host) };
        tokio::spawn(receive(kept[usize::from(host) - 1].sink(), options, Cancel::new()))
    };
    let [first, second, third] = [node(1), node(2), node(3)];
    let named = |words: &str| said.lock().unwrap().iter().any(|line| line.contains(words));
    eventually("it is back", || {
        let nodes = offer.progress().nodes;
        named("come back for the rest") && nodes.iter().all(|node| node.failure.is_none())
    })
    .await;
    second.abort();
    eventually("it is missed", || named("left before the start")).await;
    door.open();
    let fault = ends(offer.wait()).await.unwrap_err();
    assert_eq!(fault.kind, "chain.lossy");
    assert!(fault.message.starts_with("1 of 3 nodes have no complete copy: node2 "), "{}", fault.message);
    for (task, kept) in [(first, &kept[0]), (third, &kept[2])] {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(LENGTH));
    }
    net.clean().await;
}

/// All memory in front is full of what the lost node had not taken; the disk behind it wants nothing of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_joined_behind_a_node_that_stops_and_is_lost_gets_it_all() {
    let net = Net(119);
    let folder = crate::harness::scratch();
    let door = Door::default();
    door.open();
    let options = OfferOptions { nodes: Some(1), buffer: BUFFER, ..net.offering() };
    let offer = Offer::open(source(folder.path(), 0, &door), options).await.unwrap();
    std::fs::write(folder.path().join("wedge"), "").unwrap();
    let faults = Some(folder.path().to_path_buf());
    let options = ReceiveOptions { buffer: BUFFER, stall: PATIENCE, faults, ..net.receiving(&offer, 1) };
    let first = tokio::spawn(receive(Kept::default().sink(), options, Cancel::new()));
    let full = || (offer.progress().phase == Phase::Streaming).then(|| offer.progress().sent);
    eventually("it streams", || full().is_some_and(|sent| sent > 0)).await;
    let mut sent = 0;
    while full() != Some(sent) {
        sent = offer.progress().sent;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(sent < LENGTH / 2, "all memory is full at {sent}");
    let image = folder.path().join("image");
    let sink = dd::into(&image, &dd::IntoOptions::default()).unwrap();
    let late = tokio::spawn(receive(Box::new(sink), net.receiving(&offer, 2), Cancel::new()));
    eventually("it joins", || offer.progress().nodes.len() == 2).await;
    first.abort();
    let fault = ends(offer.wait()).await.unwrap_err();
    assert!(fault.message.starts_with("1 of 2 nodes have no complete copy: node1 "), "{}", fault.message);
    ends(late).await.unwrap().unwrap();
    assert!(std::fs::read(&image).unwrap() == bytes(LENGTH));
    net.clean().await;
}
