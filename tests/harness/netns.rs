//! Network namespaces joined by a bridge: a small network of the test's own.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

use super::run;

const PREFIX: &str = "kt-";
const NETNS: &str = "/run/netns";

/// Some nodes on one wire. Node `n` (from 1) has the interface `eth0` with the address `10.77.0.n/24` and `lo`, both
/// up; the wire is a bridge in one more namespace. Nothing of it is visible outside. Dropping it kills the
/// children started in it and deletes the namespaces.
pub struct Net {
    stem: String,
    nodes: usize,
    children: Mutex<Vec<Child>>,
}

impl Net {
    /// Needs root. `name` tells the namespaces of one test binary apart for a person who looks.
    pub fn new(name: &str, nodes: usize) -> Net {
        super::need("ip", "iproute2");
        sweep();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let stem = format!("{PREFIX}{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Net { stem, nodes, children: Mutex::default() };
        let wire = net.wire();
        ip(&["netns", "add", &wire]);
        ip(&["-n", &wire, "link", "add", "br0", "type", "bridge", "forward_delay", "0"]);
        ip(&["-n", &wire, "link", "set", "br0", "up"]);
        for node in 1..=nodes {
            let (space, port) = (net.space(node), format!("port{node}"));
            ip(&["netns", "add", &space]);
            ip(&["link", "add", "eth0", "netns", &space, "type", "veth", "peer", "name", &port, "netns", &wire]);
            ip(&["-n", &wire, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
            ip(&["-n", &space, "addr", "add", &format!("{}/24", net.address(node)), "dev", "eth0"]);
        }
        net
    }

    fn wire(&self) -> String {
        format!("{}-wire", self.stem)
    }

    /// The namespace of a node, as `ip netns` names it.
    pub fn space(&self, node: usize) -> String {
        assert!((1..=self.nodes).contains(&node), "the net has nodes 1 to {}", self.nodes);
        format!("{}-{node}", self.stem)
    }

    pub fn address(&self, node: usize) -> String {
        format!("10.77.0.{node}")
    }

    /// Takes a node's address away: it has yet to ask for one.
    pub fn bare(&self, node: usize) {
        ip(&["-n", &self.space(node), "addr", "flush", "dev", "eth0"]);
    }

    /// A command that will run inside a node. Not by `ip netns exec`: that one takes copies of all mounts along, which keep
    /// a disk busy that somebody else unmounts meanwhile.
    pub fn command(&self, node: usize, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={NETNS}/{}", self.space(node))).arg("--").arg(program);
        command
    }

    /// Runs a program in a node to its good end and returns its output; fails the test otherwise.
    #[track_caller]
    pub fn run(&self, node: usize, program: &str, args: &[&str]) -> String {
        run(self.command(node, program).args(args))
    }

    /// Starts a program in a node; it is killed with the net. Returns its process id.
    pub fn background(&self, node: usize, program: &str, args: &[&str]) -> u32 {
        let mut command = self.command(node, program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let id = child.id();
        self.children.lock().expect("no holder panics").push(child);
        id
    }

    /// Takes care of a child that was started in a node: it is killed with the net.
    pub fn adopt(&self, child: Child) {
        self.children.lock().expect("no holder panics").push(child);
    }

    /// Runs `body` on a thread of its own inside a node. Sockets it makes stay there, wherever they are used later.
    #[track_caller]
    pub fn inside<T: Send>(&self, node: usize, body: impl FnOnce() -> T + Send) -> T {
        let path = format!("{NETNS}/{}", self.space(node));
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let space = File::open(&path).expect("the namespace has a name");
                setns(space, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                body()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for child in self.children.lock().expect("no holder panics").iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for node in 1..=self.nodes {
            delete(&self.space(node));
        }
        delete(&self.wire());
    }
}

#[track_caller]
fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

/// Ends what still runs in a namespace (a client that went to the background), then deletes it.
fn delete(space: &str) {
    if let Ok(out) = Command::new("ip").args(["netns", "pids", space]).output() {
        for pid in String::from_utf8_lossy(&out.stdout).split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // Threads of this very process show up while they are inside.
            if pid != std::process::id() as i32 {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            }
        }
    }
    let _ = Command::new("ip").args(["netns", "del", space]).stderr(Stdio::null()).status();
}

/// Deletes what earlier runs left that were killed: their names hold the process id.
fn sweep() {
    let Ok(names) = std::fs::read_dir(NETNS) else { return };
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !std::path::Path::new(&format!("/proc/{owner}")).exists() {
            delete(&name);
        }
    }
}
