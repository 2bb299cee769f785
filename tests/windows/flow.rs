//! Both labels, alone and with a Linux half: what two nodes have is what the golden disk has.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::golden::{Label, golden, good, node, nothing_left, raw, recipe, rehearse};
use crate::harness::{need, run, scratch};
use crate::image::{Partition, partitions};

fn bytes(path: &Path, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = vec![0; (to - from) as usize];
    File::open(path).unwrap().read_exact_at(&mut bytes, from).unwrap();
    bytes
}

/// What a program says of an image, without the image's name.
fn says(program: &str, words: &[&str], image: &Path) -> String {
    let text = run(Command::new(program).args(words).arg(image));
    text.replace(&*image.to_string_lossy(), "DISK")
}

/// Table and boot code are those of the golden disk, to the byte and to every reader.
fn same_table(golden: &Path, node: &Path, label: Label) {
    assert_eq!(says("sfdisk", &["-d"], node), says("sfdisk", &["-d"], golden));
    if label == Label::Gpt {
        need("sgdisk", "gdisk");
        assert_eq!(says("sgdisk", &["-p"], node), says("sgdisk", &["-p"], golden));
        for (number, ..) in partitions(golden) {
            let about = format!("-i={number}");
            assert_eq!(says("sgdisk", &[&about], node), says("sgdisk", &[&about], golden));
        }
        assert!(run(Command::new("sgdisk").arg("-v").arg(node)).contains("No problems found"));
    }
    assert_eq!(bytes(node, 0, 440), bytes(golden, 0, 440), "boot code");
    let first = partitions(golden).iter().map(|part| part.1).min().unwrap();
    assert!(bytes(node, 0, first) == bytes(golden, 0, first), "the gap before the first partition");
}

fn same_bytes(golden: &Path, node: &Path, number: u64) -> bool {
    let (_, start, size, _) = partitions(golden).into_iter().find(|part| part.0 == number).unwrap();
    bytes(node, start, start + size) == bytes(golden, start, start + size)
}

/// ntfs-3g's programs take it as a sound NTFS.
fn sound(image: &Path, number: u64) {
    run(Command::new("ntfsfix").args(["-n", &Partition::open(image, number).device]));
}

/// Every file of an NTFS, as `sha256sum` has it.
fn files(image: &Path, number: u64) -> String {
    let part = Partition::open(image, number);
    let dir = scratch();
    run(Command::new("ntfs-3g").args(["-o", "ro", &part.device]).arg(dir.path()));
    let script = "find . -type f ! -name unattend.xml -print0 | sort -z | xargs -0 sha256sum";
    let list = run(Command::new("sh").args(["-c", script]).current_dir(dir.path()));
    run(Command::new("umount").arg(dir.path()));
    list
}

fn computer_name(image: &Path, number: u64) -> String {
    let part = Partition::open(image, number);
    let text = run(Command::new("ntfscat").args([&part.device, "Windows/Panther/unattend.xml"]));
    let name = text.split("<ComputerName>").nth(1).and_then(|rest| rest.split('<').next());
    name.unwrap_or_else(|| panic!("no name in {text}")).to_string()
}

/// The flow on two nodes, byte by byte: nothing is written but what the golden disk has.
fn exact(label: Label, linux: bool) {
    let folder = scratch();
    let image = golden(folder.path(), label, linux);
    let before = blake3::hash(&std::fs::read(&image).unwrap());
    let output = rehearse(folder.path(), "golden.img", &["--computer-name", "", "--loader", "none"]);
    let stdout = good(&output);
    assert_eq!(stdout.lines().filter(|line| line.ends_with("ok, same as the golden disk")).count(), 2, "{stdout}");
    for number in 1..=2 {
        let node = node(folder.path(), number);
        same_table(&image, &node, label);
        for number in raw(label).0 {
            assert!(same_bytes(&image, &node, *number), "partition {number}");
        }
        sound(&node, raw(label).1);
        if linux {
            linux_half(&image, &node, label);
        }
    }
    assert!(files(&node(folder.path(), 1), raw(label).1).lines().count() > 3000);
    assert_eq!(blake3::hash(&std::fs::read(&image).unwrap()), before, "the golden disk was only read");
    nothing_left(folder.path());
}

/// The files of the Linux half in a filesystem of its own, with the UUID that its fstab names, and a swap.
fn linux_half(golden: &Path, node: &Path, label: Label) {
    let number = 5;
    let probe = |image: &Path, number: u64, what: &str| {
        let part = Partition::open(image, number);
        run(Command::new("blkid").args(["-p", "-s", what, "-o", "value", &part.device]))
    };
    for what in ["TYPE", "UUID", "LABEL"] {
        for number in [number, number + 1] {
            assert_eq!(probe(node, number, what), probe(golden, number, what), "{what} {label:?}");
        }
    }
    run(Command::new("e2fsck").args(["-fn", &Partition::open(node, number).device]));
    let (mut old, mut new) = (Partition::open(golden, number), Partition::open(node, number));
    let list = |dir: &Path| {
        let script = "find . ! -name lost+found ! -path './tmp/*' -printf '%p %m %U:%G %s %T@\n' | grep -v '^[.] ' | sort; cat etc/fstab; sha256sum usr/bin/env";
        let text = run(Command::new("sh").args(["-c", script]).current_dir(dir));
        // What was left out has changed the folder it was in.
        text.lines().filter(|line| !line.starts_with("./tmp ")).map(str::to_string).collect::<Vec<_>>()
    };
    let (old, new) = (old.mount(), new.mount());
    assert_eq!(list(&new), list(&old));
    assert!(!new.join("tmp/x").exists(), "excluded");
}

#[test]
fn an_mbr_disk_alone() {
    exact(Label::Mbr, false);
}

#[test]
fn a_gpt_disk_alone() {
    exact(Label::Gpt, false);
}

#[test]
fn a_gpt_disk_with_a_linux_half() {
    exact(Label::Gpt, true);
}

/// As it comes: each node's Windows has its name, everything else is the same, and the Linux half has its second boot.
#[test]
fn an_mbr_disk_with_a_linux_half_and_names() {
    let folder = scratch();
    let image = golden(folder.path(), Label::Mbr, true);
    let template = "<unattend><ComputerName>GOLDEN</ComputerName><TimeZone>Romance</TimeZone></unattend>\n";
    std::fs::write(folder.path().join("site.xml"), template).unwrap();
    let words = ["--computer-name", "lab-{host}", "--unattend", "site.xml", "--used-only"];
    let output = rehearse(folder.path(), "golden.img", &words);
    let stdout = good(&output);
    for number in 1..=2 {
        let node = node(folder.path(), number);
        assert!(stdout.contains(&format!("ok, same as the golden disk, named LAB-NODE{number}")), "{stdout}");
        assert!(stdout.contains("install > loader > local disk"), "{stdout}");
        same_table(&image, &node, Label::Mbr);
        assert!(same_bytes(&image, &node, 1) && same_bytes(&image, &node, 3));
        assert!(!same_bytes(&image, &node, 2), "what was deleted did not travel");
        sound(&node, 2);
        assert_eq!(computer_name(&node, 2), format!("LAB-NODE{number}"));
        assert_eq!(files(&node, 2), files(&image, 2));
        linux_half(&image, &node, Label::Mbr);
    }
    let text = run(Command::new("ntfscat")
        .args([&Partition::open(&node(folder.path(), 1), 2).device, "Windows/Panther/unattend.xml"]));
    assert_eq!(text, template.replace("GOLDEN", "LAB-NODE1"));
}

/// Without a word: a golden disk is made, and the flow runs through.
#[test]
fn without_a_source_a_small_disk_is_made() {
    let folder = scratch();
    let output = recipe(folder.path(), "windows.rhai", &["--work", "work"]);
    let stdout = good(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no --source: a small golden disk is made"));
    assert!(stdout.contains("named NODE1") && stdout.contains("named NODE2"), "{stdout}");
    assert_eq!(computer_name(&node(folder.path(), 2), 2), "NODE2");
    let mut rest: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    rest.retain(|name| name != "work");
    assert!(rest.is_empty(), "temporary folders are left: {rest:?}");
}

/// On bigger disks the backup GPT moves to the end; with `grow` a partition takes what there is, its NTFS as well.
#[test]
fn a_bigger_disk() {
    let folder = scratch();
    let image = golden(folder.path(), Label::Gpt, false);
    let grown = ["--nodes", "1", "--computer-name", "", "--disk-size", "300MiB"];
    good(&rehearse(folder.path(), "golden.img", &grown));
    let node = node(folder.path(), 1);
    assert_eq!(partitions(&node), partitions(&image));
    assert!(run(Command::new("sgdisk").arg("-v").arg(&node)).contains("No problems found"));

    let mut words = grown.to_vec();
    words.extend(["--grow", "3"]);
    good(&rehearse(folder.path(), "golden.img", &words));
    let (old, new) = (partitions(&image), partitions(&node));
    assert!(new[2].2 >= old[2].2 + (50 << 20), "{new:?}");
    assert!(new[3].1 > old[3].1 && new[3].2 == old[3].2, "the one behind it moved: {new:?}");
    let size = run(Command::new("ntfsinfo").args(["-m", "-f", &Partition::open(&node, 3).device]));
    let clusters = size.lines().find_map(|line| line.trim().strip_prefix("Volume Size in Clusters: ")).unwrap();
    assert!(clusters.parse::<u64>().unwrap() * 4096 + (1 << 20) > new[2].2, "{clusters}");
    assert_eq!(bytes(&node, 0, 440), bytes(&image, 0, 440));
    assert_eq!(bytes(&node, 34 * 512, 2048 * 512), bytes(&image, 34 * 512, 2048 * 512), "the gap");
    assert_eq!(files(&node, 3), files(&image, 3));
}

/// An NTFS that moved says so in both its boot sectors, by which a BIOS starts it.
#[test]
fn an_ntfs_behind_one_that_grew() {
    let folder = scratch();
    let image = golden(folder.path(), Label::Mbr, false);
    good(&rehearse(
        folder.path(),
        "golden.img",
        &["--nodes", "1", "--computer-name", "", "--disk-size", "280MiB", "--grow", "1"],
    ));
    let node = node(folder.path(), 1);
    let (_, start, size, _) = partitions(&node)[1];
    assert!(start > partitions(&image)[1].1 + (39 << 20), "{start}");
    for sector in [start, start + size - 512] {
        let told = bytes(&node, sector + 28, sector + 32);
        assert_eq!(u64::from(u32::from_le_bytes(told.try_into().unwrap())) * 512, start);
    }
    sound(&node, 2);
    assert_eq!(files(&node, 2), files(&image, 2));
}

/// New identifiers where they are asked for: all else stays in its place.
#[test]
fn new_identifiers() {
    for label in [Label::Mbr, Label::Gpt] {
        let folder = scratch();
        let image = golden(folder.path(), label, false);
        good(&rehearse(folder.path(), "golden.img", &["--computer-name", "", "--identifiers", "renew", "--verify=no"]));
        let id = |image: &Path| says("sfdisk", &["--disk-id"], image);
        let (one, two) = (node(folder.path(), 1), node(folder.path(), 2));
        assert!(id(&one) != id(&two) && id(&one) != id(&image), "{}", id(&one));
        assert_eq!(partitions(&one), partitions(&image));
        if label == Label::Gpt {
            let dump = says("sfdisk", &["-d"], &one);
            assert!(!dump.contains("AAAAAAAA-0000") && dump.contains("GUID:63"), "{dump}");
        }
        assert_eq!(bytes(&one, 0, 440), bytes(&image, 0, 440));
        assert!(same_bytes(&image, &two, raw(label).1));
    }
}
