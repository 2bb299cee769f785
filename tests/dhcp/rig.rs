//! A wire with a server on node 1 and bare machines on it.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kar::host::{Host, Silent};
use kar::kit::dhcp::client::{self, Ask, Granted};
use kar::kit::dhcp::{Answer, Changes, Network, Server, Settings, Setup};

use crate::harness::{netns::Net, scratch};

pub const LONG: Duration = Duration::from_secs(60);

pub struct Rig {
    pub net: Net,
    pub host: Host,
    _runtime: tokio::runtime::Runtime,
    pub dir: tempfile::TempDir,
}

/// Node 1 serves; the others are bare until they get an address.
pub fn rig(nodes: usize) -> Rig {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let net = Net::new("dhcp", nodes);
    (2..=nodes).for_each(|node| net.bare(node));
    Rig { net, host, _runtime: runtime, dir: scratch() }
}

impl Rig {
    /// What most tests serve; `look` costs a second where it is on.
    pub fn setup(&self) -> Setup {
        let network = Network::new("10.77.0.0/24".parse().unwrap(), vec!["10.77.0.100-150".parse().unwrap()]);
        let settings = Settings {
            networks: vec![network],
            common: Changes {
                router: Some(vec![[10, 77, 0, 1].into()]),
                lease: Some(Duration::from_secs(600)),
                bootfile: Some("boot.ipxe".into()),
                ..Changes::default()
            },
            leases: Some(self.dir.path().join("leases")),
            ..Settings::default()
        };
        Setup { interfaces: vec!["eth0".into()], settings, probe: Duration::from_millis(50), ..Setup::default() }
    }

    pub fn start(&self, node: usize, setup: Setup) -> kar::host::Result<Server> {
        self.net.inside(node, || Server::start(&self.host, setup))
    }

    pub fn serve(&self, answer: Option<Answer>) -> Server {
        self.start(1, Setup { answer, ..self.setup() }).unwrap()
    }

    /// What a server gives a node that asks on its wire.
    pub fn ask(&self, node: usize, ask: Ask) -> Granted {
        self.ask_on(node, "eth0", ask).unwrap()
    }

    /// The same on an interface that is named, with patience unless the question has its own.
    pub fn ask_on(&self, node: usize, interface: &str, ask: Ask) -> kar::host::Result<Granted> {
        let ask = Ask { timeout: ask.timeout.or(Some(LONG)), ..ask };
        self.net.inside(node, || self.host.wait(client::request(interface, &ask)))
    }

    /// The address on a node's wire, if it has one.
    pub fn address(&self, node: usize) -> Option<String> {
        let shown = self.net.run(node, "ip", &["-o", "-4", "addr", "show", "dev", "eth0"]);
        shown.split_whitespace().find_map(|word| Some(word.strip_suffix("/24")?.to_string()))
    }

    /// What a client runs to configure its node, and nothing else of it.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Takes events until one is as named.
    pub fn event(&self, server: &Server, name: &str) -> kar::kit::dhcp::Event {
        let found = self.host.runtime().block_on(async {
            tokio::time::timeout(LONG, async {
                loop {
                    match server.events().next().await {
                        Some(event) if event.event == name => return event,
                        Some(_) => {}
                        None => panic!("the server ended"),
                    }
                }
            })
            .await
        });
        found.unwrap_or_else(|_| panic!("no `{name}` within {LONG:?}"))
    }
}

/// How often a server did what.
pub fn counters(server: &Server) -> HashMap<&'static str, u64> {
    server.counters().into_iter().collect()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
