//! HTTP with real clients and a real server: curl, busybox wget, openssl, nginx.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use kar::host::{Host, Silent};
use kar::kit::http::{Fetch, Identity, Options, Server, Settings, get_bytes};

use crate::harness::{need, run, scratch};
use crate::noise;

struct Rig {
    runtime: tokio::runtime::Runtime,
    host: Host,
    server: Server,
    dir: tempfile::TempDir,
}

fn rig(tls: bool) -> Rig {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let dir = scratch();
    fs::create_dir_all(dir.path().join("in")).unwrap();
    let path = |name: &str| dir.path().join(name);
    if tls {
        need("openssl", "openssl");
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "9",
        ]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]);
        run(openssl.arg(path("key.pem")).arg("-out").arg(path("cert.pem")));
    }
    let tls = tls.then(|| Identity::read(&path("cert.pem"), &path("key.pem")).unwrap());
    let settings = Settings {
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        root: Some(dir.path().into()),
        inbox: Some(path("in")),
        tls,
        ..Settings::default()
    };
    let server = Server::start(&host, settings).unwrap();
    Rig { runtime, host, server, dir }
}

impl Rig {
    fn url(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}://{}/{name}", self.server.addresses[0])
    }

    fn curl(&self, args: &[&str]) -> String {
        need("curl", "curl");
        run(Command::new("curl").args(["-sS", "--fail", "--max-time", "60"]).args(args))
    }
}

#[test]
fn programs_fetch_resume_and_upload() {
    let rig = rig(false);
    let data = noise(3_000_001);
    fs::write(rig.dir.path().join("file"), &data).unwrap();
    let to = rig.dir.path().join("got");
    let (url, to_text) = (rig.url("http", "file"), to.display().to_string());
    rig.curl(&["-o", &to_text, &url]);
    assert!(fs::read(&to).unwrap() == data);
    // The second half of it, taken up where the first ends.
    fs::write(&to, &data[..1_000_000]).unwrap();
    rig.curl(&["-C", "-", "-o", &to_text, &url]);
    assert!(fs::read(&to).unwrap() == data);
    need("busybox", "busybox");
    run(Command::new("busybox").args(["wget", "-q", "-O", &to_text, &url]));
    assert!(fs::read(&to).unwrap() == data);
    let head = rig.curl(&["-I", &url]);
    assert!(head.to_lowercase().contains("content-length: 3000001"), "{head}");
    for name in ["put", "post"] {
        let target = rig.url("http", name);
        match name {
            "put" => rig.curl(&["-T", &to_text, &target]),
            _ => rig.curl(&["--data-binary", &format!("@{to_text}"), &target]),
        };
        assert!(fs::read(rig.dir.path().join("in").join(name)).unwrap() == data, "{name}");
    }
}

#[test]
fn tls_with_a_given_certificate() {
    let rig = rig(true);
    fs::write(rig.dir.path().join("file"), "secret").unwrap();
    let url = rig.url("https", "file");
    let ca = rig.dir.path().join("cert.pem");
    assert_eq!(rig.curl(&["--cacert", &ca.display().to_string(), &url]), "secret");
    let get =
        |options: &Options| rig.runtime.block_on(get_bytes(&rig.host, &Fetch { url: &url, sha256: None, options }));
    let given = Options { ca: Some(ca), ..Options::default() };
    assert_eq!(get(&given).unwrap(), b"secret");
    // A certificate of somebody else's.
    let other = self::rig(true);
    let wrong = Options { ca: Some(other.dir.path().join("cert.pem")), ..Options::default() };
    assert_eq!(get(&wrong).unwrap_err().kind, "http.tls");
    let mixed = Identity::read(&rig.dir.path().join("cert.pem"), &other.dir.path().join("key.pem"));
    assert_eq!(mixed.err().unwrap().kind, "http.tls");
}
