//! Packets as bytes: what odd clients and bad networks do to the server.

use super::*;

/// A client in the raw: packets as bytes.
struct Raw(std::net::UdpSocket, std::net::SocketAddr);

impl Raw {
    fn new(address: &str) -> Raw {
        let server: std::net::SocketAddr = address.parse().unwrap();
        let local = if server.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = std::net::UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Raw(socket, server)
    }

    fn ask(&self, file: &str, options: &[(&str, &str)]) {
        let options = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let packet = packet::Packet::Read { file: file.into(), mode: packet::Mode::Octet, options };
        self.0.send_to(&packet.encode(), self.1).unwrap();
    }

    fn hear(&self) -> (Vec<u8>, std::net::SocketAddr) {
        let mut buffer = vec![0; 70_000];
        let (length, from) = self.0.recv_from(&mut buffer).unwrap();
        buffer.truncate(length);
        (buffer, from)
    }

    fn say(&self, bytes: &[u8], to: std::net::SocketAddr) {
        self.0.send_to(bytes, to).unwrap();
    }
}

#[test]
fn a_question_for_the_size_ended_by_an_error_is_followed_by_the_file() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), noise(5000)).unwrap();
    let (server, address) = rig.serve(None, None, false);
    let raw = Raw::new(&address);
    // The second time with the very same words: the packets of both may cross.
    for options in [&[("blksize", "1456")][..], &[("tsize", "0")], &[("tsize", "0")]] {
        raw.ask("file", &[("tsize", "0")]);
        let (said, from) = raw.hear();
        assert_eq!(said, b"\x00\x06tsize\x005000\x00");
        raw.say(b"\x00\x05\x00\x08stop\x00", from);
        raw.ask("file", options);
        let (said, from) = raw.hear();
        assert_eq!(said[..2], [0, 6]);
        raw.say(&[0, 4, 0, 0], from);
        assert_eq!(raw.hear().0[..4], [0, 3, 0, 1]);
        raw.say(b"\x00\x05\x00\x00enough\x00", from);
    }
    let mut ends = Vec::new();
    while ends.len() < 6 {
        let event = rig.runtime.block_on(server.events().next()).unwrap();
        if event.event != "started" {
            ends.push(event);
        }
    }
    assert!(ends.iter().all(|event| event.event == "aborted"), "{ends:?}");
    assert!(ends.iter().any(|event| event.message.contains("stop (error 8)")), "{ends:?}");
}

#[test]
fn lost_and_doubled_packets_are_made_good() {
    let rig = rig();
    let data = noise(512 * 20 + 7);
    fs::write(rig.dir.path().join("file"), &data).unwrap();
    let (_server, address) = rig.serve(None, None, true);
    for window in [1u16, 4] {
        let raw = Raw::new(&address);
        raw.ask("file", &[("windowsize", &window.to_string()), ("timeout", "1")]);
        let (_, from) = raw.hear();
        raw.say(&[0, 4, 0, 0], from);
        let (mut got, mut next, mut lost) = (Vec::new(), 1u16, false);
        let mut open = 0;
        loop {
            let (packet, _) = raw.hear();
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            // Block 6 is lost once; the server hears of it, or sends it again by its timer.
            if number == 6 && !std::mem::replace(&mut lost, true) {
                continue;
            }
            if number != next {
                raw.say(&[0, 4, 0, (next - 1) as u8], from);
                open = 0;
                continue;
            }
            got.extend_from_slice(&packet[4..]);
            (next, open) = (next + 1, open + 1);
            let end = packet.len() < 516;
            if end || open == window {
                open = 0;
                // Doubled on the wire: no block is sent twice for it.
                raw.say(&[0, 4, 0, number as u8], from);
                if window == 1 {
                    raw.say(&[0, 4, 0, number as u8], from);
                }
            }
            if end {
                break;
            }
        }
        assert!(got == data, "window {window}: {} bytes", got.len());
    }
    // The last acknowledgement of a put is lost: it is said again.
    let raw = Raw::new(&address);
    raw.0.send_to(b"\x00\x02up\x00octet\x00", raw.1).unwrap();
    let (said, from) = raw.hear();
    assert_eq!(said, [0, 4, 0, 0]);
    for _ in 0..3 {
        raw.say(b"\x00\x03\x00\x01hello", from);
        assert_eq!(raw.hear().0, [0, 4, 0, 1]);
        stored(&rig.dir.path().join("up"), b"hello");
    }
}

#[test]
fn several_addresses_of_both_families_answer_from_where_they_were_asked() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), "x").unwrap();
    let bind = ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"].map(|text| text.parse().unwrap()).to_vec();
    let settings = Settings { bind, root: Some(rig.dir.path().into()), ..Settings::default() };
    let server = Server::start(&rig.host, settings).unwrap();
    let port = |n: usize| server.addresses[n].port();
    for (address, n) in
        [("127.0.0.1", 0), ("127.0.0.1", 1), ("127.9.8.7", 1), ("[::1]", 2), ("127.0.0.1", 2), ("127.9.8.7", 2)]
    {
        let address = format!("{address}:{}", port(n));
        assert_eq!(rig.get(&address, "file").unwrap(), b"x", "{address}");
    }
    server.stop();
    for address in &server.addresses {
        std::net::UdpSocket::bind(address).expect("the port is free again");
    }
}

#[test]
fn text_mode_puts_carriage_returns_in_and_takes_them_out() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), "a\nb\rc").unwrap();
    let (_server, address) = rig.serve(None, None, true);
    let raw = Raw::new(&address);
    raw.0.send_to(b"\x00\x01file\x00NetASCII\x00tsize\x000\x00", raw.1).unwrap();
    let (said, from) = raw.hear();
    assert_eq!(said, b"\x00\x06tsize\x007\x00");
    raw.say(&[0, 4, 0, 0], from);
    assert_eq!(raw.hear().0, b"\x00\x03\x00\x01a\r\nb\r\0c");
    raw.say(&[0, 4, 0, 1], from);
    let raw = Raw::new(&address);
    raw.0.send_to(b"\x00\x02up\x00netascii\x00", raw.1).unwrap();
    let (_, from) = raw.hear();
    raw.say(b"\x00\x03\x00\x01a\r\nb\r\0c", from);
    assert_eq!(raw.hear().0, [0, 4, 0, 1]);
    stored(&rig.dir.path().join("up"), b"a\nb\rc");
    let raw = Raw::new(&address);
    raw.0.send_to(b"\x00\x01file\x00mail\x00", raw.1).unwrap();
    assert_eq!(raw.hear().0[..4], [0, 5, 0, 2]);
}

#[test]
fn a_slow_closure_keeps_the_size_and_is_asked_once() {
    let rig = rig();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let read: Reads = Arc::new(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let _ = wait.lock().unwrap().recv();
        Ok(Read::Content(noise(5000).into()))
    });
    let (_server, address) = rig.serve(Some(read), None, false);
    let raw = Raw::new(&address);
    for _ in 0..3 {
        raw.ask("slow", &[("tsize", "0")]);
    }
    eventually("it was never asked", || count.load(std::sync::atomic::Ordering::SeqCst) == 1);
    release.send(()).unwrap();
    let (said, from) = raw.hear();
    assert_eq!(said, b"\x00\x06tsize\x005000\x00");
    raw.say(b"\x00\x05\x00\x00enough\x00", from);
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn places_are_bounded_and_given_back() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), noise(2000)).unwrap();
    let settings = Settings {
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        root: Some(rig.dir.path().into()),
        transfers: 4,
        longest: 3000,
        ..Settings::default()
    };
    let server = Server::start(&rig.host, settings).unwrap();
    let address = server.addresses[0].to_string();
    // Two from this address, half of four.
    let busy: Vec<Raw> = (0..2).map(|_| Raw::new(&address)).collect();
    let from: Vec<_> = busy
        .iter()
        .map(|raw| {
            raw.ask("file", &[]);
            raw.hear().1
        })
        .collect();
    let options = Options { timeout: Duration::from_millis(50), retries: 2, ..Options::default() };
    let fault = rig.runtime.block_on(client::get_bytes(&address, "file", &options)).unwrap_err();
    assert_eq!(fault.kind, "tftp.timeout");
    busy.iter().zip(&from).for_each(|(raw, from)| raw.say(b"\x00\x05\x00\x00enough\x00", *from));
    assert_eq!(rig.get(&address, "file").unwrap(), noise(2000));
    fs::write(rig.dir.path().join("file"), noise(3001)).unwrap();
    assert_eq!(rig.get(&address, "file").unwrap_err().kind, "tftp.refused");
}

#[test]
fn a_server_that_stops_tells_its_clients() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), noise(5000)).unwrap();
    let (server, address) = rig.serve(None, None, false);
    let raw = Raw::new(&address);
    raw.ask("file", &[]);
    raw.hear();
    server.stop();
    let said = std::iter::repeat_with(|| raw.hear().0).find(|packet| packet[1] == 5).unwrap();
    assert_eq!(said[..4], [0, 5, 0, 0]);
}

#[test]
fn a_window_of_writes_arrives_whole() {
    let rig = rig();
    let (_server, address) = rig.serve(None, None, true);
    for (windowsize, length) in [(1, 5000), (4, 512 * 8), (64, 600_000)] {
        let options = Options { blksize: 512, windowsize, ..Options::default() };
        let data = noise(length);
        let report = rig.runtime.block_on(client::put(&address, "up", &options, &mut data.as_slice(), length as u64));
        assert_eq!(report.unwrap().windowsize, windowsize);
        stored(&rig.dir.path().join("up"), &data);
    }
}

/// Whatever comes to either port, the server goes on.
#[test]
fn nonsense_harms_nobody() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), noise(700)).unwrap();
    let (_server, address) = rig.serve(None, None, true);
    let raw = Raw::new(&address);
    let mut seed = 1u32;
    for round in 0..600u32 {
        let mut bytes = noise(2 + (round as usize * 7) % 90);
        for byte in &mut bytes {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (seed >> 24) as u8;
        }
        bytes[0] = 0;
        bytes[1] %= 8;
        if round % 3 == 0 {
            bytes.extend(b"\0octet\0blksize\x0099999999999999999999\0windowsize\0-1\0tsize");
        }
        raw.say(&bytes, raw.1);
    }
    assert_eq!(rig.get(&address, "file").unwrap(), noise(700));
}
