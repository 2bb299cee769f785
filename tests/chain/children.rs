//! Processes that are killed: a node, and the server.

use std::process::{Child, Command, Stdio};

use kar::host::Cancel;
use kar::kit::chain::{ReceiveOptions, Target, receive};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::netns;
use crate::parts::{Door, Kept, Net, PATIENCE, Pattern, ends, eventually};

const LENGTH: u64 = 12_000_001;
const ROLE: &str = "KAR_TEST_CHAIN_ROLE";

/// This test binary again, as a node or server of its own; killed at the end of the test at the latest.
pub struct Process(Child);

impl Process {
    fn start(role: &str, words: &[String]) -> Process {
        let command = Command::new(std::env::current_exe().unwrap());
        Process::spawn(command, &format!("{role} {}", words.join(" ")))
    }

    /// The same on a machine of a net.
    pub fn inside(net: &netns::Net, node: usize, role: &str) -> Process {
        Process::spawn(net.command(node, std::env::current_exe().unwrap().to_str().unwrap()), role)
    }

    fn spawn(mut command: Command, role: &str) -> Process {
        command.args(["--ignored", "--exact", "children::process"]).env(ROLE, role);
        Process(command.stdout(Stdio::null()).spawn().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// Whether it ends well.
    pub fn ends_well(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The body of the child processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other tests of this file"]
async fn process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["node", server, address] => {
            let options = ReceiveOptions {
                name: Some("victim".into()),
                address: Some(address.parse().unwrap()),
                timeout: PATIENCE,
                ..ReceiveOptions::new(Target::Server(server.into(), None))
            };
            let _ = receive(Kept::default().sink(), options, Cancel::new()).await;
        }
        ["named", session] => {
            let kept = Kept::default();
            let options = ReceiveOptions { timeout: PATIENCE, ..ReceiveOptions::new(Target::Session(session.into())) };
            let outcome = receive(kept.sink(), options, Cancel::new()).await;
            assert_eq!(outcome.is_ok(), kept.whole(LENGTH));
            outcome.unwrap();
        }
        ["faulty", server, folder] => crate::faults::node(server, folder).await,
        ["server", bind, nodes] => {
            let options = kar::kit::chain::OfferOptions {
                nodes: Some(nodes.parse().unwrap()),
                bind: kar::kit::chain::parse_bind(bind).unwrap(),
                ..kar::kit::chain::OfferOptions::new("killed")
            };
            let source = Pattern::held(LENGTH, 4_000_000, &Door::default());
            let _ = kar::kit::chain::Offer::open(source, options).await.unwrap().wait().await;
        }
        _ => panic!("no role"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_named_at_once_and_costs_nobody_anything() {
    let net = Net(60);
    for victim in 1..=3u8 {
        let door = Door::default();
        let offer = net.offer(Pattern::held(LENGTH, 4_000_000, &door), 3).await;
        let mut process = Process::start("node", &[offer.address().to_string(), net.address(victim).to_string()]);
        let others: Vec<u8> = (1..=3).filter(|host| *host != victim).collect();
        let kept = [Kept::default(), Kept::default()];
        let tasks: Vec<_> = others.iter().zip(&kept).map(|(host, kept)| net.node(&offer, *host, kept.sink())).collect();
        eventually("bytes arrive", || offer.progress().nodes.iter().filter(|n| n.bytes > 0).count() == 3).await;
        process.kill();
        let failed = || offer.progress().nodes[usize::from(victim) - 1].failure.clone();
        eventually("it is noticed while the stream stands", || failed().is_some()).await;
        assert_eq!(failed().unwrap().kind, "chain.lost");
        door.open();
        let fault = ends(offer.wait()).await.unwrap_err();
        assert_eq!(fault.kind, "chain.lossy");
        let named =
            format!("1 of 3 nodes have no complete copy: victim ({}) vanished: connection ", net.address(victim));
        assert!(fault.message.contains(&named), "{}", fault.message);
        assert_eq!(fault.report.unwrap()["complete"], 2);
        for (task, kept) in tasks.into_iter().zip(&kept) {
            ends(task).await.unwrap().unwrap();
            assert!(kept.whole(LENGTH));
        }
        net.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_named_by_every_node() {
    let net = Net(61);
    let free = std::net::TcpListener::bind((net.address(254), 0)).unwrap().local_addr().unwrap();
    let mut process = Process::start("server", &[free.to_string(), "2".into()]);
    let kept = [Kept::default(), Kept::default()];
    let tasks: Vec<_> = [1, 2]
        .into_iter()
        .zip(&kept)
        .map(|(host, kept)| {
            let options = ReceiveOptions {
                address: Some(net.address(host)),
                timeout: PATIENCE,
                ..ReceiveOptions::new(Target::Server(free.to_string(), Some("killed".into())))
            };
            tokio::spawn(receive(kept.sink(), options, Cancel::new()))
        })
        .collect();
    eventually("bytes arrive", || kept.iter().all(|kept| !kept.data.lock().unwrap().is_empty())).await;
    process.kill();
    for (task, kept) in tasks.into_iter().zip(&kept) {
        let fault = ends(task).await.unwrap().unwrap_err();
        assert_eq!(fault.kind, "chain.server");
        assert!(fault.message.contains(&format!("the server {free} vanished: connection ")), "{}", fault.message);
        assert!(kept.aborted());
    }
    net.clean().await;
}
