//! The harness itself: a test that stands on a broken one proves nothing.

mod harness;

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use harness::{eventually, leftovers::leftovers, netns::Net, scratch};

#[test]
fn nodes_reach_each_other_and_vanish_with_the_net() {
    let net = Net::new("self", 2);
    let socket = net.inside(1, || UdpSocket::bind("10.77.0.1:5000").unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    net.inside(2, || UdpSocket::bind("10.77.0.2:0").unwrap().send_to(b"hello", "10.77.0.1:5000").unwrap());
    let mut buffer = [0; 16];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from.ip().to_string()), (&b"hello"[..], net.address(2)));

    let child = net.background(2, "sleep", &["1000"]);
    let space = net.space(2);
    drop(net);
    assert!(!std::path::Path::new(&format!("/proc/{child}")).exists());
    assert!(!std::path::Path::new("/run/netns").join(space).exists());
}

#[test]
fn leftovers_are_seen() {
    let folder = scratch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = format!("process {} listens on tcp port {port}", std::process::id());
    assert!(leftovers(folder.path(), Some(std::process::id())).contains(&line));
    drop(listener);
    eventually(Duration::from_secs(5), "the port is free", || {
        !leftovers(folder.path(), Some(std::process::id())).contains(&line)
    });
    assert_eq!(leftovers(folder.path(), None), Vec::<String>::new());
}
