//! Machines with EFI: grub-efi and systemd-boot, installed by recipes/lilo.rhai as it runs on a node: inside a machine,
//! with real disks, and a kernel that mounts the EFI system partition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::golden::{copy, debian, kar_well};
use crate::harness::vm::{Firmware, Hardware, Machine};
use crate::harness::{kar, scratch};

const BOOT: Duration = Duration::from_secs(300);

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

#[test]
fn the_second_boot_on_a_node_with_efi() {
    let folder = scratch();
    let image = PathBuf::from(std::env::var("IMG").unwrap());
    let grub = without_loader(folder.path());
    let systemd = folder.path().join("systemd.img");
    copy(&grub, &systemd);
    let hardware = Hardware::booting(&image).with_disk(&grub).with_disk(&systemd).with_disk(&binary(folder.path()));
    let mut node = Machine::start(&hardware);
    node.log_in(0, BOOT);
    eprintln!("{:?}", node.running_for());
    node.shell("dd if=/dev/vdd of=/root/kar bs=1M status=none && chmod +x /root/kar && mkdir steps", BOOT);
    eprintln!("{:?}", node.running_for());
    for (disk, loader) in [("vdb", "grub-efi"), ("vdc", "systemd-boot")] {
        let command = format!(
            "/root/kar run lilo --disk /dev/{disk} --loader {loader} --cmdline console=ttyS0,115200 --steps steps --host {loader}"
        );
        eprintln!("{}", node.shell(&command, BOOT));
        eprintln!("{:?}", node.running_for());
    }
    assert_eq!(node.shell("cat steps/*", BOOT), "ready\nready");
    node.enter("poweroff");
    node.ended(BOOT);
    let [grub, systemd] =
        [grub, systemd].map(|image| Machine::start(&Hardware::booting(&image).with_firmware(Firmware::Uefi)));
    for machine in [grub, systemd] {
        machine.expect("golden login:", 0, BOOT);
        eprintln!("{:?}", machine.running_for());
        eprintln!("{}", machine.console());
    }
}
