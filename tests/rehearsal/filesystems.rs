//! The root on every kind of filesystem, with a fstab that says so.

use std::path::Path;
use std::process::Command;

use crate::flow::rehearse;
use crate::harness::{kar, need, run, scratch};
use crate::image::Partition;
use crate::listing::{differences, listing};

fn system(root: &Path) {
    let script = "mkdir -p etc usr; seq 1 2000 > usr/numbers; ln usr/numbers usr/same; chmod 4711 usr/same; \
                  printf 'LABEL=/ / ext4 errors=remount-ro 0 1\\n# kept\\n' > etc/fstab";
    std::fs::create_dir_all(root).unwrap();
    run(Command::new("sh").args(["-e", "-c", script]).current_dir(root));
}

#[test]
fn the_root_on_each_of_them() {
    need("mkfs.xfs", "xfsprogs");
    let folder = scratch();
    let source = folder.path().join("source");
    system(&source);
    for (kind, check) in [
        ("ext2", "e2fsck -fn"),
        ("ext3", "e2fsck -fn"),
        ("ext4", "e2fsck -fn"),
        ("xfs", "xfs_repair -n"),
        ("btrfs", "btrfs check"),
    ] {
        let words = ["--source", "source", "--nodes", "1", "--filesystem", kind];
        let output = rehearse("recipes/linux.rhai", folder.path(), &words);
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        let mut root = Partition::open(&folder.path().join("work/node1.img"), 3);
        let probed = run(Command::new("blkid").args(["-p", "-o", "export", &root.device]));
        assert!(probed.contains(&format!("TYPE={kind}\n")) && probed.contains("LABEL=root\n"), "{probed}");
        let uuid = probed.lines().find_map(|line| line.strip_prefix("UUID=")).unwrap();
        let checked = Command::new("sh").args(["-c", &format!("{check} {}", root.device)]).output().unwrap();
        assert!(checked.status.success(), "{kind}: {checked:?}");
        let dir = root.mount();
        let fstab = std::fs::read_to_string(dir.join("etc/fstab")).unwrap();
        // The options of another kind of filesystem would stop the boot.
        let options = if kind == "ext4" { "errors=remount-ro" } else { "defaults" };
        assert!(fstab.starts_with(&format!("UUID={uuid} / {kind} {options} 0 1\n# kept\nUUID=")), "{fstab}");
        assert!(fstab.ends_with(" none swap sw 0 0\n"), "{fstab}");
        let (mut wanted, mut found) = (listing(&source), listing(&dir));
        wanted.remove("etc/fstab");
        found.retain(|name, _| name != "lost+found" && name != "etc/fstab");
        assert!(differences(&wanted, &found).is_empty(), "{kind}: {:#?}", differences(&wanted, &found));
    }
}

/// The kernels that tests run on may not mount vfat: what goes without is looked at, and the flow says what is missing.
#[test]
fn vfat_for_uefi_as_far_as_this_kernel_goes() {
    need("fsck.vfat", "dosfstools");
    let folder = scratch();
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/vfat.rhai");
    run(Command::new(kar()).arg("run").arg(recipe).current_dir(folder.path()));
    let image = folder.path().join("uefi.img");
    let part = Partition::open(&image, 1);
    run(Command::new("fsck.vfat").args(["-n", &part.device]));
    let probed = run(Command::new("blkid").args(["-p", "-o", "export", &part.device]));
    assert!(probed.contains("LABEL=EFI\n") && probed.contains("VERSION=FAT32\n"), "{probed}");
    let uuid = probed.lines().find_map(|line| line.strip_prefix("UUID=")).unwrap();
    let mut root = Partition::open(&image, 3);
    let fstab = std::fs::read_to_string(root.mount().join("etc/fstab")).unwrap();
    assert!(fstab.contains(&format!("\nUUID={uuid} /boot/efi vfat umask=0077 0 1\n")), "{fstab}");

    system(&folder.path().join("source"));
    let words = ["--source", "source", "--nodes", "1", "--layout", "uefi"];
    let output = rehearse("recipes/linux.rhai", folder.path(), &words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mounts_it =
        Command::new("sh").args(["-c", "grep -qw vfat /proc/filesystems || modprobe -q vfat"]).status().unwrap();
    if mounts_it.success() {
        assert!(output.status.success(), "{stderr}");
    } else {
        assert!(
            stderr.contains("error[fs.mount]") && stderr.contains("this kernel has no `vfat`: its module is missing"),
            "{stderr}"
        );
    }
}
