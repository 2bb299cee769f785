//! Encrypted sessions: who has the token takes part as in any other, who has not gets nowhere.

use std::io::{Read, Write};
use std::net::TcpStream;

use kar::host::{Cancel, Result};
use kar::kit::chain::frame::{self, HEADER};
use kar::kit::chain::message::{Hello, Message, Role};
use kar::kit::chain::{
    Compress, KnockOptions, NodeReport, Offer, OfferOptions, ReceiveOptions, Target, receive, start,
};
use tokio::task::JoinHandle;

use crate::parts::{Door, Kept, Net, PATIENCE, Pattern, TOKEN, ends, eventually, listening_on};

const LENGTH: u64 = 6_000_001;

fn offering(net: Net, nodes: usize) -> OfferOptions {
    OfferOptions { nodes: Some(nodes), ..net.sealed_offering() }
}

fn node(net: Net, offer: &Offer, host: u8) -> (Kept, JoinHandle<Result<NodeReport>>) {
    let kept = Kept::default();
    let task = tokio::spawn(receive(kept.sink(), net.sealed_receiving(offer, host), Cancel::new()));
    (kept, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_chain_packs_branches_and_heals() {
    let net = Net(100);
    for (arity, compress) in [(1, Compress::Off), (2, Compress::Level(1))] {
        let door = Door::default();
        let options = OfferOptions { arity, compress, ..offering(net, 4) };
        let offer = Offer::open(Pattern::held(LENGTH, 3_000_000, &door), options).await.unwrap();
        let nodes: Vec<_> = (1..=4).map(|host| node(net, &offer, host)).collect();
        eventually("bytes arrive", || offer.progress().nodes.iter().filter(|n| n.bytes > 0).count() == 4).await;
        nodes[0].1.abort();
        eventually("it is noticed", || offer.progress().nodes[0].failure.is_some()).await;
        door.open();
        assert_eq!(ends(offer.wait()).await.unwrap_err().report.unwrap()["complete"], 3);
        for (kept, task) in nodes.into_iter().skip(1) {
            ends(task).await.unwrap().unwrap();
            assert!(kept.whole(LENGTH));
        }
        net.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_and_who_says_start_is_encrypted_too() {
    let net = Net(101);
    let folder = crate::harness::scratch();
    let door = Door::default();
    let held = Pattern::held(LENGTH, LENGTH - 1, &door);
    let source = Box::new(kar::kit::chain::spool(held, &folder.path().join("spool")).unwrap());
    let offer = Offer::open(source, OfferOptions { nodes: None, ..offering(net, 1) }).await.unwrap();
    let early = node(net, &offer, 1);
    eventually("it joins", || offer.joined() == ["node1"]).await;
    let knock = |token: &str, encrypt| {
        let target = Target::Server(offer.address().to_string(), Some(net.session()));
        start(KnockOptions { target, token: Some(token.into()), encrypt, timeout: PATIENCE })
    };
    assert_eq!(ends(knock("guess", true)).await.unwrap_err().kind, "chain.token");
    assert_eq!(ends(knock(TOKEN, false)).await.unwrap_err().kind, "chain.encrypt");
    ends(knock(TOKEN, true)).await.unwrap();
    eventually("it starts", || offer.progress().nodes.iter().any(|node| node.bytes > 0)).await;
    let late = node(net, &offer, 2);
    eventually("it is fed", || offer.progress().nodes.iter().filter(|node| node.bytes > 0).count() == 2).await;
    door.open();
    assert_eq!(ends(offer.wait()).await.unwrap().complete, 2);
    for (kept, task) in [early, late] {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(LENGTH));
    }
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_there_is_no_session() {
    let net = Net(102);
    let door = Door::default();
    let offer = Offer::open(Pattern::held(LENGTH, 3_000_000, &door), offering(net, 1)).await.unwrap();
    for (token, encrypt, kind) in [
        (Some("guess"), true, "chain.token"),
        (Some(TOKEN), false, "chain.encrypt"),
        (None, false, "chain.encrypt"),
        (None, true, "chain.option"),
    ] {
        let options = ReceiveOptions { token: token.map(String::from), encrypt, ..net.receiving(&offer, 9) };
        let kept = Kept::default();
        let fault = ends(receive(kept.sink(), options, Cancel::new())).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(!kept.finished());
    }
    let (kept, task) = node(net, &offer, 1);
    eventually("bytes arrive", || offer.progress().nodes.iter().any(|n| n.bytes > 0)).await;
    // Nor does a node's data port listen to anybody who does not encrypt.
    let ports = listening_on(net, &offer);
    assert_eq!(ports.len(), 1);
    for port in ports.into_iter().chain([offer.address()]) {
        let hello = Hello { session: Some(net.session()), port: 9, ..Hello::new(Role::Link, "n".into()) };
        let mut stranger = TcpStream::connect(port).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        stranger.write_all(&Message::Hello(hello).frame()).unwrap();
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).unwrap();
        let length = HEADER + u32::from_be_bytes(answer[16..20].try_into().unwrap()) as usize;
        let (_, payload) = frame::decode(&answer[..length]).unwrap();
        let Some(Message::Refused { kind, .. }) = Message::parse(payload) else { panic!("{answer:?}") };
        assert_eq!(kind, "chain.encrypt");
    }
    door.open();
    ends(offer.wait()).await.unwrap();
    ends(task).await.unwrap().unwrap();
    assert!(kept.whole(LENGTH));
    net.clean().await;

    let plain = OfferOptions { token: Some(TOKEN.into()), ..net.offering() };
    let offer = Offer::open(Pattern::of(10), plain).await.unwrap();
    let fault =
        ends(receive(Kept::default().sink(), net.sealed_receiving(&offer, 1), Cancel::new())).await.unwrap_err();
    assert_eq!(fault.kind, "chain.encrypt", "{fault}");
    let nobody = OfferOptions { token: None, ..offering(net, 1) };
    assert_eq!(Offer::open(Pattern::of(10), nobody).await.err().unwrap().kind, "chain.option");
    ends(offer.stop()).await;
    net.clean().await;
}
