//! The server and the client against each other, and against the worst of both, on the loopback.

mod client;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::host::{Fault, Host, Silent};
use crate::kit::served::{Read, Reads, Write, Writes};

struct Rig {
    runtime: tokio::runtime::Runtime,
    host: Host,
    dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    Rig { runtime, host, dir: tempfile::tempdir().unwrap() }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

#[track_caller]
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Rig {
    fn start(&self, settings: Settings) -> Server {
        let settings = Settings { root: Some(self.dir.path().into()), ..settings };
        Server::start(&self.host, settings).unwrap()
    }

    fn serve(&self) -> (Server, String) {
        let server = self.start(Settings { bind: local(), ..Settings::default() });
        let url = format!("http://{}", server.addresses[0]);
        (server, url)
    }

    fn get(&self, url: &str) -> crate::host::Result<Vec<u8>> {
        self.get_with(url, &Options { retries: 0, ..Options::default() })
    }

    fn get_with(&self, url: &str, options: &Options) -> crate::host::Result<Vec<u8>> {
        self.runtime.block_on(get_bytes(&self.host, &Fetch { url, sha256: None, options }))
    }

    fn put(&self, url: &str, data: &[u8]) -> crate::host::Result<Report> {
        let options = Options::default();
        self.runtime.block_on(put(Method::Put, url, Payload::Bytes(data.into()), &options))
    }

    fn write(&self, name: &str, data: &[u8]) {
        fs::write(self.dir.path().join(name), data).unwrap();
    }
}

fn local() -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().unwrap()]
}

/// What a server answers to these very bytes, until it closes or says nothing more.
fn raw(server: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn ask(server: &Server, method: &str, path: &str, more: &str) -> String {
    raw(server.addresses[0], &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n"))
}

#[test]
fn files_of_every_awkward_length_come_whole() {
    let rig = rig();
    let (_server, url) = rig.serve();
    for length in [0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, (3 << 20) + 7] {
        rig.write("file", &noise(length));
        assert!(rig.get(&format!("{url}/file")).unwrap() == noise(length), "{length}");
    }
}

#[test]
fn lengths_heads_and_ranges_are_right() {
    let rig = rig();
    let (server, _) = rig.serve();
    rig.write("kernel.efi", b"0123456789");
    let whole = ask(&server, "GET", "/kernel.efi", "");
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
    let head = ask(&server, "HEAD", "//kernel.efi", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    for answer in [&whole, &head] {
        assert_eq!(header(answer, "content-length"), Some("10"));
        assert_eq!(header(answer, "content-type"), Some("application/efi"));
        assert_eq!(header(answer, "transfer-encoding"), None);
    }
    let tag = header(&whole, "etag").unwrap();
    let date = header(&whole, "last-modified").unwrap();
    for (asked, status, body) in [
        ("Range: bytes=2-4\r\n".to_string(), "206", "234"),
        ("Range: bytes=-3\r\n".into(), "206", "789"),
        ("Range: bytes=10-\r\n".into(), "416", "the file is shorter\n"),
        ("Range: bytes=0-1,4-5\r\n".into(), "200", "0123456789"),
        (format!("Range: bytes=8-\r\nIf-Range: {tag}\r\n"), "206", "89"),
        (format!("Range: bytes=8-\r\nIf-Range: {date}\r\n"), "206", "89"),
        ("Range: bytes=8-\r\nIf-Range: \"other\"\r\n".into(), "200", "0123456789"),
        (format!("If-None-Match: \"a\", {tag}\r\n"), "304", ""),
        (format!("If-Modified-Since: {date}\r\n"), "304", ""),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n".into(), "200", "0123456789"),
    ] {
        let answer = ask(&server, "GET", "/kernel.efi", &asked);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{asked} {answer}");
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, body, "{asked}");
    }
    assert!(ask(&server, "GET", "/kernel.efi", "Range: bytes=2-4\r\n").contains("bytes 2-4/10"));
    let odd = ask(&server, "DELETE", "/kernel.efi", "");
    assert!(odd.starts_with("HTTP/1.1 405") && header(&odd, "allow").is_some());
    let old = raw(server.addresses[0], "GET /kernel.efi HTTP/1.0\r\n\r\n");
    assert!(old.contains("200 OK") && old.ends_with("0123456789"));
}

#[test]
fn nothing_outside_the_root_is_served_and_no_folder_listed() {
    let rig = rig();
    let top = rig.dir.path().join("top");
    fs::create_dir_all(top.join("folder")).unwrap();
    fs::write(top.join("inside"), "inside").unwrap();
    rig.write("secret", b"secret");
    symlink("../secret", top.join("out")).unwrap();
    symlink("inside", top.join("in")).unwrap();
    let server = Server::start(&rig.host, Settings { bind: local(), root: Some(top), ..Settings::default() }).unwrap();
    for path in ["/inside", "//inside", "/%2finside", "/in", "/./inside", "/folder%5c%2e/../x?", "/%69nside"] {
        let answer = ask(&server, "GET", path, "");
        let good = !path.contains("..");
        assert_eq!(answer.ends_with("inside"), good, "{path}: {answer}");
    }
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/..%5csecret",
        "/..\\secret",
        "/folder/../../secret",
        "/folder%2f%2e%2e%2f..%2fsecret",
        "/out",
        "/folder",
        "/",
        "/folder/",
        "/inside/x",
        "/%00",
        "/none",
        "/%c0%ae%c0%ae/secret",
    ] {
        let answer = ask(&server, "GET", path, "");
        assert!(!answer.contains("secret\n") && !answer.ends_with("secret"), "{path}: {answer}");
        assert!(
            ["403", "404", "400"].iter().any(|code| answer.starts_with(&format!("HTTP/1.1 {code}"))),
            "{path}: {answer}"
        );
    }
}

#[test]
fn closures_make_files_up_and_decide_on_uploads() {
    let rig = rig();
    fs::create_dir(rig.dir.path().join("steps")).unwrap();
    let real = rig.dir.path().join("real");
    fs::write(&real, "real").unwrap();
    let read: Reads = Arc::new(move |request| {
        let details = request.details.clone().unwrap_or_default();
        Ok(match request.path.as_str() {
            "boot" => {
                Read::Content(format!("{} {}", details.query["mac"], details.headers["x-node"]).into_bytes().into())
            }
            "alias" => Read::File(real.clone()),
            "hidden" => Read::Refuse,
            "broken" => return Err(Fault::new("script.thrown", "no")),
            _ => Read::Pass,
        })
    });
    let write: Writes =
        Arc::new(|request| Ok(if request.path.starts_with("steps/") { Write::Allow } else { Write::Refuse }));
    let server = rig.start(Settings {
        bind: local(),
        read: Some(read),
        write: Some(write),
        limit: 1 << 20,
        stall: Duration::from_millis(200),
        ..Settings::default()
    });
    let url = format!("http://{}", server.addresses[0]);
    let options = Options { headers: vec![("X-Node".into(), "n1".into())], retries: 0, ..Options::default() };
    assert_eq!(rig.get_with(&format!("{url}/boot?mac=52%3A54"), &options).unwrap(), b"52:54 n1");
    assert_eq!(rig.get(&format!("{url}/alias")).unwrap(), b"real");
    assert_eq!(rig.get(&format!("{url}/real")).unwrap(), b"real");
    for (name, kind) in [("hidden", "http.refused"), ("broken", "http.status"), ("none", "http.missing")] {
        assert_eq!(rig.get(&format!("{url}/{name}")).unwrap_err().kind, kind);
    }
    for length in [0, 1, 700_000] {
        rig.put(&format!("{url}/steps/n1"), &noise(length)).unwrap();
        assert!(fs::read(rig.dir.path().join("steps/n1")).unwrap() == noise(length));
    }
    assert_eq!(rig.put(&format!("{url}/other"), b"x").unwrap_err().kind, "http.refused");
    assert_eq!(rig.put(&format!("{url}/steps/%2e%2e/other"), b"x").unwrap_err().kind, "http.refused");
    assert_eq!(rig.put(&format!("{url}/steps/big"), &noise((1 << 20) + 1)).unwrap_err().kind, "http.full");
    // Too much without a word before, half of what was said, and a client that falls silent: nothing of it stays.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
    let many = format!("Transfer-Encoding: chunked\r\n\r\n{}0\r\n", chunk.repeat(17));
    assert!(ask(&server, "PUT", "/steps/many", &many).starts_with("HTTP/1.1 413"));
    let mut half = TcpStream::connect(server.addresses[0]).unwrap();
    half.write_all(b"PUT /steps/half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    drop(half);
    assert!(ask(&server, "PUT", "/steps/slow", "Content-Length: 100\r\n\r\nslow").starts_with("HTTP/1.1 408"));
    assert!(
        ask(&server, "PUT", "/steps/part", "Content-Range: bytes 0-0/9\r\nContent-Length: 1\r\n\r\nx")
            .starts_with("HTTP/1.1 400")
    );
    eventually("something half-written stays", || fs::read_dir(rig.dir.path().join("steps")).unwrap().count() == 1);
    let mut ends = Vec::new();
    while !ends.iter().any(|(event, path)| (event, path) == (&"aborted", &"steps/half".to_string())) {
        let event = rig.runtime.block_on(server.events().next()).unwrap();
        ends.push((event.event, event.path));
    }
}

#[test]
fn a_slow_closure_delays_its_own_client_only() {
    let rig = rig();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let read: Reads = Arc::new(move |request| {
        if request.path == "slow" {
            let _ = wait.lock().unwrap().recv();
        }
        Ok(Read::Content(request.path.clone().into_bytes().into()))
    });
    let server = rig.start(Settings { bind: local(), read: Some(read), ..Settings::default() });
    let url = format!("http://{}", server.addresses[0]);
    let (host, to) = (rig.host.clone(), format!("{url}/slow"));
    let slow = rig
        .runtime
        .spawn(async move { get_bytes(&host, &Fetch { url: &to, sha256: None, options: &Options::default() }).await });
    for name in ["a", "b", "c"] {
        assert_eq!(rig.get(&format!("{url}/{name}")).unwrap(), name.as_bytes());
    }
    assert!(!slow.is_finished());
    release.send(()).unwrap();
    assert_eq!(rig.runtime.block_on(slow).unwrap().unwrap(), b"slow");
}

#[test]
fn slow_and_many_clients_are_bounded() {
    let rig = rig();
    rig.write("file", &noise(50 << 20));
    let server = rig.start(Settings {
        bind: local(),
        connections: 6,
        head: Duration::from_millis(300),
        stall: Duration::from_millis(300),
        ..Settings::default()
    });
    let address = server.addresses[0];
    // Three from one address: a head that never ends, silence, and a body that nobody reads.
    let mut drip = TcpStream::connect(address).unwrap();
    drip.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    let mut idle = TcpStream::connect(address).unwrap();
    let mut full = TcpStream::connect(address).unwrap();
    full.write_all(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 9];
    full.read_exact(&mut first).unwrap();
    let mut fourth = TcpStream::connect(address).unwrap();
    let mut said = String::new();
    fourth.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    for stream in [&mut drip, &mut idle] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the server closes");
    }
    let mut ends = rig.runtime.block_on(server.events().next()).unwrap();
    while ends.event != "aborted" {
        ends = rig.runtime.block_on(server.events().next()).unwrap();
    }
    let url = format!("http://{address}/file");
    eventually("no place was given back", || rig.get(&url).is_ok_and(|got| got.len() == 50 << 20));
}

#[test]
fn several_addresses_and_a_stop() {
    let rig = rig();
    rig.write("file", b"x");
    let bind = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let server = rig.start(Settings { bind, ..Settings::default() });
    for address in &server.addresses {
        assert_eq!(rig.get(&format!("http://{address}/file")).unwrap(), b"x");
    }
    let fault =
        Server::start(&rig.host, Settings { bind: server.addresses.clone(), ..Settings::default() }).err().unwrap();
    assert_eq!(fault.kind, "http.bind");
    server.stop();
    for address in &server.addresses {
        assert_eq!(rig.get(&format!("http://{address}/file")).unwrap_err().kind, "http.connect");
    }
}
