//! Whoever does not belong has no effect.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kar::host::Cancel;
use kar::kit::chain::frame::{self, Kind};
use kar::kit::chain::message::{Hello, Message, Role};
use kar::kit::chain::{Notes, Offer, OfferOptions, PORT, ReceiveOptions, Target, receive};

use crate::parts::{Door, Kept, Net, PATIENCE, Pattern, ends, eventually, listening_on};

const LENGTH: u64 = 12_000_001;

fn hello(role: Role, session: Option<&str>) -> Vec<u8> {
    let session = session.map(String::from);
    let name = Some("\u{1b}[31mred".into());
    Message::Hello(Hello { session, name, port: 9, epoch: u64::MAX, ..Hello::new(role, "n".into()) }).frame()
}

/// What strangers say: garbage, half words, words of tomorrow, words without end, words in the wrong place.
fn sayings(session: &str) -> Vec<Vec<u8>> {
    let mut tomorrow = hello(Role::Node, None);
    tomorrow[4] = 9;
    let mut endless = frame::encode(Kind::Message, 0, b"{}");
    endless[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    let half = hello(Role::Node, Some(session));
    let mut bent = hello(Role::Node, Some(session));
    bent[30] ^= 1;
    let mut all = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        tomorrow,
        endless,
        half[..half.len() / 2].to_vec(),
        bent,
        hello(Role::Link, Some(session)),
        hello(Role::Node, Some("another")),
        frame::encode(Kind::Data, 0, &[7; 1000]),
        frame::encode(Kind::End, 0, &[7; 32]),
        frame::encode(Kind::Ack, u64::MAX, &[]),
        Message::Bye.frame(),
        frame::encode(Kind::Message, 0, b"{\"is\":\"hello\"}"),
        frame::encode(Kind::Message, 0, &[b'['; 60_000]),
    ];
    // A hello that is right, and then a lie.
    for role in [Role::Node, Role::Link] {
        let mut lie = hello(role, Some(session));
        lie.extend(Message::Proof { proof: "0".repeat(64) }.frame());
        all.push(lie);
    }
    all
}

/// Says each to a port; the first half of them stays connected as long as what is returned lives.
fn knock(to: SocketAddr, session: &str) -> Vec<TcpStream> {
    sayings(session)
        .into_iter()
        .map(|words| {
            let mut stream = TcpStream::connect(to).unwrap();
            let _ = stream.write_all(&words);
            stream
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_on_every_port_change_nothing() {
    let net = Net(80);
    let door = Door::default();
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = said.clone();
    let notes: Notes = Arc::new(move |_, text| heard.lock().unwrap().push(text.into()));
    let options = OfferOptions { nodes: Some(3), notes, ..net.offering() };
    let offer = Offer::open(Pattern::held(LENGTH, 4_000_000, &door), options).await.unwrap();
    let mut guests = knock(offer.address(), &net.session());
    let nodes = net.nodes(&offer, 3);
    eventually("bytes arrive", || offer.progress().nodes.iter().filter(|n| n.bytes > 0).count() == 3).await;
    let ports = listening_on(net, &offer);
    assert_eq!(ports.len(), 3, "each node has its data port");
    for port in ports {
        guests.extend(knock(port, &net.session()));
    }
    guests.extend(knock(offer.address(), &net.session()));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for words in sayings(&net.session()).iter().filter(|words| words.len() < 60_000) {
        udp.send_to(words, ("127.0.0.1", PORT)).unwrap();
    }
    door.open();
    let report = ends(offer.wait()).await.unwrap();
    assert_eq!((report.complete, report.nodes.len()), (3, 3));
    for (kept, task) in nodes {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(LENGTH));
    }
    drop(guests);
    let said = said.lock().unwrap().clone();
    assert!(said.iter().any(|line| line.contains("not let in: not a chain's frame") || line.contains("no hello")));
    assert!(said.iter().any(|line| line.contains("speaks version 9, this is 2")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains('\u{1b}')));
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_holds_up_nobody() {
    let net = Net(81);
    let offer = net.offer(Pattern::of(1_000_000), 1).await;
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(offer.address()).unwrap()).collect();
    let nodes = net.nodes(&offer, 1);
    ends(offer.wait()).await.unwrap();
    for (kept, task) in nodes {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(1_000_000));
    }
    drop(silent);
    net.clean().await;
}

/// Joins with one thing wrong; gives the node's fault. The session goes on without it.
async fn refused(net: Net, change: impl FnOnce(&mut ReceiveOptions), note: &str) -> String {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = said.clone();
    let notes: Notes = Arc::new(move |_, text| heard.lock().unwrap().push(text.into()));
    let options = OfferOptions { token: Some("sesame".into()), notes, ..net.offering() };
    let offer = Offer::open(Pattern::of(10), options).await.unwrap();
    let mut options = net.receiving(&offer, 1);
    change(&mut options);
    let kept = Kept::default();
    let fault = ends(receive(kept.sink(), options, Cancel::new())).await.unwrap_err();
    assert!(kept.aborted() && offer.joined().is_empty());
    eventually("it is noted", || said.lock().unwrap().iter().any(|line| line.contains(note))).await;
    ends(offer.stop()).await;
    net.clean().await;
    fault.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_or_session_is_refused_in_words() {
    let net = Net(82);
    let none = refused(net, |_| (), "the token is not the one of this session").await;
    assert!(none.starts_with("chain.token: the server 127."), "{none}");
    let wrong = refused(net, |o| o.token = Some("guess".into()), "the token is not the one").await;
    assert!(wrong.starts_with("chain.token: "), "{wrong}");
    let other = |o: &mut ReceiveOptions| {
        let Target::Server(_, session) = &mut o.target else { unreachable!() };
        *session = Some("another".into());
    };
    let session = refused(net, other, "not `another`").await;
    let expected = format!("refused: the session here is `{}`, not `another`", net.session());
    assert!(session.starts_with("chain.session: ") && session.ends_with(&expected), "{session}");
}

/// A server from tomorrow, and one that only pretends to know the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_refuses_a_wrong_server() {
    let net = Net(83);
    let fake = |answers: Vec<Vec<u8>>| {
        let listener = std::net::TcpListener::bind((net.address(254), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            for answer in answers {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        (address, thread)
    };
    let mut tomorrow = frame::encode(Kind::Message, 0, b"words of tomorrow");
    tomorrow[4] = 9;
    let welcome = Message::Welcome { proof: "0".repeat(64), session: "x".into(), at: 0 }.frame();
    let challenge = Message::Challenge { nonce: "n".into() }.frame();
    for (answers, kind, words) in [
        (vec![tomorrow], "chain.version", "speaks version 9, this is 2"),
        (vec![challenge, welcome], "chain.token", "does not know the token"),
    ] {
        let (address, thread) = fake(answers);
        let target = Target::Server(address.to_string(), None);
        let options = ReceiveOptions { timeout: PATIENCE, token: Some("t".into()), ..ReceiveOptions::new(target) };
        let fault = ends(receive(Kept::default().sink(), options, Cancel::new())).await.unwrap_err();
        assert_eq!(fault.kind, kind);
        assert!(fault.message.contains(words), "{}", fault.message);
        thread.join().unwrap();
    }
    net.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_is_told() {
    let net = Net(84);
    let door = Door::default();
    let offer = net.offer(Pattern::held(LENGTH, 1_000_000, &door), 1).await;
    let nodes = net.nodes(&offer, 1);
    eventually("it starts", || offer.progress().nodes.iter().any(|n| n.bytes > 0)).await;
    let late = net.node(&offer, 2, Kept::default().sink());
    assert_eq!(ends(late).await.unwrap().unwrap_err().kind, "chain.late");
    door.open();
    assert_eq!(ends(offer.wait()).await.unwrap().complete, 1);
    for (kept, task) in nodes {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(LENGTH));
    }
    tokio::time::timeout(Duration::from_secs(30), net.clean()).await.unwrap();
}
