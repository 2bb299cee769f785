//! recipes/lab.rhai: virtual machines with empty disks, from their boot ROM to the login prompt of the system that was
//! cloned onto them. The cheapest set of machines that has every kind of hardware once.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../node/kernel.rs"]
mod kernel;
mod system;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::{kar, need, need_file, scratch};

/// What the machines boot: made once.
fn boot_files() -> &'static Path {
    static FILES: OnceLock<PathBuf> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab-boot");
        let mut netboot = Command::new(kar());
        netboot.args(["run", "netboot", "--level", "3", "--to"]).arg(&folder);
        netboot.arg("--kernel").arg(kernel::tree()).arg("--kar").arg(kernel::kar());
        harness::run(&mut netboot);
        folder
    })
}

/// What the lab did.
struct Lab {
    well: bool,
    said: String,
    folder: tempfile::TempDir,
}

impl Lab {
    fn run(words: &[&str]) -> Lab {
        need("qemu-system-x86_64", "qemu-system-x86");
        need_file("/usr/lib/ipxe/qemu/pxe-e1000.rom", "ipxe-qemu");
        let folder = scratch();
        let mut run = Command::new(kar());
        run.args(["run", "lab", "--work"]).arg(folder.path()).arg("--tree").arg(system::tree());
        run.arg("--boot-files").arg(boot_files()).args(["--limit", "10m"]).args(words);
        let output = run.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Lab { well: output.status.success(), said, folder }
    }

    #[track_caller]
    fn well(words: &[&str]) -> Lab {
        let lab = Lab::run(words);
        if !lab.well {
            for node in ["node1", "node2"] {
                let text = lab.console(node);
                let lines: Vec<&str> = text.lines().collect();
                println!("{node}:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
            }
            panic!("{}", lab.said);
        }
        lab
    }

    /// A file of the lab's folder ending in `.console..`; empty where there is none.
    fn console(&self, name: &str) -> String {
        let (node, end) = name.split_once('.').unwrap_or((name, ""));
        let file = format!("{node}.console{}{end}", if end.is_empty() { "" } else { "." });
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join(file)).unwrap_or_default()).replace('\r', "")
    }

    /// The last table's cells of a machine, where its files were those of the source.
    #[track_caller]
    fn row(&self, node: &str) -> Vec<&str> {
        let row = self.said.lines().find(|line| line.starts_with(node) && line.contains("same as the source"));
        let row = row.unwrap_or_else(|| panic!("{node} is not compared: {}", self.said));
        row.split_whitespace().skip(1).take(5).collect()
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        for words in words {
            assert!(self.said.contains(words), "`{words}` is not in\n{}", self.said);
        }
    }
}

/// Two at once, of different hardware. The power of one is cut at each stage: it begins that stage again, and the other one
/// never notices.
#[test]
fn bios_machines_go_from_their_rom_to_a_login_prompt() {
    let hardware = ["--nodes", "2", "--nic", "virtio,e1000", "--disk", "virtio,scsi", "--label", "mbr"];
    let cut = ["node1: partitions of", "node1: files of", "node1: boot loader"];
    let lab = Lab::well(&[&hardware[..], &["--cut", &cut.join(",")]].concat());
    for (node, nic, disk) in [("node1", "virtio", "virtio"), ("node2", "e1000", "scsi")] {
        assert_eq!(lab.row(node), ["bios", nic, disk, "512", "mbr"]);
        assert!(lab.console(node).contains(&format!("{node} login:")));
        let install = lab.console(&format!("{node}.install"));
        assert!(install.contains("boot loader extlinux"), "{install}");
        lab.says(&[&format!("{node}: boot loader extlinux")]);
    }
    for (at, text) in cut.iter().enumerate() {
        lab.says(&[&format!("node1: power cut at {text}")]);
        assert!(lab.console(&format!("node1.cut{}", at + 1)).contains(text));
    }
    lab.says(&["install > install > install > loader > loader > local", "install > loader > local"]);
}

/// UEFI's own PXE; an NVMe disk with sectors of 4096 bytes and a SCSI disk; each machine in a session of its own, from
/// servers that share the network.
#[test]
fn uefi_machines_of_two_sessions_do_not_touch_each_other() {
    let hardware = ["--nodes", "2", "--firmware", "uefi", "--disk", "nvme,scsi", "--sector", "4096,512"];
    let lab = Lab::well(&[&hardware[..], &["--rooms", "2"]].concat());
    for (node, disk, sector) in [("node1", "nvme", "4096"), ("node2", "scsi", "512")] {
        assert_eq!(lab.row(node), ["uefi", "virtio", disk, sector, "gpt"]);
        assert!(lab.console(node).contains(&format!("{node} login:")));
    }
    for room in [1, 2] {
        lab.says(&[&format!("room{room} at 10.79.0.{room}` starts: node{room} (10.79.0.1{room})")]);
    }
}

/// It says why on its console and to the server, comes back once, and is parked: it never goes on for ever.
#[test]
fn a_machine_that_cannot_be_installed_is_parked_with_the_reason() {
    let lab = Lab::run(&["--nodes", "1", "--more=--disk=/dev/sdz,--tries=1"]);
    assert!(!lab.well);
    lab.says(&["error[room.parked]", "node1 failed: ", "node1 (10.79.0.11) is parked"]);
    for text in [&lab.said, &lab.console("node1")] {
        assert!(text.contains("/dev/sdz") && text.contains("/dev/vda"), "{text}");
    }
}

#[test]
fn what_the_lab_does_not_have_is_named() {
    for (words, expected) in [
        (["--sector", "4096"], "a BIOS boots no disk with sectors of 4096 bytes"),
        (["--disk", "floppy"], "--disk does not take floppy"),
        (["--rooms", "3"], "2 machines cannot be dealt out to 3 rooms"),
    ] {
        let output = Command::new(kar()).args(["run", "lab"]).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{said}");
    }
}
