//! A site's own recipe: other label, layout and filesystems, without a change in Rust or stdlib.

use std::process::Command;

use crate::flow::{rehearse, tree, wanted};
use crate::harness::{need, run, scratch};
use crate::image::{Partition, partitions};
use crate::listing::{differences, listing};

#[test]
fn a_site_changes_label_layout_and_filesystems() {
    need("mkfs.xfs", "xfsprogs");
    let folder = scratch();
    let source = tree(folder.path());
    let output = rehearse("tests/recipes/site.rhai", folder.path(), &["--source", source.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    for n in 1..=2 {
        let image = folder.path().join(format!("work/node{n}.img"));
        let verified = Command::new("sfdisk").arg("-V").arg(&image).output().unwrap();
        assert!(verified.status.success(), "{verified:?}");
        let numbers: Vec<u64> = partitions(&image).into_iter().map(|part| part.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "three primaries, the extended one, two logicals");
        let mut system = Partition::open(&image, 5);
        let kind = run(Command::new("blkid").args(["-p", "-s", "TYPE", "-o", "value", &system.device]));
        assert_eq!(kind.trim(), "xfs");
        let mut found = listing(&system.mount());
        // The folders that other partitions are mounted on are the layout's.
        found.retain(|name, _| !["etc/fstab", "boot", "home"].contains(&name.as_str()));
        let differ = differences(&wanted(&source), &found);
        assert!(differ.is_empty(), "node{n}: {differ:#?}");
        run(Command::new("e2fsck").args(["-fn", &Partition::open(&image, 1).device]));
    }
}

/// `#{ boot, send, install, loader }` is a whole flow: what is where on a node's disk is read from its fstab.
#[test]
fn a_flow_that_does_not_say_what_is_on_the_disk() {
    let folder = scratch();
    let source = tree(folder.path());
    let words = ["--source", source.to_str().unwrap()];
    let output = rehearse("tests/recipes/plain.rhai", folder.path(), &words);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.matches("ok, same as the source").count(), 2, "{stdout}");
}
