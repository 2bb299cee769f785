//! A site's own recipe: other label, layout, filesystems, boot loader, boot rule and steps, without a change in Rust or
//! stdlib.

use std::path::Path;
use std::process::Command;

use crate::flow::{rehearse, tree, wanted};
use crate::harness::{need, run, scratch};
use crate::image::{Partition, partitions};
use crate::listing::{differences, listing};

#[test]
fn a_site_changes_everything_changeable() {
    need("mkfs.xfs", "xfsprogs");
    let folder = scratch();
    let source = tree(folder.path());
    let output = rehearse("tests/recipes/site.rhai", folder.path(), &["--source", source.to_str().unwrap()]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");

    for n in 1..=3 {
        let row = stdout.lines().find(|line| line.starts_with(&format!("node{n} "))).unwrap();
        let tested = n != 2;
        let boots = if tested { "install > loader > burnin > local disk" } else { "install > loader > local disk" };
        assert!(row.contains(&format!("  {boots}  ")), "{row}");
        assert!(row.ends_with("ok, same as the source, but for /boot/loader.cfg /etc/burnin"), "{row}");
        let told = format!("node{n}: boot 2: vmlinuz root=LABEL=system console=ttyS{}", n % 2);
        assert!(stderr.contains(&told), "`{told}` is missing in:\n{stderr}");
        let step = std::fs::read_to_string(folder.path().join(format!("work/steps/node{n}"))).unwrap();
        assert_eq!(step.trim(), if tested { "ready" } else { "burnin" });

        let image = folder.path().join(format!("work/node{n}.img"));
        let verified = Command::new("sfdisk").arg("-V").arg(&image).output().unwrap();
        assert!(verified.status.success(), "{verified:?}");
        let numbers: Vec<u64> = partitions(&image).into_iter().map(|part| part.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "three primaries, the extended one, two logicals");
        let mut code = [0; 14];
        std::io::Read::read_exact(&mut std::fs::File::open(&image).unwrap(), &mut code).unwrap();
        assert_eq!(&code, b"our own loader");

        let mut system = Partition::open(&image, 5);
        let probed = run(Command::new("blkid").args(["-p", "-o", "export", &system.device]));
        assert!(probed.contains("TYPE=xfs\n") && probed.contains("LABEL=system\n"), "{probed}");
        let uuid = probed.lines().find_map(|line| line.strip_prefix("UUID=")).unwrap();
        let dir = system.mount();
        let log = std::fs::read_to_string(dir.join("etc/burnin"));
        assert_eq!(log.ok(), tested.then(|| format!("node{n}: {} bytes read\n", 1 << 30)));
        let mut found = listing(&dir);
        // The folders that other partitions are mounted on are the layout's.
        found.retain(|name, _| !["etc/fstab", "etc/burnin", "boot", "home"].contains(&name.as_str()));
        let differ = differences(&wanted(&source), &found);
        assert!(differ.is_empty(), "node{n}: {differ:#?}");

        let mut boot = Partition::open(&image, 1);
        run(Command::new("e2fsck").args(["-fn", &boot.device]));
        let config = std::fs::read_to_string(boot.mount().join("loader.cfg")).unwrap();
        assert_eq!(config, format!("kernel /vmlinuz root=UUID={uuid}\n"));
        let fstab = std::fs::read_to_string(dir.join("etc/fstab")).unwrap();
        assert!(fstab.contains(" /boot ext2 noatime 0 2\n") && fstab.contains(" /home ext3 defaults 0 2\n"), "{fstab}");
    }
}

/// A boot that the flow has no function for is told, with the name that is missing.
#[test]
fn an_entry_that_the_flow_does_not_have() {
    let folder = scratch();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/site.rhai")).unwrap();
    let recipe = folder.path().join("site.rhai");
    std::fs::write(&recipe, text.replace("entries: #{ burnin: burnin }", "entries: #{}")).unwrap();
    std::fs::create_dir(folder.path().join("source")).unwrap();
    let output = rehearse(recipe.to_str().unwrap(), folder.path(), &["--source", "source", "--nodes", "1"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error[rollout.flow]: node1: it was told to boot kar for burnin"), "{stderr}");
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
