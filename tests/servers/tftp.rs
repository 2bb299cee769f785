//! TFTP against real clients.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::harness::{need, run, scratch};
use crate::noise;
use kar::host::{Host, Silent};
use kar::kit::tftp::{Read, Reads, Server, Settings, Write, Writes};

struct Rig {
    _runtime: tokio::runtime::Runtime,
    server: Server,
    dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let dir = scratch();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("steps")).unwrap();
    let read: Reads = Arc::new(|request| {
        Ok(match request.path.as_str() {
            "virtual" => Read::Content(format!("for {}\n", request.client).into_bytes().into()),
            _ => Read::Pass,
        })
    });
    let write: Writes =
        Arc::new(|request| Ok(if request.path.starts_with("steps/") { Write::Allow } else { Write::Refuse }));
    let settings = Settings {
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        root: Some(root),
        read: Some(read),
        write: Some(write),
        ..Settings::default()
    };
    Rig { server: Server::start(&host, settings).unwrap(), dir, _runtime: runtime }
}

impl Rig {
    fn root(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn port(&self) -> String {
        self.server.addresses[0].port().to_string()
    }
}

/// The clients, each a command that gets `name` into `to`.
type Client = fn(&Rig, &str, &Path) -> Command;

fn curl(rig: &Rig, name: &str, to: &Path) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail", "--max-time", "120", "--path-as-is", "--tftp-blksize", "512", "-o"]).arg(to);
    command.arg(format!("tftp://127.0.0.1:{}/{name}", rig.port()));
    command
}

fn hpa(rig: &Rig, name: &str, to: &Path) -> Command {
    let mut command = Command::new("tftp");
    command.args(["-m", "octet", "127.0.0.1", &rig.port(), "-c", "get", name]).arg(to);
    command
}

fn atftp(rig: &Rig, name: &str, to: &Path) -> Command {
    let mut command = Command::new("atftp");
    command.args(["--get", "--option", "blksize 1428", "-r", name, "-l"]).arg(to).args(["127.0.0.1", &rig.port()]);
    command
}

fn busybox(rig: &Rig, name: &str, to: &Path) -> Command {
    let mut command = Command::new("busybox");
    command.args(["tftp", "-g", "-b", "1432", "-r", name, "-l"]).arg(to).args(["127.0.0.1", &rig.port()]);
    command
}

const CLIENTS: [(&str, Client); 4] = [("curl", curl), ("tftp", hpa), ("atftp", atftp), ("busybox", busybox)];

fn clients() -> [(&'static str, Client); 4] {
    need("curl", "curl");
    need("tftp", "tftp-hpa");
    need("atftp", "atftp");
    need("busybox", "busybox");
    CLIENTS
}

fn put(rig: &Rig, program: &str, from: &Path, name: &str) -> Command {
    let (mut command, port) = (Command::new(program), rig.port());
    match program {
        "curl" => command.args(["-sS", "-T"]).arg(from).arg(format!("tftp://127.0.0.1:{port}/{name}")),
        "tftp" => command.args(["-m", "octet", "127.0.0.1", &port, "-c", "put"]).arg(from).arg(name),
        "busybox" => command.args(["tftp", "-p", "-r", name, "-l"]).arg(from).args(["127.0.0.1", &port]),
        _ => command.args(["--put", "-r", name, "-l"]).arg(from).args(["127.0.0.1", &port]),
    };
    command
}

#[test]
fn every_client_gets_every_awkward_length() {
    let rig = rig();
    for (program, get) in clients() {
        for length in [0, 1, 511, 512, 513, 1427, 1428, 1429, 1431, 1432, 1433, 1 << 20] {
            fs::write(rig.root("file"), noise(length)).unwrap();
            let to = rig.dir.path().join(format!("{program}-{length}"));
            run(&mut get(&rig, "file", &to));
            let got = fs::read(&to).unwrap();
            assert!(got == noise(length), "{program}, {length} bytes: got {}", got.len());
        }
        let to = rig.dir.path().join(format!("{program}-virtual"));
        run(&mut get(&rig, "virtual", &to));
        assert_eq!(fs::read_to_string(&to).unwrap(), "for 127.0.0.1\n", "{program}");
    }
}

/// Past block 65,535, both ways, by every client that writes and reads at 512 bytes.
#[test]
fn block_numbers_wrap_past_32_mib_at_512_bytes() {
    clients();
    let rig = rig();
    let data = noise((32 << 20) + 1077);
    fs::write(rig.root("file"), &data).unwrap();
    let get_small: [(&str, Vec<&str>); 4] = [
        ("curl", vec!["-sS", "--tftp-blksize", "512", "-o", "TO", "URL"]),
        ("tftp", vec!["-m", "octet", "127.0.0.1", "PORT", "-c", "get", "file", "TO"]),
        ("atftp", vec!["--get", "-r", "file", "-l", "TO", "127.0.0.1", "PORT"]),
        ("busybox", vec!["tftp", "-g", "-b", "512", "-r", "file", "-l", "TO", "127.0.0.1", "PORT"]),
    ];
    let url = format!("tftp://127.0.0.1:{}/file", rig.port());
    for (program, args) in get_small {
        let to = rig.dir.path().join(program);
        let mut command = Command::new(program);
        for arg in args {
            match arg {
                "TO" => command.arg(&to),
                "PORT" => command.arg(rig.port()),
                "URL" => command.arg(&url),
                other => command.arg(other),
            };
        }
        run(&mut command);
        assert!(fs::read(&to).unwrap() == data, "{program}");
        fs::remove_file(&to).unwrap();
        let name = format!("steps/{program}");
        run(&mut put(&rig, program, &rig.root("file"), &name));
        assert!(fs::read(rig.root(&name)).unwrap() == data, "{program} put");
        fs::remove_file(rig.root(&name)).unwrap();
    }
}

#[test]
fn nothing_outside_the_root_is_served() {
    let rig = rig();
    fs::write(rig.dir.path().join("secret"), "secret").unwrap();
    fs::write(rig.root("inside"), "inside").unwrap();
    symlink("../secret", rig.root("out")).unwrap();
    symlink("/etc", rig.root("etc")).unwrap();
    symlink("../inside", rig.root("steps/script")).unwrap();
    symlink(rig.root("inside"), rig.root("steps/absolute")).unwrap();
    for (program, get) in clients() {
        let to = rig.dir.path().join(program);
        for name in ["../secret", "steps/../../secret", "..\\secret", "out", "etc/passwd", "steps"] {
            let _ = get(&rig, name, &to).output().unwrap();
            // Some clients leave an empty file, and some report success: what counts is what they got.
            assert!(fs::read(&to).unwrap_or_default().is_empty(), "{program} got {name}");
            let _ = fs::remove_file(&to);
        }
        for name in ["inside", "//inside", "steps/script", "steps/absolute"] {
            run(&mut get(&rig, name, &to));
            assert_eq!(fs::read_to_string(&to).unwrap(), "inside", "{program} {name}");
            fs::remove_file(&to).unwrap();
        }
    }
}

#[test]
fn clients_put_where_they_may() {
    let rig = rig();
    let from = rig.dir.path().join("mine");
    for (program, _) in clients() {
        for length in [0, 1, 511, 512, 513, 1023, 1024, 100_000] {
            fs::write(&from, noise(length)).unwrap();
            let name = format!("steps/{program}");
            run(&mut put(&rig, program, &from, &name));
            // What a client was told is stored, is stored.
            let got = fs::read(rig.root(&name)).unwrap();
            assert!(got == noise(length), "{program}, {length} bytes: got {}", got.len());
        }
        for name in ["elsewhere", "steps/../elsewhere", "..\\elsewhere", "//elsewhere"] {
            let _ = put(&rig, program, &from, name).output().unwrap();
            assert!(!rig.root("elsewhere").exists() && !rig.dir.path().join("elsewhere").exists(), "{program} {name}");
        }
    }
    let left: Vec<_> = fs::read_dir(rig.root("steps")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn two_hundred_clients_at_once_get_exact_bytes() {
    need("curl", "curl");
    let rig = rig();
    let data = noise(200_003);
    fs::write(rig.root("file"), &data).unwrap();
    let started: Vec<_> = (0..200)
        .map(|n| {
            let to = rig.dir.path().join(format!("got{n}"));
            (curl(&rig, "file", &to).spawn().unwrap(), to)
        })
        .collect();
    for (mut child, to) in started {
        assert!(child.wait().unwrap().success());
        assert!(fs::read(&to).unwrap() == data, "{}", to.display());
    }
}
