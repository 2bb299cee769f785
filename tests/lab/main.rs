//! recipes/lab.rhai: virtual machines with empty disks, from their boot ROM to the login prompt of the system that was
//! cloned onto them. The cheapest set of machines that has every kind of hardware once.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../node/kernel.rs"]
mod kernel;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use harness::{kar, need, need_file, scratch};

/// Machines of two tests at once would only wait for each other.
static ROOM: Mutex<()> = Mutex::new(());

/// The Debian system that `tests/run` builds.
fn debian() -> PathBuf {
    let target = kar().ancestors().nth(2).expect("the binary lies in a profile's folder of target");
    let tree = target.join("debian-tree");
    assert!(
        target.join("debian-tree.made-by").is_file(),
        "this test needs a Debian system: `tests/boot/debian-tree {}`",
        tree.display()
    );
    tree
}

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

/// Runs the lab; gives what it said, and the folder with the consoles.
#[track_caller]
fn lab(words: &[&str]) -> (String, tempfile::TempDir) {
    let (well, said, folder) = run(words);
    if !well {
        for node in ["node1", "node2"] {
            let console = std::fs::read(folder.path().join(format!("{node}.console"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&console).replace('\r', "");
            let lines: Vec<&str> = text.lines().collect();
            println!("{node}:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        panic!("{said}");
    }
    (said, folder)
}

fn run(words: &[&str]) -> (bool, String, tempfile::TempDir) {
    let _alone = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
    need("qemu-system-x86_64", "qemu-system-x86");
    need_file("/usr/lib/ipxe/qemu/pxe-e1000.rom", "ipxe-qemu");
    let folder = scratch();
    let mut run = Command::new(kar());
    run.args(["run", "lab", "--work"]).arg(folder.path()).arg("--tree").arg(debian());
    run.arg("--boot-files").arg(boot_files()).args(words);
    let output = run.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said, folder)
}

fn console(folder: &tempfile::TempDir, file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(folder.path().join(file)).unwrap()).replace('\r', "")
}

/// Two at once, of different hardware; the power of one is cut in the middle of the stream, and it begins again.
#[test]
fn two_bios_machines_go_from_their_rom_to_a_login_prompt() {
    let words = ["--nodes", "2", "--nic", "virtio,e1000", "--disk", "virtio,scsi", "--label", "mbr"];
    let (said, folder) = lab(&[&words[..], &["--cut", "session"]].concat());
    assert!(said.contains("node1: power cut at"), "{said}");
    for (node, nic, disk) in [("node1", "virtio", "virtio"), ("node2", "e1000", "scsi")] {
        let row = said.lines().find(|line| line.starts_with(node) && line.contains("same as the source"));
        let row = row.unwrap_or_else(|| panic!("{node} is not compared: {said}"));
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[1..6], ["bios", nic, disk, "512", "mbr"], "{row}");
        assert!(console(&folder, &format!("{node}.console")).contains(&format!("{node} login:")));
        assert!(console(&folder, &format!("{node}.console.install")).contains("iPXE"));
    }
    // The second boot was the installed system's kernel, with kar as its first process; and the server heard of all.
    let install = console(&folder, "node2.console.install");
    assert!(install.contains("==> boot loader extlinux"), "{install}");
    assert!(said.contains("node2: boot loader extlinux"), "{said}");
    assert!(said.contains("install > loader > local"), "{said}");
}

/// UEFI's own PXE, an NVMe disk with sectors of 4096 bytes, GPT.
#[test]
fn a_uefi_machine_with_large_sectors_goes_to_a_login_prompt() {
    let (said, folder) =
        lab(&["--nodes", "1", "--firmware", "uefi", "--disk", "nvme", "--sector", "4096", "--label", "gpt"]);
    let row = said.lines().find(|line| line.contains("same as the source")).unwrap_or_else(|| panic!("{said}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[..6], ["node1", "uefi", "virtio", "nvme", "4096", "gpt"], "{row}");
    assert!(console(&folder, "node1.console").contains("node1 login:"));
}

/// It says why on its console and to the server, comes back once, and is parked: it never goes on for ever.
#[test]
fn a_machine_that_cannot_be_installed_is_parked_with_the_reason() {
    let (well, said, folder) = run(&["--nodes", "1", "--more=--disk=/dev/sdz,--tries=1"]);
    assert!(!well && said.contains("error[room.parked]"), "{said}");
    for text in [said.as_str(), &console(&folder, "node1.console")] {
        assert!(text.contains("/dev/sdz") && text.contains("/dev/vda"), "{text}");
    }
    assert!(said.contains("node1 failed: ") && said.contains("node1 (10.79.0.11) is parked"), "{said}");
}

#[test]
fn what_the_lab_needs_is_named() {
    let output = Command::new(kar()).args(["run", "lab", "--sector", "4096"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("a BIOS boots no disk with sectors of 4096 bytes"), "{said}");
    let output = Command::new(kar()).args(["run", "lab", "--disk", "floppy"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--disk does not take floppy"), "{said}");
}
