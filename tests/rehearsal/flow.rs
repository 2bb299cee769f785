//! `kar run recipes/linux.rhai`, asserted file by file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{kar, need, run, scratch};
use crate::image::{Partition, partitions};
use crate::listing::{differences, listing};

/// A tree with a bit of everything: files, links of both kinds, devices, holes, attributes, odd names.
pub fn tree(root: &Path) -> PathBuf {
    need("setfattr", "attr");
    let source = root.join("source");
    let script = r#"
        set -e
        mkdir -p usr/bin usr/lib/deep/er etc tmp/cache var/empty
        cp /usr/bin/env /usr/bin/sort usr/bin/; chmod 4755 usr/bin/env
        ln usr/bin/sort usr/bin/other; ln -s ../bin/sort usr/lib/link; ln -s /nowhere usr/lib/dangling
        head -c 3000000 /dev/urandom > usr/lib/data; truncate -s 50M usr/lib/holes; echo end >> usr/lib/holes
        printf 'UUID=0 / ext4 defaults 0 1\nserver:/home /home nfs defaults 0 0\n' > etc/fstab
        echo secret > etc/shadow; chmod 640 etc/shadow; chown 0:42 etc/shadow
        mknod usr/lib/null c 1 3; mkfifo usr/lib/pipe; echo x > tmp/cache/x; echo y > tmp/y
        setfattr -n user.note -v kept usr/lib/data; chown 12345:54321 usr/lib/deep
        touch -d '2001-02-03 04:05:06.789' usr/lib/deep/er/old; chmod 1777 tmp; chmod 0 var/empty
        long=$(printf 'n%.0s' $(seq 1 200)); mkdir -p $long/$long; echo long > $long/$long/$long
        for i in $(seq 1 300); do echo $i > usr/lib/deep/file$i; done
    "#;
    std::fs::create_dir_all(&source).unwrap();
    run(Command::new("sh").args(["-c", script]).current_dir(&source));
    source
}

pub fn rehearse(recipe: &str, folder: &Path, words: &[&str]) -> Output {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join(recipe);
    Command::new(kar())
        .arg("run")
        .arg(recipe)
        .arg("--work")
        .arg(folder.join("work"))
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The source as a node has to have it: without what was excluded, with a new fstab.
pub fn wanted(source: &Path) -> std::collections::BTreeMap<String, String> {
    let mut wanted = listing(source);
    wanted.retain(|name, _| !name.starts_with("tmp/") && name != "etc/fstab");
    wanted
}

#[test]
fn three_nodes_have_the_tree_exactly() {
    let folder = scratch();
    let source = tree(folder.path());
    let output = rehearse("recipes/linux.rhai", folder.path(), &["--source", source.to_str().unwrap(), "--nodes", "3"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");

    let rows: Vec<Vec<&str>> =
        stdout.lines().map(|line| line.split("  ").filter(|w| !w.is_empty()).map(str::trim).collect()).collect();
    assert_eq!(rows[0], ["node", "boots", "bytes", "MB/s", "digest", "result"]);
    for (n, row) in rows[1..].iter().enumerate() {
        assert_eq!(row[0], format!("node{}", n + 1));
        assert_eq!(row[1], "install > loader > local disk");
        assert_eq!(row[2], rows[1][2]);
        assert_eq!(row[4], rows[1][4]);
        assert_eq!(row[5], "ok, same as the source");
    }
    assert_eq!(rows.len(), 4, "{stdout}");

    let work = folder.path().join("work");
    need("sgdisk", "gdisk");
    for n in 1..=3 {
        let image = work.join(format!("node{n}.img"));
        let checked = run(Command::new("sgdisk").arg("-v").arg(&image));
        assert!(checked.contains("No problems found"), "{checked}");
        let names: Vec<String> = partitions(&image).into_iter().map(|part| part.3).collect();
        assert_eq!(names, ["bios", "swap", "root"]);
        let mut root = Partition::open(&image, 3);
        run(Command::new("e2fsck").args(["-fn", &root.device]));
        let uuid = run(Command::new("blkid").args(["-p", "-s", "UUID", "-o", "value", &root.device]));
        let dir = root.mount();
        let mut found = listing(&dir);
        found.retain(|name, _| name != "lost+found" && name != "etc/fstab");
        let differ = differences(&wanted(&source), &found);
        assert!(differ.is_empty(), "node{n}: {differ:#?}");
        let fstab = std::fs::read_to_string(dir.join("etc/fstab")).unwrap();
        assert!(fstab.contains(&format!("UUID={} / ext4 defaults 0 1", uuid.trim())), "{fstab}");
        assert!(fstab.contains("server:/home /home nfs defaults 0 0") && !fstab.contains("UUID=0 "), "{fstab}");
        assert_eq!(std::fs::read_to_string(work.join(format!("steps/node{n}"))).unwrap().trim(), "ready");
    }
    journal_tells_all(&work.join("journal.jsonl"));
}

/// Every line is JSON with the keys that sites read, and each node's effects are there in their order.
fn journal_tells_all(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let entries: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for entry in &entries {
        for key in ["time", "duration", "verb", "object", "result"] {
            assert!(!entry[key].is_null(), "{entry}");
        }
        assert_eq!(entry["result"], "ok", "{entry}");
    }
    for node in ["node1", "node2", "node3"] {
        let verbs: Vec<&str> =
            entries.iter().filter(|e| e["node"] == node).filter_map(|e| e["verb"].as_str()).collect();
        let at = |verb: &str| {
            verbs.iter().position(|v| *v == verb).unwrap_or_else(|| panic!("{node} has no {verb}: {verbs:?}"))
        };
        assert!(at("table.write") < at("fs.mkfs") && at("fs.mkfs") < at("chain.receive"), "{verbs:?}");
        assert_eq!(verbs.iter().filter(|verb| **verb == "step.set").count(), 2, "{verbs:?}");
    }
}

/// The rehearsal's own images are no part of what it clones.
#[test]
fn a_folder_within_the_source_is_left_out() {
    let folder = scratch();
    let source = tree(folder.path());
    let words = ["--source", "source", "--nodes", "1", "--work", "source/usr/room"];
    let output = rehearse("recipes/linux.rhai", source.parent().unwrap(), &words);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let image = source.join("usr/room/node1.img");
    let mut root = Partition::open(&image, 3);
    let found = listing(&root.mount());
    assert!(found.contains_key("usr") && !found.keys().any(|name| name.starts_with("usr/room")), "{found:?}");
}

#[test]
fn no_nodes_are_refused_before_anything_is_made() {
    let folder = scratch();
    let output = rehearse("recipes/linux.rhai", folder.path(), &["--nodes", "0"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error[rehearsal.nodes]: "), "{stderr}");
    assert!(!folder.path().join("work").exists());
}

#[test]
fn without_root_nothing_is_done() {
    let folder = scratch();
    run(Command::new("chmod").arg("777").arg(folder.path()));
    // The binary may stand where nobody but root can go.
    let copy = folder.path().join("kar");
    std::fs::copy(kar(), &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&copy)
        .args(["run", "linux", "--work", "work"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        stderr.trim_end(),
        "error[host.permission]: this needs root: a rehearsal makes filesystems, loop devices and mounts"
    );
    assert!(output.stdout.is_empty() && !folder.path().join("work").exists());
}
