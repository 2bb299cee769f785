//! What makes a clone another machine than its neighbours, by the programs of the new system itself.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::golden::{debian, kar_in};
use crate::harness::{run, scratch};

#[test]
fn every_step_changes_what_it_says_and_nothing_else() {
    let dir = scratch();
    let root = dir.path().join("root");
    run(Command::new("cp").arg("-a").arg(debian()).arg(&root));
    run(Command::new("chroot").arg(&root).args(["ssh-keygen", "-q", "-A"]));
    let write = |path: &str, text: &str, mode: u32| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    write("root/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444);
    write("root/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tgolden.lab golden # goldenrod\n", 0o644);
    write("files/all/etc/motd", "of all\n", 0o644);
    write("files/all/etc/role", "any\n", 0o644);
    write("files/node7/etc/role", "seventh\n", 0o600);
    write("files/node8/etc/role", "eighth\n", 0o600);
    let kinds = ["ecdsa", "ed25519", "rsa"];
    let keys = kinds.map(|kind| read(&format!("etc/ssh/ssh_host_{kind}_key.pub")));
    let before = sums(&root);

    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/personalize.rhai"), dir.path().join("p.rhai"))
        .unwrap();
    let output = kar_in(dir.path(), &["run", "p.rhai", "--root", root.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let said: BTreeSet<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect();
    let mut differ: BTreeSet<String> =
        before.symmetric_difference(&sums(&root)).map(|line| line[34..].into()).collect();
    // The command line is the caller's own, and so is what it does.
    assert!(differ.remove("/srv/ran"));
    assert_eq!(said, differ);

    assert_eq!(read("etc/hostname"), "node7\n");
    assert_eq!(read("etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\tnode7.lab node7 # goldenrod\n");
    assert_eq!(read("etc/machine-id"), "");
    for (kind, old) in kinds.iter().zip(keys) {
        let new = read(&format!("etc/ssh/ssh_host_{kind}_key.pub"));
        assert!(new != old && new.trim().ends_with("root@node7"), "{new}");
        assert_eq!(mode(&root.join(format!("etc/ssh/ssh_host_{kind}_key"))), 0o600);
    }
    assert!(read("etc/network/interfaces").contains("iface ens3 inet dhcp"));
    assert_eq!((read("etc/motd"), read("etc/role")), ("of all\n".into(), "seventh\n".into()));
    assert_eq!(mode(&root.join("etc/role")), 0o600);
    assert_eq!(read("srv/ran"), "done\n");
    let scratch = std::fs::metadata(root.join("var/scratch/deep")).unwrap();
    assert_eq!((scratch.mode() & 0o7777, scratch.uid(), scratch.gid()), (0o1777, 65534, 100));
    assert!(root.join("var/plain").is_dir());
    // Nothing stays mounted in it.
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(root.to_str().unwrap()), "{mounts}");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

/// A line for each file: its digest and its path.
fn sums(root: &Path) -> BTreeSet<String> {
    let script = "find . -xdev -type f -print0 | xargs -0 md5sum";
    let text = run(Command::new("bash").args(["-c", script]).current_dir(root));
    text.lines().map(|line| line.replacen("  ./", "  /", 1)).collect()
}
