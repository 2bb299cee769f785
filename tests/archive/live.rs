//! Trees that change while they are read, and parts of trees.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kar::host::{Cancel, Fault, Result};
use kar::kit::archive::{TarSource, list};
use kar::kit::stream::Source;
use kar::kit::tree::{self, Options};

use super::harness::*;

const BIG: usize = 1 << 20;

/// A tree with a large file between small ones.
fn tree(root: &Path) {
    for name in ["a", "c", "d"] {
        fs::write(root.join(name), name).unwrap();
    }
    fs::write(root.join("b"), vec![b'b'; BIG]).unwrap();
}

/// Reads into the middle of `b`, lets `change` happen, and reads the rest.
fn interrupted(root: &Path, change: impl FnOnce()) -> (Result<Vec<u8>>, Vec<String>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let keep = warnings.clone();
    let source = TarSource::new(root, &Options::default()).unwrap();
    let mut source = source.on_warning(move |text| keep.lock().unwrap().push(text.to_string()));
    let mut archive = vec![0; BIG / 2];
    let mut filled = 0;
    while filled < archive.len() {
        filled += source.read(&mut archive[filled..]).unwrap();
    }
    change();
    let mut buffer = vec![0; 4096];
    let result = loop {
        match source.read(&mut buffer) {
            Ok(0) => break Ok(archive),
            Ok(length) => archive.extend_from_slice(&buffer[..length]),
            Err(fault) => {
                assert_eq!(source.read(&mut buffer).unwrap_err().kind, fault.kind, "it stays failed");
                break Err(fault);
            }
        }
    };
    let warnings = warnings.lock().unwrap().clone();
    (result, warnings)
}

#[test]
fn a_file_that_becomes_shorter_ends_the_stream() {
    let folder = folder();
    tree(folder.path());
    let file = OpenOptions::new().write(true).open(folder.path().join("b")).unwrap();
    let (result, _) = interrupted(folder.path(), || file.set_len(1000).unwrap());
    let fault: Fault = result.unwrap_err();
    assert_eq!(fault.kind, "tar.changed");
    assert!(fault.message.contains("`b`") && fault.message.contains("1048576 bytes"), "{}", fault.message);
}

#[test]
fn a_file_that_grows_has_the_length_it_had() {
    let folder = folder();
    let to = sub(&folder, "to");
    let from = sub(&folder, "from");
    tree(&from);
    let mut file = OpenOptions::new().append(true).open(from.join("b")).unwrap();
    let (result, warnings) = interrupted(&from, || file.write_all(b"one line more").unwrap());
    assert_eq!(warnings, ["`b` grew while it was read; the archive has its first 1048576 bytes"]);
    unpack(&result.unwrap(), &to).unwrap();
    assert_eq!(fs::metadata(to.join("b")).unwrap().len(), BIG as u64);
    assert_eq!(fs::read(to.join("d")).unwrap(), b"d");
}

#[test]
fn what_vanishes_is_left_out_and_told() {
    let folder = folder();
    tree(folder.path());
    let (result, warnings) = interrupted(folder.path(), || fs::remove_file(folder.path().join("c")).unwrap());
    assert_eq!(warnings, ["`c` vanished before it could be read"]);
    let names: Vec<_> = list(result.unwrap().as_slice()).map(|entry| entry.unwrap().path).collect();
    assert_eq!(names, [&b"./"[..], b"./a", b"./b", b"./d"]);
}

#[test]
fn a_tree_that_is_taken_away_fails() {
    let folder = folder();
    let root = sub(&folder, "root");
    tree(&root);
    let (result, _) = interrupted(&root, || fs::remove_dir_all(&root).unwrap());
    assert_eq!(result.unwrap_err().kind, "tree.vanished");
    // Also when it goes while its last file is read: nothing is left to be missed.
    let root = sub(&folder, "root");
    fs::write(root.join("b"), vec![b'b'; BIG]).unwrap();
    let (result, _) = interrupted(&root, || fs::remove_dir_all(&root).unwrap());
    assert_eq!(result.unwrap_err().kind, "tree.vanished");
    // Or when somebody is still busy removing it.
    let root = sub(&folder, "root");
    fs::write(root.join("a"), vec![b'b'; BIG]).unwrap();
    (0..200).for_each(|number| fs::write(root.join(format!("b{number}")), "").unwrap());
    let remove = || (0..150).for_each(|number| fs::remove_file(root.join(format!("b{number}"))).unwrap());
    let (result, _) = interrupted(&root, remove);
    assert_eq!(result.unwrap_err().kind, "tree.vanished");
    assert_eq!(TarSource::new(&folder.path().join("missing"), &Options::default()).err().unwrap().kind, "tree.open");
}

#[test]
fn parts_of_a_tree_are_left_out() {
    let folder = folder();
    let root = sub(&folder, "root");
    for dir in ["tmp/x", "var/cache/deep", "lost+found", "mnt"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for file in ["tmp/a", "tmp/x/b", "var/cache/deep/c", "var/d.o", "var/e", "lost+found/f"] {
        fs::write(root.join(file), file).unwrap();
    }
    let _socket = UnixListener::bind(root.join("var/socket")).unwrap();
    run("mount", &["-t", "tmpfs", "tmpfs", text(&root.join("mnt"))]);
    fs::write(root.join("mnt/other"), "other").unwrap();
    let exclude = ["tmp/*", "*.o", "var/cache/**", "/lost+found"].map(String::from).to_vec();
    let options = Options { exclude, one_file_system: true, ..Options::default() };
    let packed = pack(&root, &options);
    let manifest = tree::digest(&root, &options, &Cancel::new());
    let all = tree::digest(&root, &Options::default(), &Cancel::new());
    let more = Options { keep_dirs: true, mounts: vec!["/mnt".into(), "/nowhere".into()], ..options.clone() };
    let kept = pack(&root, &more);
    let kept_digest = tree::digest(&root, &more, &Cancel::new());
    run("umount", &[text(&root.join("mnt"))]);
    let names: Vec<_> = list(packed.unwrap().as_slice()).map(|entry| entry.unwrap().path).collect();
    let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["./", "./mnt/", "./tmp/", "./var/", "./var/cache/", "./var/e"]);
    let kept: Vec<_> = list(kept.unwrap().as_slice()).map(|entry| entry.unwrap().path).collect();
    let kept: Vec<_> = kept.iter().map(|name| String::from_utf8_lossy(name)).collect();
    let wanted = ["./", "./lost+found/", "./mnt/", "./mnt/other", "./tmp/", "./var/", "./var/cache/", "./var/e"];
    assert_eq!(kept, wanted, "a folder that is named stays, and a filesystem that belongs to the tree");
    let (kept, all) = (kept_digest.unwrap(), all.unwrap());
    assert_eq!(all.without(&more.exclusion().unwrap()).digest, kept.digest, "read before, and left out then");
    let manifest = manifest.unwrap();
    assert_eq!(manifest.entries.len(), 6);
    assert_eq!(manifest.warnings, ["`var/socket` is a socket and was left out"]);
    assert!(all.entries.iter().any(|entry| entry.path == b"mnt/other"));
}

#[test]
fn a_cancelled_digest_stops() {
    let folder = folder();
    tree(folder.path());
    let cancel = Cancel::new();
    cancel.set();
    let fault = tree::digest(folder.path(), &Options::default(), &cancel).unwrap_err();
    assert!(fault.is_stopped());
}

/// Each kind of change is seen, and told in words.
#[test]
fn every_difference_has_its_words() {
    let changes: [(&str, &str); 10] = [
        ("chmod 600 f", "f: mode 0644 here, 0600 there"),
        ("chown 5 f", "f: owner 0 here, 5 there"),
        ("chgrp 5 f", "f: group 0 here, 5 there"),
        ("printf other > f", "f: contents"),
        ("printf longer-than-before > f", "f: size 5 here, 18 there"),
        ("touch -d @5.25 f", "f: modified 1970-01-01T00:00:01.000000000Z here, 1970-01-01T00:00:05.250000000Z there"),
        ("setfattr -n user.new -v yes f", "f: attribute user.new missing here, `yes` there"),
        ("ln -sfn elsewhere l", "l: target `f` here, `elsewhere` there"),
        ("rm h && cp -p f h", "h: hard link: is the same file as `f` here, is a file of its own there"),
        ("rm f h && mkfifo f", "f: file here, fifo there"),
    ];
    for (script, expected) in changes {
        let folder = folder();
        let (here, there) = (sub(&folder, "here"), sub(&folder, "there"));
        let make = "umask 022; printf first > f; ln f h; ln -s f l; touch -h -d @1 f l .";
        for dir in [&here, &there] {
            run("sh", &["-c", &format!("cd '{}' && {make}", text(dir))]);
        }
        assert_same(&here, &there);
        assert_eq!(digest(&here).digest, digest(&there).digest);
        run("sh", &["-c", &format!("cd '{}' && {script}", text(&there))]);
        let found = differences(&here, &there, &[]);
        assert!(found.iter().any(|found| found.starts_with(expected)), "{script}: {found:?}");
        assert_ne!(digest(&here).digest, digest(&there).digest, "{script}");
    }
}

/// A file's layout is no part of what it holds, and an ordinary file has the digest that everybody knows.
#[test]
fn holes_and_zeros_are_the_same() {
    let folder = folder();
    let path = folder.path().join("f");
    let content = |path: &Path| {
        let manifest = digest(path.parent().unwrap());
        manifest.entries.iter().find(|entry| entry.path == b"f").unwrap().content.unwrap()
    };
    let mut zeros = vec![0; 5 << 20];
    zeros[3 << 20] = 1;
    fs::write(&path, &zeros).unwrap();
    let full = content(&path);
    run("fallocate", &["--dig-holes", text(&path)]);
    assert_eq!(content(&path), full);
    zeros[0] = 1;
    fs::write(&path, &zeros).unwrap();
    assert_ne!(content(&path), full);
    let plain: Vec<u8> = (0..3_000_000u32).map(|number| number as u8 | 1).collect();
    fs::write(&path, &plain).unwrap();
    assert_eq!(content(&path), *blake3::hash(&plain).as_bytes());
}

/// A tree read once serves comparisons that leave more out.
#[test]
fn a_manifest_without_a_part_is_that_of_the_tree_without_it() {
    let folder = folder();
    let (here, there) = (sub(&folder, "here"), sub(&folder, "there"));
    let make = "mkdir etc var; printf x > etc/a; setfattr -n user.x -v y etc/a; ln etc/a etc/b; ln etc/a var/c; \
        ln -s a var/l; touch -h -d @1 etc/a var/l var etc .";
    for dir in [&here, &there] {
        run("sh", &["-c", &format!("cd '{}' && {make}", text(dir))]);
    }
    // What a loader writes later changes its directory's time.
    fs::write(there.join("etc/fstab"), "new").unwrap();
    fs::create_dir(there.join("lost+found")).unwrap();
    let exclude = ["/etc/fstab", "etc/a", "lost+found"].map(String::from).to_vec();
    let whole = digest(&here);
    let without = whole.without(&tree::Exclude::new(&exclude).unwrap());
    let options = Options { exclude, ..Options::default() };
    let walked = tree::digest(&there, &options, &Cancel::new()).unwrap();
    assert_eq!(tree::compare(&without, &walked), []);
    assert_eq!(without.entries.len(), whole.entries.len() - 1);
    let first = without.entries.iter().find(|entry| entry.path == b"etc/b").unwrap();
    assert!(first.hard_link.is_none() && first.content.is_some() && first.xattrs.len() == 1);
    let second = without.entries.iter().find(|entry| entry.path == b"var/c").unwrap();
    assert_eq!(second.hard_link.as_deref(), Some(&b"etc/b"[..]));
    let found: Vec<String> = tree::compare(&whole, &digest(&there)).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 4, "two more entries, two directories with new times: {found:?}");
}
