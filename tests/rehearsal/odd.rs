//! What people type: folders within folders, the same folder twice, no node at all.

use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{kar, run, scratch};
use crate::image::Partition;

fn small_tree(root: &Path) {
    let script = "mkdir -p source/etc source/sub && seq 1 1000 > source/sub/numbers && echo x > source/w1";
    run(Command::new("sh").args(["-c", script]).current_dir(root));
}

fn rehearse(folder: &Path, words: &[&str]) -> Output {
    Command::new(kar()).args(["run", "linux", "--nodes", "1"]).args(words).current_dir(folder).output().unwrap()
}

#[track_caller]
fn refused(output: &Output, kind: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains(&format!("error[{kind}]")), "{stderr}");
}

fn names_on(image: &Path) -> String {
    let mut root = Partition::open(image, 3);
    let dir = root.mount();
    run(Command::new("sh").args(["-c", "find . -mindepth 1 -not -name lost+found | sort"]).current_dir(&dir))
}

/// The images are not cloned into themselves, and no other file of the same name is left out for that.
#[test]
fn a_relative_work_folder_inside_the_source() {
    let folder = scratch();
    small_tree(folder.path());
    for work in ["source/sub/w1", "source/a [b]*"] {
        let output = rehearse(folder.path(), &["--source", "source/../source/", "--work", work]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = names_on(&folder.path().join(work).join("node1.img"));
        assert_eq!(found.trim(), "./etc\n./etc/fstab\n./sub\n./sub/numbers\n./w1");
        std::fs::remove_dir_all(folder.path().join(work)).unwrap();
    }
    refused(&rehearse(folder.path(), &["--source", "source", "--work", "source"]), "rehearsal.work");
    assert_eq!(std::fs::read_dir(folder.path().join("source")).unwrap().count(), 3, "nothing was written there");
}

#[test]
fn a_work_folder_that_another_run_uses_is_left_alone() {
    let folder = scratch();
    small_tree(folder.path());
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("journal.jsonl"), "of the other run").unwrap();
    std::fs::write(work.join("node1.img"), "of the other run").unwrap();
    let other = std::fs::File::open(&work).unwrap();
    other.try_lock().unwrap();
    refused(&rehearse(folder.path(), &["--source", "source", "--work", "work"]), "fs.locked");
    for file in ["journal.jsonl", "node1.img"] {
        assert_eq!(std::fs::read_to_string(work.join(file)).unwrap(), "of the other run");
    }
}

#[test]
fn no_nodes_are_refused_before_anything_is_made() {
    let folder = scratch();
    small_tree(folder.path());
    for nodes in ["0", "-1"] {
        let output = rehearse(folder.path(), &["--source", "source", "--work", "work", "--nodes", nodes]);
        refused(&output, "rehearsal.nodes");
        assert!(!folder.path().join("work").exists());
    }
}

/// fstab is written into the node's system, whatever links the source has.
#[test]
fn a_link_that_leads_out_of_the_new_system_is_not_followed() {
    let folder = scratch();
    small_tree(folder.path());
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::remove_dir(folder.path().join("source/etc")).unwrap();
    std::os::unix::fs::symlink(&outside, folder.path().join("source/etc")).unwrap();
    refused(&rehearse(folder.path(), &["--source", "source", "--work", "work"]), "layout.outside");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
