//! The system that the lab clones: the Debian of `tests/boot/debian-tree`, with Debian's usual kernel in place of the one for
//! clouds, which has no driver for an e1000 card. Made once, and anew when either of the two has changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{kar, run};
use crate::kernel;

/// Drivers and filesystems of the lab's machines; all 390 MB would only make the copies longer.
const MODULES: [&str; 15] = [
    "arch/x86/crypto",
    "block",
    "crypto",
    "drivers/ata",
    "drivers/block",
    "drivers/char",
    "drivers/net/ethernet/intel/e1000",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/nvme",
    "drivers/scsi",
    "drivers/virtio",
    "fs",
    "lib",
    "net/core",
];

/// Made once for all tests.
pub fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(make)
}

fn make() -> PathBuf {
    let target = kar().ancestors().nth(2).expect("the binary lies in a profile's folder of target");
    let debian = target.join("debian-tree");
    let made_by = std::fs::read_to_string(target.join("debian-tree.made-by"));
    let made_by = made_by
        .unwrap_or_else(|_| panic!("this test needs a Debian system: `tests/boot/debian-tree {}`", debian.display()));
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab-tree");
    let stamp = tree.with_extension("made-of");
    let sum = format!("{made_by}{}\n{MODULES:?}\n", kernel::release());
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == sum) {
        return tree;
    }
    let _ = std::fs::remove_file(&stamp);
    let new = tree.with_extension("new");
    for old in [&tree, &new] {
        run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(old));
    }
    run(Command::new("cp").arg("-a").arg(&debian).arg(&new));
    change_kernel(&new);
    std::fs::rename(&new, &tree).unwrap();
    std::fs::write(stamp, sum).unwrap();
    tree
}

fn change_kernel(root: &Path) {
    let release = kernel::release();
    let script = r#"
        set -eu
        rm -rf "$ROOT"/boot/*-cloud-* "$ROOT"/lib/modules/* "$ROOT"/vmlinuz* "$ROOT"/initrd.img*
        cp "$VMLINUZ" "$KERNEL/boot/config-$RELEASE" "$ROOT/boot"
        from="$KERNEL/lib/modules/$RELEASE" to="$ROOT/lib/modules/$RELEASE"
        for module in "$@"; do
            place="$(dirname "$to/kernel/$module")"
            mkdir -p "$place"
            cp -r "$from/kernel/$module" "$place"
        done
        cp "$from"/modules.builtin* "$from/modules.order" "$to"
        depmod -b "$ROOT" "$RELEASE"
        chroot "$ROOT" update-initramfs -c -k "$RELEASE" 2>&1
        ln -s "boot/vmlinuz-$RELEASE" "$ROOT/vmlinuz"
        ln -s "boot/initrd.img-$RELEASE" "$ROOT/initrd.img"
    "#;
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).args(MODULES);
    command.env("ROOT", root).env("KERNEL", kernel::tree()).env("VMLINUZ", kernel::vmlinuz());
    run(command.env("RELEASE", release).env("LC_ALL", "C"));
}
