//! `kar run netboot`: one command from a kernel package to a folder that nodes boot from.

use std::process::Command;

use crate::harness::{run, scratch};
use crate::kernel;

/// What issue and guide promise: disks, filesystems and the usual network cards below 40 MiB, with a kar that is twice as
/// big as the released one.
#[test]
fn one_command_prepares_a_folder() {
    let dir = scratch();
    let site = dir.path().join("site.rhai");
    std::fs::write(&site, "//! Nothing.\nfn main() {}\n").unwrap();
    let output = Command::new(crate::harness::kar())
        .args(["run", "netboot", "--to", "boot", "--level", "3", "--recipes", "site.rhai", "--server", "10.0.0.1"])
        .arg("--kernel")
        .arg(kernel::tree())
        .arg("--kar")
        .arg(kernel::kar())
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("firmware-realtek") && !said.contains("not in this kernel"), "{said}");
    let boot = dir.path().join("boot");
    let size = std::fs::metadata(boot.join("kar/initrd.img")).unwrap().len();
    assert!(size < 40 << 20, "{size} bytes");
    assert!(size > 10 << 20, "{size} bytes are too few to be all");
    for (file, words) in [
        ("pxelinux.cfg/default", "kar.entry=main kar.server=10.0.0.1"),
        ("boot.ipxe", "kar.entry=main kar.server=10.0.0.1"),
        ("grub/grub.cfg", "kar.entry=main kar.server=10.0.0.1"),
    ] {
        let text = std::fs::read_to_string(boot.join(file)).unwrap();
        assert!(text.contains(words), "{file}: {text}");
    }
    let listed =
        run(Command::new("bash").args(["-c", "zstd -dcq kar/initrd.img | cpio --list --quiet"]).current_dir(&boot));
    for name in [
        "ext4",
        "vfat",
        "fuse",
        "virtio_blk",
        "virtio_scsi",
        "virtio_net",
        "nvme",
        "ahci",
        "e1000e",
        "igb",
        "ixgbe",
        "r8169",
        "tg3",
        "bnx2",
        "mlx5_core",
        "atlantic",
    ] {
        assert!(listed.lines().any(|line| line.ends_with(&format!("/{name}.ko"))), "{name}");
    }
    for program in
        ["usr/sbin/mke2fs", "usr/sbin/mkfs.fat", "usr/sbin/ntfsclone", "usr/bin/kar", "init", "recipes/site.rhai"]
    {
        assert!(listed.lines().any(|line| line == program), "{program}");
    }
}

#[test]
fn a_kernel_that_is_not_there_is_named() {
    let dir = scratch();
    let mut kar = Command::new(crate::harness::kar());
    let output = kar.args(["run", "netboot", "--kernel", "no-such.deb"]).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no-such.deb"), "{said}");
}
