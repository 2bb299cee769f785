//! A chunk that is damaged on its way, past all checksums of the network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kar::host::Cancel;
use kar::kit::chain::frame::HEADER;
use kar::kit::chain::message::Message;
use kar::kit::chain::{OfferOptions, ReceiveOptions, Target, receive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::parts::{Kept, Net, PATIENCE, Pattern, ends};

const LENGTH: u64 = 12_000_001;

async fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Stands between a node and everybody else: the server knows the node by `own` alone. One byte of the first link's
/// data is another one behind it.
async fn between(listener: TcpListener, own: IpAddr, node: IpAddr, server: SocketAddr, links: Arc<AtomicUsize>) {
    let (mut guest, _) = listener.accept().await.unwrap();
    // The hello tells where the node takes data.
    let mut hello = vec![0; HEADER];
    guest.read_exact(&mut hello).await.unwrap();
    let length = u32::from_be_bytes(hello[16..20].try_into().unwrap()) as usize;
    hello.resize(HEADER + length, 0);
    guest.read_exact(&mut hello[HEADER..]).await.unwrap();
    let Some(Message::Hello(said)) = Message::parse(&hello[HEADER..]) else { panic!("no hello") };
    let data = TcpListener::bind((own, said.port)).await.unwrap();
    let mut host = connect(own, server).await;
    host.write_all(&hello).await.unwrap();
    tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut guest, &mut host).await;
    });
    loop {
        let (front, _) = data.accept().await.unwrap();
        let damage = links.fetch_add(1, Ordering::SeqCst) == 0;
        let back = connect(own, SocketAddr::new(node, said.port)).await;
        tokio::spawn(async move {
            let ((mut from, mut answers), (mut taken, mut to)) = (front.into_split(), back.into_split());
            let forth = async {
                let (mut buffer, mut passed) = (vec![0; 64 << 10], 0u64);
                while let Ok(read @ 1..) = from.read(&mut buffer).await {
                    if damage && (passed..passed + read as u64).contains(&5_000_000) {
                        buffer[(5_000_000 - passed) as usize] ^= 0x10;
                    }
                    passed += read as u64;
                    if to.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = forth => {}
                _ = copy(&mut taken, &mut answers) => {}
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_chunk_is_sent_again() {
    let net = Net(90);
    let own = net.address(200);
    let listener = TcpListener::bind((own, 0)).await.unwrap();
    let door = listener.local_addr().unwrap();
    let said: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let heard = said.clone();
    let notes: kar::kit::chain::Notes = Arc::new(move |_, text| heard.lock().unwrap().push(text.into()));
    let options = OfferOptions { nodes: Some(3), notes, ..net.offering() };
    let offer = kar::kit::chain::Offer::open(Pattern::of(LENGTH), options).await.unwrap();
    let links = Arc::new(AtomicUsize::new(0));
    let proxy = tokio::spawn(between(listener, own, net.address(2), offer.address(), links.clone()));
    let kept = [Kept::default(), Kept::default(), Kept::default()];
    let second = ReceiveOptions {
        name: Some("node2".into()),
        address: Some(net.address(2)),
        timeout: PATIENCE,
        ..ReceiveOptions::new(Target::Server(door.to_string(), None))
    };
    let tasks = [
        net.node(&offer, 1, kept[0].sink()),
        tokio::spawn(receive(kept[1].sink(), second, Cancel::new())),
        net.node(&offer, 250, kept[2].sink()),
    ];
    assert_eq!(ends(offer.wait()).await.unwrap().complete, 3);
    for (task, kept) in tasks.into_iter().zip(&kept) {
        ends(task).await.unwrap().unwrap();
        assert!(kept.whole(LENGTH));
    }
    assert!(links.load(Ordering::SeqCst) >= 2, "the link was made again");
    let said = said.lock().unwrap().clone();
    assert!(said.iter().any(|line| line.contains("node2") && line.contains("wrong checksum at")), "{said:?}");
    proxy.abort();
}
