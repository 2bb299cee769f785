//! A rollout on a real network, without the machines: what its server says of a bad list of them, and whom it serves.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::netns::Net;
use crate::harness::{eventually, kar, run, scratch};

const LONG: Duration = Duration::from_secs(60);

/// `kar run linux` on node 1, with these machines and words.
fn server(net: &Net, folder: &Path, hosts: &str, words: &[&str]) -> Command {
    std::fs::create_dir_all(folder.join("netboot/kar")).unwrap();
    for file in ["vmlinuz", "initrd.img"] {
        std::fs::write(folder.join("netboot/kar").join(file), file).unwrap();
    }
    std::fs::create_dir_all(folder.join("source/boot")).unwrap();
    std::fs::write(folder.join("source/file"), "golden").unwrap();
    std::fs::write(folder.join("hosts"), hosts).unwrap();
    let mut command = net.command(1, kar().to_str().unwrap());
    command.args(["run", "linux", "--interface", "eth0", "--hosts", "hosts", "--source", "source", "--work", "work"]);
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command
}

#[test]
fn a_list_of_machines_that_cannot_be_told_apart_is_refused() {
    let net = Net::new("room", 1);
    for (hosts, expected) in [
        (
            "10.77.0.11 52:54:00:00:00:01\n10.77.1.11 52:54:00:00:00:02\n",
            "10.77.0.11 and 10.77.1.11 are both called node11",
        ),
        ("dhcp-host=52:54:00:00:00:01,a\ndhcp-host=52:54:00:00:00:02,10.77.0.12,b\n", "hosts has no address for a"),
    ] {
        let folder = scratch();
        let output = server(&net, folder.path(), hosts, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("room.hosts") && said.contains(expected), "{said}");
    }
}

/// Of two machines one is switched on: after `--wait` it gets all, and the other one, which comes later, does as well.
#[test]
fn who_is_there_does_not_wait_for_who_is_not() {
    let net = Net::new("room", 3);
    let folder = scratch();
    let hosts = "10.77.0.2 52:54:00:00:00:02 a\n10.77.0.3 52:54:00:00:00:03 b\n";
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut serving = server(&net, folder.path(), hosts, &["--wait", "2s"]);
    net.adopt(serving.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    for (node, name) in [(2, "a"), (3, "b")] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let take =
            format!("chain::receive(tar::into(\"{name}\"), #{{ server: \"10.77.0.1\", name: \"{name}\" }}).bytes");
        run(net.command(node, kar().to_str().unwrap()).args(["eval", &take]).current_dir(folder.path()));
        assert_eq!(std::fs::read_to_string(folder.path().join(name).join("file")).unwrap(), "golden");
    }
}

/// The second boot's kernel is the newest that has its filesystem, by version and not by letters, and it comes over HTTP and TFTP.
#[test]
fn the_second_boot_gets_the_newest_kernel_of_the_source() {
    let net = Net::new("room", 2);
    let folder = scratch();
    let hosts = "10.77.0.2 52:54:00:00:00:02 a\n";
    let mut serving = server(&net, folder.path(), hosts, &[]);
    let boot = folder.path().join("source/boot");
    let names =
        ["vmlinuz-6.1.0-9", "initrd.img-6.1.0-9", "vmlinuz-6.1.0-10", "initramfs-6.1.0-10.img", "vmlinuz-6.1.0-11"];
    for name in names {
        std::fs::write(boot.join(name), name).unwrap();
    }
    net.adopt(serving.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let get = |path: &str| {
        let output = net
            .command(2, "curl")
            .args(["-s", "--max-time", "20", &format!("http://10.77.0.1/{path}")])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually(LONG, "the room serves", || get("vmlinuz") == "vmlinuz-6.1.0-10");
    assert_eq!(get("initrd.img"), "initramfs-6.1.0-10.img");
    let script = get("boot.ipxe");
    assert!(script.contains("kernel kar/vmlinuz") && script.contains("kar.entry=install"), "{script}");
    let by_tftp = "print(tftp::get(\"10.77.0.1\", \"initrd.img\"))";
    assert_eq!(run(net.command(2, kar().to_str().unwrap()).args(["eval", by_tftp])).trim(), "initramfs-6.1.0-10.img");
    assert_eq!(std::fs::read_to_string(folder.path().join("work/boots/a")).unwrap(), "install\n");
}

/// A machine that comes back too often is sent to its own disk, and that is what is written down of it: not a boot that never was.
#[test]
fn a_machine_that_is_parked_was_not_told_to_install() {
    let net = Net::new("room", 2);
    let folder = scratch();
    let mut serving = server(&net, folder.path(), "10.77.0.2 52:54:00:00:00:02 a\n", &["--tries", "1", "--http", "0"]);
    let serving = serving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let script = || {
        let get = "print(tftp::get(\"10.77.0.1\", \"boot.ipxe\"))";
        let output = net.command(2, kar().to_str().unwrap()).args(["eval", get]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut first = String::new();
    eventually(LONG, "the room serves", || {
        first = script();
        !first.is_empty()
    });
    assert!(first.contains("kar.entry=install"), "{first}");
    // What asks again within 10 s is the same boot.
    std::thread::sleep(Duration::from_secs(11));
    let second = script();
    assert!(!second.contains("kernel") && second.contains("exit"), "{second}");
    let output = serving.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("error[room.parked]: 1 of 1 nodes"), "{said}");
    assert_eq!(said.matches("a boots install").count(), 1, "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("work/boots/a")).unwrap(), "install\nlocal\n");
}
