//! What is not cloned, and what a node's disk holds when it was not written to its end.

use std::path::Path;
use std::process::Command;

use crate::golden::{Label, NTFS, failed, golden, good, node, nothing_left, raw, rehearse};
use crate::harness::{kar, run, scratch};
use crate::image::partitions;

/// Runs a script on the Windows partition of `golden.img`, writable, as `$0`.
fn change(folder: &Path, label: Label, script: &str) {
    let image = folder.join("golden.img");
    let (_, start, size, _) = partitions(&image).into_iter().find(|part| part.0 == raw(label).1).unwrap();
    let all = format!(
        "set -e; {NTFS} loop=$(losetup --find --show --offset {start} --sizelimit {size} golden.img); trap 'losetup -d $loop' EXIT; {script}"
    );
    run(Command::new("sh").args(["-c", &all]).current_dir(folder));
}

#[test]
fn a_hibernated_windows_is_cloned_only_when_forced() {
    let folder = scratch();
    golden(folder.path(), Label::Mbr, false);
    change(folder.path(), Label::Mbr, "enter $loop; (printf hibr; head -c 8188 /dev/zero) > mnt/hiberfil.sys; leave");
    let output = rehearse(folder.path(), "golden.img", &[]);
    let says = [
        "error[golden.hibernated]",
        "partition 2 (ntfs \"Windows\") of golden.img",
        "powercfg /h off",
        "shutdown /s",
        "--force",
    ];
    failed(&output, &says);
    assert!(!node(folder.path(), 1).exists(), "no node was made");
    let output = rehearse(folder.path(), "golden.img", &["--force"]);
    assert!(good(&output).contains("ok, same as the golden disk"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("warning: partition 2") && stderr.contains("no name is written"), "{stderr}");
    nothing_left(folder.path());
}

#[test]
fn a_dirty_windows_is_cloned_only_when_forced() {
    let folder = scratch();
    golden(folder.path(), Label::Gpt, false);
    change(folder.path(), Label::Gpt, "ntfsfix $loop >/dev/null");
    let output = rehearse(folder.path(), "golden.img", &["--nodes", "1"]);
    failed(&output, &["error[golden.dirty]", "partition 3 (ntfs \"Windows\")", "chkdsk /f", "--force"]);
    good(&rehearse(folder.path(), "golden.img", &["--nodes", "1", "--force"]));
}

/// Refused before the first byte: what was on the disk is still there.
#[test]
fn a_disk_too_small() {
    let folder = scratch();
    golden(folder.path(), Label::Gpt, false);
    let output = rehearse(folder.path(), "golden.img", &["--disk-size", "100MiB"]);
    failed(&output, &["error[table.space]", "node1", "node2", "does not fit", "past its last usable sector"]);
    let output = rehearse(folder.path(), "golden.img", &["--disk-size", "120MiB", "--grow", "3", "--nodes", "1"]);
    failed(
        &output,
        &["error[replica.space]", "partition 3 (ntfs \"Windows\") has 104857600 bytes", "shrink it in Windows"],
    );
    let written = std::fs::read(node(folder.path(), 1)).unwrap();
    assert!(written.iter().all(|byte| *byte == 0), "nothing was written");
    nothing_left(folder.path());
}

#[test]
fn no_names_that_windows_would_not_take() {
    let folder = scratch();
    golden(folder.path(), Label::Gpt, false);
    let output = rehearse(folder.path(), "golden.img", &["--nodes", "1", "--computer-name", "a name of {host}"]);
    failed(&output, &["error[windows.name]", "a name of node1", "15 letters"]);
    // It failed on the way: what was written has no table and does not boot.
    assert_not_bootable(&node(folder.path(), 1));
    nothing_left(folder.path());
}

/// Neither a table nor boot code.
#[track_caller]
pub fn assert_not_bootable(image: &Path) {
    let bytes = std::fs::read(image).unwrap();
    assert!(bytes[..512].iter().all(|byte| *byte == 0), "boot code or table");
    assert_ne!(&bytes[512..520], b"EFI PART");
    assert_ne!(&bytes[bytes.len() - 512..bytes.len() - 504], b"EFI PART");
}

/// A node that fails between two sessions says so: the others go on without it, at once, and the run tells of it.
#[test]
fn a_node_that_fails_on_the_way_keeps_nobody_waiting() {
    let folder = scratch();
    let image = golden(folder.path(), Label::Mbr, false);
    let recipe = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/windows.rhai")).unwrap();
    let head = "fn write_disk(args, golden) {\n";
    let broken = "    if args.host == \"node1\" { throw #{ kind: \"site.disk\", message: \"its disk is broken\" }; }\n";
    assert!(recipe.contains(head));
    std::fs::write(folder.path().join("site.rhai"), recipe.replace(head, &format!("{head}{broken}"))).unwrap();
    let begun = std::time::Instant::now();
    let output = Command::new(kar())
        .args(["run", "site.rhai", "--source", "golden.img", "--work", "work", "--computer-name", ""])
        .current_dir(&folder)
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    // The server would have waited two minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    failed(
        &output,
        &["error[site.disk]: node1: its disk is broken", "node1 (127.53.0.1) declined: its disk is broken"],
    );
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("ok, same as the golden disk") && stdout.contains("FAILED: its disk is broken"),
        "{stdout}"
    );
    let (own, copy) = (std::fs::read(image).unwrap(), std::fs::read(node(folder.path(), 2)).unwrap());
    assert!(own == copy, "node2 has it all");
    assert!(std::fs::read(node(folder.path(), 1)).unwrap().iter().all(|byte| *byte == 0), "node1 was not touched");
    let mut names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().starts_with("kar-")), "a folder of a node is left");
}

#[test]
fn nothing_to_clone() {
    let folder = scratch();
    failed(&rehearse(folder.path(), "no.img", &[]), &["error[golden.missing]", "no golden disk no.img"]);
    std::fs::write(folder.path().join("empty.img"), vec![0; 1 << 20]).unwrap();
    failed(&rehearse(folder.path(), "empty.img", &[]), &["error[table.none]"]);
}
