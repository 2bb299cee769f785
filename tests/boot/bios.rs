//! Machines with a BIOS: extlinux and grub-pc.

use std::time::Duration;

use crate::disk::Mounted;
use crate::efi;
use crate::golden::clone;
use crate::harness::scratch;
use crate::harness::vm::{Hardware, Machine};

/// Firmware to login takes 20 to 40 s in software where nothing else runs.
const BOOT: Duration = Duration::from_secs(300);

const SERIAL: &str = "console=ttyS0,115200";

/// And this machine is then the node on which EFI's loaders are installed: one boot less to wait for.
#[test]
fn a_clone_boots_through_extlinux_and_installs_loaders_of_efi() {
    let folder = scratch();
    let image = clone(folder.path(), &["--loader", "extlinux", "--cmdline", SERIAL]);
    let node = efi::node(folder.path(), &image);
    let machine = Machine::start(&node.hardware);
    let at = machine.expect("SYSLINUX 6", 0, BOOT);
    machine.expect(" login:", at, BOOT);

    let root = Mounted::named(&image, "root");
    let started = format!("root=UUID={} ro {SERIAL}", root.uuid());
    assert!(machine.console().contains(&started), "the kernel was told `{started}`");
    assert!(root.read("boot/extlinux/extlinux.conf").contains(&format!("append {started}")));
    drop(root);

    node.install(machine);
    node.boot();
}

#[test]
fn a_clone_boots_through_grub() {
    let folder = scratch();
    let image = clone(folder.path(), &["--loader", "grub-pc", "--cmdline", SERIAL]);
    let machine = Machine::start(&Hardware::booting(&image));
    let at = machine.expect("GNU GRUB", 0, BOOT);
    machine.expect(" login:", at, BOOT);

    let root = Mounted::named(&image, "root");
    let started = format!("root=UUID={} ro", root.uuid());
    assert!(machine.console().contains(&started), "the kernel was told `{started}`");
    let config = root.read("boot/grub/grub.cfg");
    assert!(config.contains(&started) && !config.contains("/dev/loop"), "{config}");
}
