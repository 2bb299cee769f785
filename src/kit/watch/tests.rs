use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::wire::{VERSION, write_line};
use super::*;
use crate::host::Cancel;

const LONG: Duration = Duration::from_secs(20);

async fn watch(silent: Duration, boot: Duration) -> Watch {
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Watch::start(Options { bind, silent, boot }, Cancel::new()).await.unwrap()
}

async fn next(watch: &Watch) -> Happening {
    tokio::time::timeout(LONG, watch.next()).await.expect("something happens").expect("it goes on")
}

/// Between teller and server: passes bytes on until it is told to break all that is open.
async fn wire(to: SocketAddr) -> (SocketAddr, tokio::sync::watch::Sender<u32>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, cuts) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (address, cut)
}

#[tokio::test]
async fn nothing_is_lost_or_told_twice_when_the_network_blinks() {
    let watch = watch(LONG, LONG).await;
    let (address, cut) = wire(watch.address()).await;
    let token = watch.admit("node1", "install");
    assert_eq!(next(&watch).await.event, "boot");
    let teller = Teller::default();
    // Said before there is a network.
    teller.say(Kind::Info, "line 0");
    let telling = tokio::spawn(teller.clone().tell(address.to_string(), token));
    for number in 1..200 {
        teller.say(Kind::Info, &format!("line {number}"));
        if number % 20 == 0 {
            cut.send_modify(|cuts| *cuts += 1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    teller.say_with(Kind::Done, "", serde_json::json!({ "bytes": 7 }));
    for number in 0..200 {
        assert_eq!(next(&watch).await.text, format!("line {number}"));
    }
    let done = next(&watch).await;
    assert_eq!((done.event, &done.report["bytes"]), ("done", &serde_json::json!(7)));
    teller.flush(LONG).await;
    let node = &watch.nodes()[0];
    assert_eq!((node.state, &node.report["bytes"]), (State::Done, &serde_json::json!(7)));
    telling.abort();
}

#[tokio::test]
async fn a_silent_node_is_named_and_so_is_its_return() {
    let watch = watch(Duration::from_millis(300), LONG).await;
    let token = watch.admit("node1", "install");
    next(&watch).await;
    let teller = Teller::default();
    teller.say(Kind::Step, "partitions");
    let telling = tokio::spawn(teller.clone().tell(watch.address().to_string(), token.clone()));
    assert_eq!(next(&watch).await.event, "step");
    teller.flush(LONG).await;
    telling.abort();
    let silent = next(&watch).await;
    assert_eq!((silent.event, silent.node.as_str()), ("silent", "node1"));
    assert!(silent.text.contains("partitions"), "{}", silent.text);
    let telling = tokio::spawn(teller.clone().tell(watch.address().to_string(), token));
    assert_eq!(next(&watch).await.event, "back");
    telling.abort();
}

#[tokio::test]
async fn a_machine_that_boots_and_never_speaks_is_named() {
    let watch = watch(LONG, Duration::from_millis(100)).await;
    watch.admit("node1", "install");
    next(&watch).await;
    let silent = next(&watch).await;
    assert_eq!(silent.event, "silent");
    assert!(silent.text.contains("since it was told to boot: install"), "{}", silent.text);
}

#[tokio::test]
async fn whoever_has_no_token_is_refused_and_harms_nobody() {
    let watch = watch(LONG, LONG).await;
    let token = watch.admit("node1", "install");
    next(&watch).await;
    let stranger = Teller::default();
    stranger.say(Kind::Failed, "not me");
    // It ends by itself: nothing is wanted of it.
    let refused = stranger.clone().tell(watch.address().to_string(), "guess".into());
    assert!(tokio::time::timeout(LONG, refused).await.unwrap().contains("of no boot"));
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"{}\n", &[b'x'; LINE + 2], b"\n"] {
        let mut stream = TcpStream::connect(watch.address()).await.unwrap();
        let _ = stream.write_all(noise).await;
    }
    let teller = Teller::default();
    teller.say(Kind::Info, "me");
    let telling = tokio::spawn(teller.clone().tell(watch.address().to_string(), token));
    assert_eq!(next(&watch).await.text, "me");
    telling.abort();
}

#[tokio::test]
async fn what_a_node_of_another_version_says_is_missed() {
    let watch = watch(LONG, LONG).await;
    let token = watch.admit("node1", "install");
    next(&watch).await;
    let mut stream = TcpStream::connect(watch.address()).await.unwrap();
    let hello = FromNode::Hello { version: VERSION + 1, token, run: "1".into() };
    write_line(&mut stream, &hello).await.unwrap();
    let warning = next(&watch).await;
    assert_eq!((warning.event, warning.node.as_str()), ("warn", "node1"));
    assert!(warning.text.contains("nothing will be heard of it"), "{}", warning.text);
}

#[tokio::test]
async fn a_known_node_that_speaks_no_line_is_named() {
    let watch = watch(LONG, LONG).await;
    let token = watch.admit("node1", "install");
    next(&watch).await;
    let mut stream = TcpStream::connect(watch.address()).await.unwrap();
    write_line(&mut stream, &FromNode::Hello { version: VERSION, token, run: "1".into() }).await.unwrap();
    stream.write_all(b"hello?\n").await.unwrap();
    let warning = next(&watch).await;
    assert_eq!((warning.event, warning.node.as_str()), ("warn", "node1"));
    assert!(warning.text.contains("no line of a node"), "{}", warning.text);
}

/// The work of a boot is tried again, under the token of that boot: it is watched as the first try was.
#[tokio::test]
async fn a_second_try_that_falls_silent_is_named() {
    let watch = watch(Duration::from_millis(300), LONG).await;
    let token = watch.admit("node1", "install");
    next(&watch).await;
    for (kind, text, event) in [(Kind::Failed, "no disk", "failed"), (Kind::Step, "partitions", "step")] {
        let teller = Teller::default();
        teller.say(kind, text);
        let telling = tokio::spawn(teller.clone().tell(watch.address().to_string(), token.clone()));
        assert_eq!(next(&watch).await.event, event);
        teller.flush(LONG).await;
        telling.abort();
    }
    assert_eq!(next(&watch).await.event, "silent");
}

#[tokio::test]
async fn of_a_report_that_is_too_long_the_rest_arrives() {
    let watch = watch(LONG, LONG).await;
    let token = watch.admit("node1", "install");
    next(&watch).await;
    let teller = Teller::default();
    let warnings = vec!["x".repeat(100); 1000];
    teller.say_with(Kind::Done, "", serde_json::json!({ "bytes": 7, "warnings": warnings }));
    let telling = tokio::spawn(teller.clone().tell(watch.address().to_string(), token));
    assert!(next(&watch).await.text.ends_with("left out of its report: warnings"));
    assert_eq!(next(&watch).await.report, serde_json::json!({ "bytes": 7 }));
    telling.abort();
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_from_node(&bytes);
    }

    #[test]
    fn a_line_says_what_was_said(number in any::<u64>(), text in any::<String>(), at in 0.0..1e9f64) {
        let said = FromNode::Event(Event { number, at, kind: Kind::Warn, text, report: serde_json::Value::Null });
        let line = serde_json::to_vec(&said).unwrap();
        prop_assert!(!line.contains(&b'\n'));
        let FromNode::Event(read) = parse_from_node(&line).unwrap() else { panic!("an event") };
        let FromNode::Event(said) = said else { panic!("an event") };
        prop_assert!((read.at - said.at).abs() < 1e-6);
        prop_assert_eq!(Event { at: said.at, ..read }, said);
    }
}
