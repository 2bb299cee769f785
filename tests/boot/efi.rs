//! Machines with EFI: grub-efi and systemd-boot, installed by recipes/lilo.rhai as it runs on a node: inside a machine,
//! with real disks, and a kernel that mounts the EFI system partition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::golden::{copy, debian, kar_well};
use crate::harness::kar;
use crate::harness::vm::{Firmware, Hardware, Machine};

/// `grub-mkconfig` starts hundreds of programs, which takes a minute in software, more where other tests run.
const BOOT: Duration = Duration::from_secs(300);

const SERIAL: &str = "console=ttyS0,115200";

/// A cloned disk with an empty EFI system partition, and no loader.
fn without_loader(folder: &Path) -> PathBuf {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/efi.rhai");
    kar_well(folder, &["run", recipe, "--source", debian().to_str().unwrap(), "--work", "efi"]);
    folder.join("efi/node1.img")
}

/// The binary as a disk: whole sectors.
fn binary(folder: &Path) -> PathBuf {
    let image = folder.join("kar.img");
    std::fs::copy(kar(), &image).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(file.metadata().unwrap().len().next_multiple_of(1 << 20)).unwrap();
    image
}

/// Disks for the node, and what installs a loader on each when it runs there.
pub struct Node {
    pub hardware: Hardware,
    disks: [PathBuf; 2],
}

const LOADERS: [&str; 2] = ["grub-efi", "systemd-boot"];

/// A machine that boots from `image`, with two cloned disks that have no loader yet.
pub fn node(folder: &Path, image: &Path) -> Node {
    let first = without_loader(folder);
    let second = folder.join("second.img");
    copy(&first, &second);
    let hardware = Hardware::booting(image).with_disk(&first).with_disk(&second).with_disk(&binary(folder));
    Node { hardware, disks: [first, second] }
}

impl Node {
    /// The second boot on the node itself: real disks, a kernel that mounts the EFI system partition. Ends the machine.
    pub fn install(&self, mut node: Machine) {
        node.log_in(0, BOOT);
        node.shell("dd if=/dev/vdd of=/root/kar bs=1M status=none && chmod +x /root/kar", BOOT);
        for (disk, loader) in ["vdb", "vdc"].iter().zip(LOADERS) {
            let words =
                format!("--disk /dev/{disk} --loader {loader} --cmdline {SERIAL} --steps steps --host {loader}");
            let said = node.shell(&format!("/root/kar run lilo {words}"), BOOT);
            assert!(said.contains(&format!("{loader} starts root=UUID=")), "{said}");
        }
        assert_eq!(node.shell("cat steps/*", BOOT), "ready\nready");
        assert_eq!(node.shell("grep -c '/dev/vd[bc]' /proc/mounts || true", BOOT), "0", "all is unmounted");
        node.enter("poweroff");
        node.ended(BOOT);
    }

    /// Both disks boot by EFI, each through its loader, with the root and swap that their fstab now names.
    pub fn boot(&self) {
        let start = |image: &PathBuf| Machine::start(&Hardware::booting(image).with_firmware(Firmware::Uefi));
        let [grub, systemd] = [start(&self.disks[0]), start(&self.disks[1])];
        for (machine, sign) in [(grub, "Welcome to GRUB!"), (systemd, "LINUX_EFI_INITRD_MEDIA_GUID")] {
            let at = machine.expect(sign, 0, BOOT);
            let at = machine.expect("Reached target \u{1b}[0;1;39mswap.target", at, BOOT);
            machine.expect("golden login:", at, BOOT);
        }
    }
}
