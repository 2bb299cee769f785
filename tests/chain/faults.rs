//! Fault scripts: a few lines say what happens to whom and when, on machines of network namespaces; what has to come
//! of it is the same every time. Who was hit is named, and everybody else has every byte.
//!
//! ```text
//! kill 2 at 40%      SIGKILL                      freeze 3 at 10%    SIGSTOP
//! cut 1 at 50%       its cable is pulled          wedge 4 at 30%     its sink takes nothing any more
//! thaw 3             SIGCONT, once it is missed   slow 2             its sink takes 2 MB/s
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use kar::host::{Cancel, Fault, Result};
use kar::kit::chain::{Offer, OfferOptions, ReceiveOptions, Report, Target, receive};
use kar::kit::stream::{Delivered, Sink, Source};
use nix::sys::signal::Signal;

use crate::children::Process;
use crate::harness::{netns, scratch};
use crate::parts::{Door, PATIENCE, ends, pattern};

const LENGTH: u64 = 16_000_001;
const HOLD: u64 = LENGTH * 9 / 10;
/// Small, so that whoever stops stops the others.
const BUFFER: u64 = 2 << 20;

/// The pattern at 8 MB/s: what happens happens in the middle of it. Its end waits until all has happened that is to
/// happen before.
struct Flow(u64, Instant, Door);

impl Source for Flow {
    fn describe(&self) -> String {
        "a flow".into()
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let due = Duration::from_secs_f64(self.0 as f64 / 8e6);
        std::thread::sleep(due.saturating_sub(self.1.elapsed()));
        if self.0 >= HOLD {
            self.2.pass();
        }
        let length = (buffer.len() as u64).min(LENGTH - self.0).min(64 << 10) as usize;
        for (byte, at) in buffer[..length].iter_mut().zip(self.0..) {
            *byte = pattern(at);
        }
        self.0 += length as u64;
        Ok(length)
    }
}

/// Compares what comes.
struct Check {
    at: u64,
    folder: std::path::PathBuf,
}

impl Sink for Check {
    fn describe(&self) -> String {
        "a checked sink".into()
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        assert!(data.iter().zip(self.at..).all(|(byte, at)| *byte == pattern(at)), "other bytes near {}", self.at);
        self.at += data.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered> {
        assert_eq!(self.at, LENGTH);
        std::fs::write(self.folder.join("clean"), "").unwrap();
        Ok(Delivered { bytes: self.at, ..Delivered::default() })
    }

    fn abort(&mut self, _: &Fault) {}
}

/// The body of a node's process: its folder says what goes wrong there, and has its outcome afterwards.
pub async fn node(server: &str, folder: &str) {
    let folder = Path::new(folder).to_path_buf();
    let options = ReceiveOptions {
        timeout: PATIENCE,
        buffer: BUFFER,
        faults: Some(folder.clone()),
        ..ReceiveOptions::new(Target::Server(server.into(), None))
    };
    let sink = Check { at: 0, folder: folder.clone() };
    let outcome = match receive(Box::new(sink), options, Cancel::new()).await {
        Ok(report) => format!("whole {}", report.bytes),
        Err(fault) => fault.to_string(),
    };
    std::fs::write(folder.join("part"), outcome).unwrap();
    std::fs::rename(folder.join("part"), folder.join("outcome")).unwrap();
}

struct Line {
    verb: String,
    node: usize,
    /// Bytes in its sink.
    at: u64,
}

fn parse(script: &str) -> Vec<Line> {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [verb, node] => Line { verb: verb.into(), node: node.parse().unwrap(), at: 0 },
            [verb, node, "at", percent] => {
                let percent: u64 = percent.trim_end_matches('%').parse().unwrap();
                Line { verb: verb.into(), node: node.parse().unwrap(), at: LENGTH * percent / 100 }
            }
            _ => panic!("no line of a fault script: {line}"),
        })
        .collect()
}

struct Room {
    net: netns::Net,
    folder: tempfile::TempDir,
    nodes: Vec<Process>,
}

impl Room {
    fn node(&self, node: usize) -> std::path::PathBuf {
        self.folder.path().join(node.to_string())
    }

    fn signal(&self, node: usize, signal: Signal) {
        self.nodes[node - 1].signal(signal);
    }

    fn fault(&self, line: &Line) {
        match line.verb.as_str() {
            "kill" => self.signal(line.node, Signal::SIGKILL),
            "freeze" => self.signal(line.node, Signal::SIGSTOP),
            "thaw" => self.signal(line.node, Signal::SIGCONT),
            "cut" => drop(self.net.run(line.node + 1, "ip", &["link", "set", "eth0", "down"])),
            "wedge" | "slow" => std::fs::write(self.node(line.node).join(&line.verb), "2").unwrap(),
            other => panic!("no fault: {other}"),
        }
    }
}

/// Runs a script; gives the report, with the room as it is then. Nodes that the script does not name are whole.
fn play(name: &str, count: usize, arity: usize, script: &str) -> (Report, Room) {
    let lines = parse(script);
    let net = netns::Net::new(name, count + 1);
    let runtime =
        net.inside(1, || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    let options = OfferOptions { nodes: Some(count), arity, buffer: BUFFER, ..OfferOptions::new(name) };
    let door = Door::default();
    let source = Box::new(Flow(0, Instant::now(), door.clone()));
    let offer = net.inside(1, || runtime.block_on(Offer::open(source, options)).unwrap());
    let mut room = Room { net, folder: scratch(), nodes: Vec::new() };
    let server = format!("{}:{}", room.net.address(1), offer.address().port());
    for node in 1..=count {
        std::fs::create_dir(room.node(node)).unwrap();
        let role = format!("faulty {server} {}", room.node(node).display());
        room.nodes.push(Process::inside(&room.net, node + 1, &role));
    }
    let until = Instant::now() + PATIENCE;
    for line in &lines {
        if line.at > HOLD {
            door.open();
        }
        loop {
            assert!(Instant::now() < until, "`{} {}` never came to pass", line.verb, line.node);
            let progress = offer.progress();
            let node = progress.nodes.get(line.node - 1);
            let ready = progress.phase == kar::kit::chain::Phase::Streaming
                && match line.verb.as_str() {
                    "thaw" => node.is_some_and(|node| node.failure.is_some()),
                    _ => node.is_some_and(|node| node.bytes >= line.at),
                };
            if ready || progress.phase == kar::kit::chain::Phase::Ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        room.fault(line);
    }
    door.open();
    let outcome = runtime.block_on(ends(offer.wait()));
    let report = match outcome {
        Ok(report) => report,
        Err(fault) => {
            assert_eq!(fault.kind, "chain.lossy", "{fault}");
            serde_json::from_value(*fault.report.expect("it has a report")).unwrap()
        }
    };
    let hit: Vec<usize> = lines.iter().filter(|line| line.verb != "slow").map(|line| line.node).collect();
    for node in (1..=count).filter(|node| !hit.contains(node)) {
        assert_eq!(report.nodes[node - 1].failure, None, "node {node}");
        assert_eq!(room.outcome(node), format!("whole {LENGTH}"), "node {node}");
        assert_eq!((report.nodes[node - 1].bytes, &report.nodes[node - 1].digest), (LENGTH, &report.digest));
    }
    runtime.shutdown_timeout(PATIENCE);
    (report, room)
}

impl Room {
    /// What a node says of itself, once it does.
    fn outcome(&self, node: usize) -> String {
        let file = self.node(node).join("outcome");
        crate::harness::eventually(PATIENCE, "a node ends", || file.exists());
        std::fs::read_to_string(file).unwrap()
    }

    fn took_a_clean_end(&self, node: usize) -> bool {
        self.node(node).join("clean").exists()
    }
}

/// The nodes hit have failed for this reason, and took no clean end.
fn hit(report: &Report, room: &Room, nodes: &[usize], kind: &str) {
    for node in nodes {
        let failure = report.nodes[node - 1].failure.as_ref().unwrap_or_else(|| panic!("node {node} has no copy"));
        assert_eq!(failure.kind, kind, "{}", failure.message);
        assert!(!room.took_a_clean_end(*node), "node {node}");
    }
    assert_eq!(report.complete, report.nodes.len() - nodes.len());
}

#[test]
fn neighbours_are_killed_and_the_last() {
    let (report, room) = play("kills", 6, 1, "kill 2 at 20%\nkill 3 at 20%\nkill 6 at 60%");
    hit(&report, &room, &[2, 3, 6], "chain.lost");
    let mended: Vec<&str> = report.repairs.iter().map(|repair| repair.node.as_str()).collect();
    assert!(mended.contains(&room.net.address(5).as_str()), "{:?}", report.repairs);
    let (count, pause) = (report.repairs.len(), report.nodes[3].pause);
    assert!(count <= 2 && report.repairs[count - 1].to == room.net.address(2) && pause > 0.0);
}

#[test]
fn the_first_is_killed_again_and_again() {
    let (report, room) =
        play("again", 6, 1, "kill 1 at 5%\nkill 2 at 20%\nkill 3 at 40%\nkill 4 at 60%\nkill 5 at 80%");
    hit(&report, &room, &[1, 2, 3, 4, 5], "chain.lost");
}

#[test]
fn a_frozen_node_is_passed_over_and_learns_of_it() {
    let (report, room) = play("freeze", 4, 1, "freeze 2 at 40%");
    hit(&report, &room, &[2], "chain.lost");
    let failure = report.nodes[1].failure.clone().unwrap();
    assert!(failure.message.starts_with("vanished: silent for 2.5s at "), "{}", failure.message);
    room.signal(2, Signal::SIGCONT);
    let outcome = room.outcome(2);
    assert!(outcome.starts_with("chain."), "{outcome}");
    assert!(!room.took_a_clean_end(2));
}

#[test]
fn a_frozen_node_that_wakes_up_disturbs_nobody() {
    let (report, room) = play("thaw", 4, 1, "freeze 2 at 20%\nthaw 2");
    hit(&report, &room, &[2], "chain.lost");
    let outcome = room.outcome(2);
    assert!(outcome.starts_with("chain.lost: the session went on without this node: vanished: silent"), "{outcome}");
}

#[test]
fn cables_are_pulled() {
    let (report, room) = play("cut", 5, 1, "cut 1 at 30%\ncut 4 at 30%");
    hit(&report, &room, &[1, 4], "chain.lost");
}

#[test]
fn a_wedged_sink_is_named_and_its_node_relays() {
    let (report, room) = play("wedge", 4, 1, "wedge 2 at 30%");
    hit(&report, &room, &[2], "chain.stalled");
    assert!(room.outcome(2).starts_with("chain.stalled: its sink took nothing for 3"), "{}", room.outcome(2));
}

#[test]
fn a_slow_sink_is_no_failure() {
    let (report, room) = play("slow", 3, 1, "slow 2 at 40%");
    hit(&report, &room, &[], "");
    let stalled: Vec<f64> = report.nodes.iter().map(|node| node.stalled).collect();
    assert!(stalled[1] > 0.5 && stalled[0] + stalled[2] < stalled[1], "the others waited for the second: {stalled:?}");
}

#[test]
fn trees_close_up_too() {
    let (report, room) = play("tree2", 7, 2, "kill 1 at 20%\nfreeze 2 at 40%\nkill 7 at 40%");
    hit(&report, &room, &[1, 2, 7], "chain.lost");
    let (report, room) = play("tree3", 6, 3, "kill 1 at 30%\nkill 2 at 30%\nkill 3 at 30%");
    hit(&report, &room, &[1, 2, 3], "chain.lost");
    let (report, room) = play("tree4", 6, 4, "wedge 1 at 20%\nkill 2 at 50%");
    assert_eq!(report.complete, 4);
    assert!(!room.took_a_clean_end(1) && !room.took_a_clean_end(2));
}

#[test]
fn at_the_very_beginning_and_the_very_end() {
    let (report, room) = play("begin", 4, 1, "kill 1 at 0%\nkill 3 at 0%");
    hit(&report, &room, &[1, 3], "chain.lost");
    // By now each has all; whether it could still say so is up to the moment.
    let (report, _room) = play("end", 4, 1, "kill 1 at 100%\nkill 2 at 100%");
    assert!((2..=4).contains(&report.complete));
}
