//! Why the TFTP server is our own and not async-tftp's: the same clients on both.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_tftp::server::TftpServerBuilder;
use kar::host::{Host, Silent};
use kar::kit::tftp::{Server, Settings};

use crate::harness::scratch;

/// A boot ROM's way to a file: it asks for the size, ends that by ERROR 8, and asks again from the same port. Returns
/// what it hears next, and whether that is about the second question.
fn probe(server: SocketAddr) -> (Vec<u8>, bool) {
    let rom = UdpSocket::bind("127.0.0.1:0").unwrap();
    rom.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let hear = || {
        let mut buffer = vec![0; 2048];
        let (length, from) = rom.recv_from(&mut buffer).expect("the server says something");
        buffer.truncate(length);
        (buffer, from)
    };
    rom.send_to(b"\0\x01file\0octet\0tsize\x000\0", server).unwrap();
    let (said, first) = hear();
    assert_eq!(said, b"\0\x06tsize\x005000\0");
    rom.send_to(b"\0\x05\0\x08enough\0", first).unwrap();
    rom.send_to(b"\0\x01file\0octet\0blksize\x001456\0", server).unwrap();
    let (said, from) = hear();
    (said, from != first)
}

fn file(dir: &Path) {
    std::fs::write(dir.join("file"), crate::noise(5000)).unwrap();
}

#[test]
fn a_rom_that_asks_again_from_its_port_is_answered_at_once() {
    let dir = scratch();
    file(dir.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let settings =
        Settings { bind: vec!["127.0.0.1:0".parse().unwrap()], root: Some(dir.path().into()), ..Settings::default() };
    let server = Server::start(&host, settings).unwrap();
    assert_eq!(probe(server.addresses[0]), (b"\0\x06blksize\x001456\0".to_vec(), true));
}

/// async-tftp takes no notice of the ERROR, holds on to the first question, and drops the second: what the ROM hears
/// next is the first answer again, from the port that it has done with. When this fails, async-tftp has been mended.
#[test]
fn async_tftp_leaves_such_a_rom_with_its_first_answer() {
    let dir = scratch();
    file(dir.path());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let root = dir.path().to_path_buf();
    std::thread::spawn(move || {
        async_io::block_on(async {
            let builder = TftpServerBuilder::with_dir_ro(root).unwrap().std_socket(socket).unwrap();
            let _ = builder.build().await.unwrap().serve().await;
        });
    });
    assert_eq!(probe(address), (b"\0\x06tsize\x005000\0".to_vec(), false));
}
