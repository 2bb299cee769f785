//! Everybody gets the bytes, all of them, in every shape of chain.

use std::time::{Duration, Instant};

use kar::host::Cancel;
use kar::kit::chain::{Compress, Offer, OfferOptions, ReceiveOptions, Target, receive};

use crate::parts::{Kept, Net, PATIENCE, Pattern, bytes, ends};

async fn all_whole(net: Net, length: u64, nodes: u8, change: impl FnOnce(&mut OfferOptions)) {
    let mut options = net.offering();
    options.nodes = Some(nodes.into());
    change(&mut options);
    let offer = Offer::open(Pattern::of(length), options).await.unwrap();
    let nodes = net.nodes(&offer, nodes);
    let report = ends(offer.wait()).await.unwrap();
    let digest = blake3::hash(&bytes(length)).to_hex().to_string();
    assert_eq!((report.bytes, report.complete, report.digest.as_ref()), (length, nodes.len(), Some(&digest)));
    for (at, (kept, task)) in nodes.into_iter().enumerate() {
        let own = ends(task).await.unwrap().unwrap();
        assert!(kept.whole(length), "node {at}");
        assert_eq!((own.bytes, own.digest.as_ref(), own.position), (length, Some(&digest), at + 1));
        let told = &report.nodes[at];
        assert_eq!((told.name.as_str(), told.bytes, told.entries), (own.name.as_str(), length, 7));
        assert_eq!((told.digest.as_ref(), &told.failure), (Some(&digest), &None));
        assert_eq!(told.warnings, ["a socket was skipped"]);
    }
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node() {
    all_whole(Net(1), 9_000_001, 1, |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_with_the_least_memory() {
    all_whole(Net(2), 9_000_001, 3, |options| options.buffer = 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes() {
    all_whole(Net(3), 9_000_001, 8, |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_odd_lengths() {
    for length in [0, 1, 512 << 10, (512 << 10) + 1] {
        all_whole(Net(4), length, 2, |_| ()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_up_to_four() {
    for arity in 1..=4 {
        all_whole(Net(5), 2_000_003, 7, |options| options.arity = arity).await;
    }
    for arity in [0, 5] {
        let refused = Offer::open(Pattern::of(1), OfferOptions { arity, ..Net(5).offering() }).await;
        assert_eq!(refused.err().unwrap().kind, "chain.option");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_on_the_wire() {
    for compress in [Compress::Level(1), Compress::Level(19), Compress::Auto] {
        all_whole(Net(8), 3_000_001, 3, |options| options.compress = compress).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn released_together_and_one_after_the_other() {
    for pause in [0, 300] {
        let net = Net(9);
        let pause = Duration::from_millis(pause);
        let options = OfferOptions { nodes: Some(3), release: Some(pause), ..net.offering() };
        let offer = Offer::open(Pattern::of(100_000), options).await.unwrap();
        let nodes = net.nodes(&offer, 3);
        let mut left = Vec::new();
        for (kept, task) in nodes {
            ends(task).await.unwrap().unwrap();
            assert!(kept.whole(100_000));
            left.push(Instant::now());
            assert!(offer.progress().nodes.iter().all(|node| node.done), "all are through when the first one leaves");
        }
        // At least so far apart; not more is a matter of the moment.
        assert!(left.windows(2).all(|pair| pair[1] - pair[0] >= pause.mul_f64(0.5)));
        ends(offer.wait()).await.unwrap();
        net.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_all_know() {
    let net = Net(6);
    let options = OfferOptions { nodes: Some(2), token: Some("sesame".into()), ..net.offering() };
    let offer = Offer::open(Pattern::of(3_000_000), options).await.unwrap();
    let kept = [Kept::default(), Kept::default()];
    let node = |host: u8| {
        let options = ReceiveOptions { token: Some("sesame".into()), ..net.receiving(&offer, host) };
        tokio::spawn(receive(kept[usize::from(host) - 1].sink(), options, Cancel::new()))
    };
    let tasks = [node(1), node(2)];
    assert_eq!(ends(offer.wait()).await.unwrap().complete, 2);
    for task in tasks {
        ends(task).await.unwrap().unwrap();
    }
    assert!(kept.iter().all(|kept| kept.whole(3_000_000)));
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_ipv6() {
    let options = OfferOptions {
        nodes: Some(2),
        bind: (Some("::1".parse().unwrap()), Some(0)),
        ..OfferOptions::new(&Net(7).session())
    };
    let offer = Offer::open(Pattern::of(3_000_000), options).await.unwrap();
    let kept = [Kept::default(), Kept::default()];
    let tasks = kept.clone().map(|kept| {
        let target = Target::Server(offer.address().to_string(), Some(Net(7).session()));
        let options = ReceiveOptions { timeout: PATIENCE, ..ReceiveOptions::new(target) };
        tokio::spawn(receive(kept.sink(), options, Cancel::new()))
    });
    let report = ends(offer.wait()).await.unwrap();
    assert_eq!(report.nodes[0].address, "::1");
    for task in tasks {
        ends(task).await.unwrap().unwrap();
    }
    assert!(kept.iter().all(|kept| kept.whole(3_000_000)));
}
