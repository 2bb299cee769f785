//! The server and the client against each other, on the loopback.

mod wire;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{self, Options};
use super::*;
use crate::host::{Fault, Host, Silent};

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

impl Rig {
    fn serve(&self, read: Option<Reads>, write: Option<Writes>, inbox: bool) -> (Server, String) {
        let settings = Settings {
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            root: Some(self.dir.path().to_path_buf()),
            read,
            write,
            inbox: inbox.then(|| self.dir.path().to_path_buf()),
            limit: 1 << 20,
            ..Settings::default()
        };
        let server = Server::start(&self.host, settings).unwrap();
        let address = server.addresses[0].to_string();
        (server, address)
    }

    fn get(&self, server: &str, file: &str) -> crate::host::Result<Vec<u8>> {
        self.runtime.block_on(client::get_bytes(server, file, &Options::default()))
    }

    fn put(&self, server: &str, file: &str, data: &[u8]) -> crate::host::Result<client::Report> {
        let mut source = data;
        self.runtime.block_on(client::put(server, file, &Options::default(), &mut source, data.len() as u64))
    }
}

#[track_caller]
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
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

#[test]
fn files_of_every_awkward_length_come_whole() {
    let rig = rig();
    let (_server, address) = rig.serve(None, None, false);
    for (blksize, windowsize) in [(512, 1), (512, 16), (1468, 8), (65464, 4), (8, 64)] {
        let options = Options { blksize, windowsize, ..Options::default() };
        let size = usize::from(blksize);
        for length in
            [0, 1, size - 1, size, size + 1, size * usize::from(windowsize), 3 * size * usize::from(windowsize) + 5]
        {
            fs::write(rig.dir.path().join("file"), noise(length)).unwrap();
            let got = rig.runtime.block_on(client::get_bytes(&address, "\\file", &options)).unwrap();
            assert!(got == noise(length), "{length} bytes in blocks of {blksize}");
        }
    }
}

#[test]
fn block_numbers_wrap() {
    let rig = rig();
    let (_server, address) = rig.serve(None, None, false);
    // 70,000 blocks of 8 bytes: past 65,535.
    let data = noise(560_003);
    fs::write(rig.dir.path().join("file"), &data).unwrap();
    let options = Options { blksize: 8, windowsize: 64, ..Options::default() };
    let mut got = Vec::new();
    let report = rig.runtime.block_on(client::get(&address, "file", &options, &mut got)).unwrap();
    assert!(got == data);
    assert_eq!((report.bytes, report.blksize, report.windowsize), (560_003, 8, 64));
}

#[test]
fn errors_name_server_and_file() {
    let rig = rig();
    let (server, address) = rig.serve(None, None, false);
    let fault = rig.get(&address, "none").unwrap_err();
    assert_eq!(fault.kind, "tftp.missing");
    assert_eq!(fault.message, format!("cannot get `none` from {address}: the server says `File not found` (error 1)"));
    assert_eq!(rig.get(&address, "../none").unwrap_err().kind, "tftp.refused");
    assert_eq!(rig.put(&address, "new", b"x").unwrap_err().kind, "tftp.refused");
    assert_eq!(rig.get("127.0.0.1:none", "x").unwrap_err().kind, "tftp.server");
    server.stop();
    let options = Options { timeout: Duration::from_millis(20), retries: 1, ..Options::default() };
    let fault = rig.runtime.block_on(client::get_bytes(&address, "file", &options)).unwrap_err();
    assert_eq!(fault.kind, "tftp.timeout");
    std::net::UdpSocket::bind(&address).expect("the port is free again");
}

#[test]
fn closures_make_files_up() {
    let rig = rig();
    fs::write(rig.dir.path().join("real"), "real").unwrap();
    fs::write(rig.dir.path().join("hidden"), "hidden").unwrap();
    let path = rig.dir.path().join("real");
    let read: Reads = Arc::new(move |request| {
        Ok(match request.path.as_str() {
            "boot.ipxe" => Read::Content(format!("#!ipxe\n# {}\n", request.client).into_bytes().into()),
            "alias" => Read::File(path.clone()),
            "hidden" => Read::Refuse,
            "broken" => return Err(Fault::new("script.thrown", "no")),
            _ => Read::Pass,
        })
    });
    let (server, address) = rig.serve(Some(read), None, false);
    assert_eq!(rig.get(&address, "boot.ipxe").unwrap(), b"#!ipxe\n# 127.0.0.1\n");
    assert_eq!(rig.get(&address, "alias").unwrap(), b"real");
    assert_eq!(rig.get(&address, "/real").unwrap(), b"real");
    assert_eq!(rig.get(&address, "hidden").unwrap_err().kind, "tftp.refused");
    assert_eq!(rig.get(&address, "broken").unwrap_err().kind, "tftp.error");
    assert_eq!(rig.get(&address, "none").unwrap_err().kind, "tftp.missing");
    let mut seen = Vec::new();
    while !seen.contains(&("failed", "broken".to_string())) {
        let event = rig.runtime.block_on(server.events().next()).unwrap();
        seen.push((event.event, event.path));
    }
    assert!(seen.contains(&("finished", "boot.ipxe".into())), "{seen:?}");
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
    let (_server, address) = rig.serve(Some(read), None, false);
    let to = address.clone();
    let slow = rig.runtime.spawn(async move { client::get_bytes(&to, "slow", &Options::default()).await });
    // All of these end while the slow one has not been let go.
    for name in ["a", "b", "c"] {
        assert_eq!(rig.get(&address, name).unwrap(), name.as_bytes());
    }
    assert!(!slow.is_finished());
    release.send(()).unwrap();
    assert_eq!(rig.runtime.block_on(slow).unwrap().unwrap(), b"slow");
}

/// What was acknowledged is stored.
#[track_caller]
fn stored(path: &std::path::Path, data: &[u8]) {
    assert!(fs::read(path).unwrap() == data, "{}", path.display());
}

#[test]
fn writes_go_where_they_may_and_appear_whole() {
    let rig = rig();
    fs::create_dir(rig.dir.path().join("steps")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("named");
    let write: Writes = Arc::new(move |request| {
        Ok(match request.path.as_str() {
            "elsewhere" => Write::File(target.clone()),
            file if file.starts_with("steps/") => Write::Allow,
            _ => Write::Refuse,
        })
    });
    let (_server, address) = rig.serve(None, Some(write), false);
    for length in [0, 1, 1467, 1468, 1469, 500_000] {
        rig.put(&address, "steps/10.0.0.1", &noise(length)).unwrap();
        stored(&rig.dir.path().join("steps/10.0.0.1"), &noise(length));
    }
    rig.put(&address, "elsewhere", b"x").unwrap();
    stored(&elsewhere.path().join("named"), b"x");
    for name in ["other", "steps/../other", "steps\\..\\..\\other"] {
        assert_eq!(rig.put(&address, name, b"x").unwrap_err().kind, "tftp.refused", "{name}");
    }
    assert_eq!(rig.put(&address, "steps/big", &noise((1 << 20) + 1)).unwrap_err().kind, "tftp.full");
    let left = || fs::read_dir(rig.dir.path().join("steps")).unwrap().count();
    eventually("something half-written stays", || left() == 1);
}

#[test]
fn fifty_clients_at_once_get_exact_bytes() {
    let rig = rig();
    let data = Arc::new(noise(300_000));
    fs::write(rig.dir.path().join("file"), &*data).unwrap();
    let (_server, address) = rig.serve(None, None, true);
    let all: Vec<_> = (0..50)
        .map(|n| {
            let (address, data) = (address.clone(), data.clone());
            rig.runtime.spawn(async move {
                if n % 5 == 0 {
                    let mut source = data.as_slice();
                    client::put(&address, &format!("up{n}"), &Options::default(), &mut source, 300_000).await.unwrap();
                } else {
                    assert!(client::get_bytes(&address, "file", &Options::default()).await.unwrap() == *data);
                }
            })
        })
        .collect();
    for one in all {
        rig.runtime.block_on(one).unwrap();
    }
    stored(&rig.dir.path().join("up45"), &data);
}

#[test]
fn a_fetched_file_appears_whole_or_not_at_all() {
    let rig = rig();
    fs::write(rig.dir.path().join("file"), noise(5000)).unwrap();
    let (_server, address) = rig.serve(None, None, false);
    let to = rig.dir.path().join("copy");
    rig.runtime.block_on(client::fetch(&address, "file", &to, &Options::default())).unwrap();
    assert!(fs::read(&to).unwrap() == noise(5000));
    let options = Options { limit: 4999, ..Options::default() };
    let other = rig.dir.path().join("other");
    let fault = rig.runtime.block_on(client::fetch(&address, "file", &other, &options)).unwrap_err();
    assert_eq!(fault.kind, "tftp.limit");
    assert_eq!(fs::read_dir(rig.dir.path()).unwrap().count(), 2);
}
