//! What goes wrong half-way: the run fails, names node and cause, and leaves nothing open.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use kar::kit::disk::{Disk, OpenOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::flow::{rehearse, tree};
use crate::harness::leftovers::leftovers;
use crate::harness::{eventually, kar, run, scratch};

const LONG: Duration = Duration::from_secs(60);

/// No loop device on a file below `folder`, and nothing mounted there. A device that udev looks at goes a moment later.
#[track_caller]
fn nothing_left(folder: &Path) {
    eventually(LONG, "nothing is left open", || leftovers(folder, None).is_empty());
}

#[track_caller]
fn failed(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
    }
}

/// The journal says that all that was opened was closed again.
fn journal_is_even(work: &Path) {
    let text = std::fs::read_to_string(work.join("journal.jsonl")).unwrap();
    let count = |verb: &str| {
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|entry| entry["verb"] == verb && entry["result"] == "ok").count()
    };
    assert_eq!(count("fs.mount"), count("fs.unmount"), "{text}");
    assert_eq!(count("disk.attach"), count("disk.detach"), "{text}");
}

#[test]
fn a_disk_too_small_for_the_table() {
    let folder = scratch();
    let source = tree(folder.path());
    let output = rehearse(
        "recipes/linux.rhai",
        folder.path(),
        &["--source", source.to_str().unwrap(), "--nodes", "2", "--disk-size", "20MiB"],
    );
    failed(&output, &["error[table.space]", "node1: ", "node2: ", "do not fit", "recipes/linux.rhai:"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED: "));
    nothing_left(folder.path());
    journal_is_even(&folder.path().join("work"));
}

#[test]
fn a_disk_too_small_for_the_files() {
    let folder = scratch();
    let source = tree(folder.path());
    let big = source.join("usr/lib/zz-big");
    run(Command::new("sh").args(["-c", "head -c 80000000 /dev/urandom > \"$0\"", big.to_str().unwrap()]));
    let output = rehearse(
        "recipes/linux.rhai",
        folder.path(),
        &["--source", source.to_str().unwrap(), "--nodes", "2", "--disk-size", "120MiB"],
    );
    failed(&output, &["node1: ", "node2: ", "usr/lib/zz-big", "No space left on device"]);
    nothing_left(folder.path());
    journal_is_even(&folder.path().join("work"));
    for node in ["node1", "node2"] {
        let image = folder.path().join("work").join(format!("{node}.img"));
        let disk = Disk::open(&image, OpenOptions::default()).unwrap();
        assert_eq!(disk.table().unwrap(), None, "{node} is half written and would boot");
    }
}

/// The images are sparse: what they promise, the disk they stand on may not have.
#[test]
fn a_full_disk_below_an_image() {
    let folder = scratch();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    run(Command::new("sh").args(["-c", "head -c 60000000 /dev/urandom > \"$0\"/data", source.to_str().unwrap()]));
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=40m", "none"]).arg(&small));
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/one_disk.rhai");
    let output = Command::new(kar()).arg("run").arg(recipe).current_dir(folder.path()).output().unwrap();
    eventually(LONG, "the small disk is free", || {
        Command::new("umount").arg(&small).stderr(Stdio::null()).status().unwrap().success()
    });
    failed(&output, &["error[tar.write]", "cannot write out what was unpacked into `mnt`", "one_disk.rhai:10:"]);
    nothing_left(folder.path());
}

/// kar with the recipe that pauses in mid-stream, and what it says on standard error, line by line.
struct Paused {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Paused {
    fn start(folder: &Path, entry: &str, words: &[&str]) -> Paused {
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/paused.rhai");
        let mut child = Command::new(kar())
            .arg("run")
            .arg(format!("{}:{entry}", recipe.display()))
            .args(["--session", folder.to_str().unwrap()])
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Paused { child, lines, said: String::new() }
    }

    fn until(&mut self, word: &str) {
        while !self.said.contains(word) {
            match self.lines.recv_timeout(LONG) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(error) => panic!("{error} before `{word}`, after:\n{}", self.said),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Exit code and all it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut ended = None;
        eventually(LONG, "kar ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        self.said.extend(self.lines.iter().map(|line| line + "\n"));
        (ended.unwrap().code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More than the chain and the pipes hold, in many files.
fn large_source(folder: &Path) -> std::path::PathBuf {
    let source = folder.join("source");
    std::fs::create_dir(&source).unwrap();
    let mut random = vec![0; 100_000];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    for n in 0..600 {
        std::fs::write(source.join(format!("file{n:03}")), &random).unwrap();
    }
    source
}

fn room(folder: &Path) -> (Paused, Vec<Paused>) {
    let source = large_source(folder);
    let mut sender = Paused::start(folder, "send", &["--source", source.to_str().unwrap()]);
    let nodes = ["node1", "node2", "node3"].map(|name| Paused::start(folder, "receive", &["--name", name]));
    sender.until(" starts: ");
    (sender, nodes.into())
}

#[test]
fn a_source_that_vanishes_half_way() {
    let folder = scratch();
    let (sender, nodes) = room(folder.path());
    std::fs::remove_dir_all(folder.path().join("source")).unwrap();
    std::fs::write(folder.path().join("go"), "").unwrap();
    let (code, said) = sender.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("error[chain.source]") && (said.contains("vanished") || said.contains("taken away")),
        "{said}"
    );
    for node in nodes {
        let (code, said) = node.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("error[chain.source]"), "{said}");
    }
    nothing_left(folder.path());
}

#[test]
fn a_node_process_that_is_killed() {
    let folder = scratch();
    let (sender, mut nodes) = room(folder.path());
    nodes[1].signal(Signal::SIGKILL);
    std::fs::write(folder.path().join("go"), "").unwrap();
    let (code, said) = sender.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error[chain.lossy]") && said.contains("node2 (127.0.0.1) vanished"), "{said}");
    let killed = nodes.remove(1);
    assert_eq!(killed.end().0, None);
    for node in nodes {
        let (code, said) = node.end();
        // In the order of the chain: who stands in front of the killed one has it all.
        assert!(code == Some(0) || said.contains("error[chain."), "{code:?} {said}");
    }
    nothing_left(folder.path());
}

#[test]
fn ctrl_c_in_the_middle_of_a_stream() {
    let folder = scratch();
    let (sender, nodes) = room(folder.path());
    nodes[0].signal(Signal::SIGINT);
    sender.signal(Signal::SIGTERM);
    let mut ended = nodes.into_iter().map(Paused::end).collect::<Vec<_>>();
    ended.push(sender.end());
    for (at, wanted) in [(0, 130), (1, 1), (2, 1), (3, 130)] {
        let (code, said) = &ended[at];
        assert_eq!(*code, Some(wanted), "{at}: {said}");
    }
    nothing_left(folder.path());
}

/// A recipe of a site: what its PARAMS leave out is as usual, what its flow leaves out is named.
#[test]
fn a_flow_without_one_of_its_functions() {
    let folder = scratch();
    let recipe = folder.path().join("site.rhai");
    let text = r#"import "std/rollout" as rollout;
        const PARAMS = [ #{ name: "source", type: "path" }, #{ name: "work", type: "path" } ];
        fn main(args) { rollout::run(args, #{ boot: boot, send: send, loader: install }) }
        fn slip(args) { rollout::run(args, #{ boot: boot, send: send, install: install, verifiy: install }) }
        fn full(args) { rollout::run(args, #{ boot: boot, send: send, install: install, loader: install }) }
        fn half(args) { rollout::run(args, #{ boot: other, send: nothing, install: install }) }
        fn boot(node) { boot::local() }
        fn other(node) { boot::linux(#{ kernel: "vmlinuz" }) }
        fn send(args) { chain::send(stream::blob(blob()), #{ session: args.session, nodes: args.nodes, timeout: "10ms" }) }
        fn nothing(args) { }
        fn install(args) { }
    "#;
    std::fs::write(&recipe, text).unwrap();
    let output = rehearse(recipe.to_str().unwrap(), folder.path(), &[]);
    failed(&output, &["error[rollout.flow]: the flow has no install", "called at", "site.rhai:3:"]);
    let output = rehearse(&format!("{}:slip", recipe.display()), folder.path(), &[]);
    failed(&output, &["error[rollout.flow]: nobody calls the flow's verifiy", "site.rhai:4:"]);
    assert!(!folder.path().join("work").exists());

    let source = tree(folder.path());
    let of_the_tree = ["--source", source.to_str().unwrap()];
    let output = rehearse(&format!("{}:full", recipe.display()), folder.path(), &of_the_tree);
    failed(&output, &["rehearsing 3 nodes", "error[chain.nobody]"]);
    let output = rehearse(&format!("{}:half", recipe.display()), folder.path(), &of_the_tree);
    failed(&output, &["error[rollout.flow]: ", "was told to boot vmlinuz, and the flow has no loader"]);
    nothing_left(folder.path());
}

/// What the machine had mounted before kar began can be unmounted while kar runs, and is free then.
#[test]
fn a_running_kar_keeps_no_filesystem_of_others_busy() {
    let folder = scratch();
    let (image, dir) = (folder.path().join("other.img"), folder.path().join("other"));
    std::fs::create_dir(&dir).unwrap();
    run(Command::new("truncate").args(["-s", "20M"]).arg(&image));
    run(Command::new("mkfs.ext4").arg("-q").arg(&image));
    run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&dir));
    let mut node = Paused::start(folder.path(), "receive", &["--name", "node1"]);
    // Its own image is attached and mounted by now, so all that it does to mounts it has done.
    eventually(LONG, "the node has mounted its disk", || {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.contains(&format!(" {}/node1 ext4 ", folder.path().display()))
    });
    run(Command::new("umount").arg(&dir));
    eventually(LONG, "the other image is free", || {
        !run(Command::new("losetup").args(["-l", "-n", "-O", "BACK-FILE"])).contains("other.img")
    });
    assert!(node.child.try_wait().unwrap().is_none(), "kar was running all the while");
    node.signal(Signal::SIGKILL);
    assert_eq!(node.end().0, None);
    // The program that it fed waits for this, too, and ends with its input.
    std::fs::write(folder.path().join("go"), "").unwrap();
    eventually(LONG, "the program has ended", || !anybody_in(folder.path()));
    nothing_left(folder.path());
}

/// Whether a process works in `folder`.
fn anybody_in(folder: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.path().join("cwd").read_link().ok()).any(|cwd| cwd.starts_with(folder))
}
