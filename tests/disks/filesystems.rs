//! Filesystems made, probed, mounted, checked and grown; blkid is the judge of the probe.

use std::process::Command;

use kar::host::Cancel;
use kar::kit::disk::create;
use kar::kit::fs::{self, Mkfs, Probe};

use super::support::*;

const MIB: u64 = 1 << 20;

fn blkid(path: &str) -> Probe {
    let text = run("blkid", &["-p", "-o", "export", path]);
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().replace("\\ ", " ")
    };
    Probe { kind: value("TYPE"), label: value("LABEL"), uuid: value("UUID") }
}

fn available(kind: &str) -> bool {
    // The kernel loads a module when it is first asked for: asked here, the answer is certain.
    let _ = Command::new("modprobe").args(["-q", kind]).status();
    std::fs::read_to_string("/proc/filesystems").unwrap().split_whitespace().any(|word| word == kind)
}

#[test]
fn every_kind_is_made_probed_mounted_and_checked() {
    // xfs and btrfs refuse a UUID that is in use on the machine: each run has its own.
    let own = uuid::Uuid::new_v4().to_string();
    let own = Some(own.as_str());
    for (kind, size, label, uuid) in [
        ("ext2", 16, "an ext2 label", own),
        ("ext3", 16, "", None),
        ("ext4", 16, "exactly16chars!!", own),
        ("xfs", 320, "twelve chars", own),
        ("btrfs", 128, "a label of more than thirty characters", own),
        ("vfat", 16, "EFI SYSTEM", Some("1A2B-3C4D")),
        ("vfat", 100, "", None),
        ("ntfs", 16, "Windows disk", None),
    ] {
        let dir = folder();
        let path = image(&dir, "fs.img", size * MIB);
        let shown = path.to_str().unwrap();
        let names = Mkfs {
            label: Some(label.into()).filter(|label: &String| !label.is_empty()),
            uuid: uuid.map(str::to_string),
        };
        fs::mkfs(kind, &path, &names, &Cancel::new()).unwrap();
        let found = fs::probe(&path).unwrap().unwrap();
        assert_eq!(found, blkid(shown), "{kind}");
        assert_eq!((found.kind.as_str(), found.label.as_str()), (kind, label));
        if let Some(uuid) = uuid {
            assert_eq!(found.uuid, uuid);
        }
        fs::check(&path, &Cancel::new()).unwrap();
        // ntfs works everywhere: without ntfs3 in the kernel the FUSE program mounts it.
        if kind != "ntfs" && !available(kind) {
            eprintln!("not mounted: this kernel has no {kind}");
            continue;
        }
        let disk = open(&path);
        let attached = disk.attach().unwrap();
        let mounted = fs::mount(attached.path(), &dir.path().join("deep/mnt"), None, &["noatime".into()]).unwrap();
        assert_eq!(mounted.kind, kind);
        fs::write(&mounted.dir.join("file"), kind.as_bytes()).unwrap();
        assert_eq!(fs::remove(&dir.path().join("deep")).unwrap_err().kind, "fs.refused");
        fs::unmount(&mounted.dir).unwrap();
        assert_eq!(fs::unmount(&mounted.dir).unwrap_err().kind, "fs.unmounted");
        let mounted = fs::mount(attached.path(), &mounted.dir, Some(kind), &["ro".into()]).unwrap();
        assert_eq!(fs::read(&mounted.dir.join("file")).unwrap(), kind.as_bytes());
        assert_eq!(fs::write(&mounted.dir.join("file"), b"x").unwrap_err().kind, "fs.write");
        fs::unmount(&mounted.dir).unwrap();
    }
}

#[test]
fn a_swap_area_is_probed_as_blkid_does() {
    const UUID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
    let dir = folder();
    let path = image(&dir, "swap.img", 8 * MIB);
    fs::swap(&path, &Mkfs { label: Some("swap".into()), uuid: Some(UUID.into()) }, &Cancel::new()).unwrap();
    let found = fs::probe(&path).unwrap().unwrap();
    assert_eq!(found, blkid(path.to_str().unwrap()));
    assert_eq!((found.kind.as_str(), found.uuid.as_str()), ("swap", UUID));
    assert_eq!(fs::probe(&image(&dir, "empty.img", MIB)).unwrap(), None);
}

#[test]
fn grown_to_the_size_of_the_device() {
    for (kind, size) in [("ext4", 32), ("xfs", 320), ("btrfs", 128), ("ntfs", 16)] {
        let dir = folder();
        let path = image(&dir, "fs.img", size * MIB);
        fs::mkfs(kind, &path, &Mkfs::default(), &Cancel::new()).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 * size * MIB).unwrap();
        let disk = open(&path);
        let attached = disk.attach().unwrap();
        fs::grow(attached.path(), &Cancel::new()).unwrap();
        let mounted = fs::mount(attached.path(), &dir.path().join("mnt"), None, &[]).unwrap();
        let blocks = run("stat", &["-f", "-c", "%b %S", mounted.dir.to_str().unwrap()]);
        let numbers: Vec<u64> = blocks.split_whitespace().map(|word| word.parse().unwrap()).collect();
        fs::unmount(&mounted.dir).unwrap();
        assert!(numbers[0] * numbers[1] > size * MIB * 3 / 2, "{kind}: {blocks}");
    }
    let dir = folder();
    let path = image(&dir, "fat.img", 16 * MIB);
    fs::mkfs("vfat", &path, &Mkfs::default(), &Cancel::new()).unwrap();
    assert_eq!(fs::grow(&path, &Cancel::new()).unwrap_err().kind, "fs.kind");
}

#[test]
fn what_fails_says_why() {
    let dir = folder();
    let path = image(&dir, "tiny.img", 64 << 10);
    let fault = fs::mkfs("xfs", &path, &Mkfs::default(), &Cancel::new()).unwrap_err();
    assert_eq!(fault.kind, "fs.mkfs");
    assert!(fault.message.contains("tiny.img") && fault.message.contains("size"), "{fault}");
    assert_eq!(fs::mkfs("ext5", &path, &Mkfs::default(), &Cancel::new()).unwrap_err().kind, "fs.kind");
    assert_eq!(fs::check(&path, &Cancel::new()).unwrap_err().kind, "fs.unknown");
    assert_eq!(fs::mount(&path, &dir.path().join("mnt"), None, &[]).unwrap_err().kind, "fs.unknown");
    // A filesystem with a hole shot into it.
    let path = image(&dir, "damaged.img", 16 * MIB);
    fs::mkfs("ext4", &path, &Mkfs::default(), &Cancel::new()).unwrap();
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 8192], 4096).unwrap();
    let before = fs::hash(&path, &Cancel::new()).unwrap();
    let fault = fs::check(&path, &Cancel::new()).unwrap_err();
    assert_eq!(fault.kind, "fs.damaged");
    assert!(fault.message.len() < 700, "{}", fault.message.len());
    assert_eq!(fs::hash(&path, &Cancel::new()).unwrap(), before, "a check changes nothing");
    assert_eq!(create(&path, MIB, false).unwrap_err().kind, "disk.exists");
}

#[test]
fn a_busy_mount_names_who_keeps_it_busy() {
    let dir = folder();
    let mounted = fs::mount("ram".as_ref(), &dir.path().join("mnt"), Some("tmpfs"), &["size=1m".into()]).unwrap();
    let mut child = Command::new("sleep").arg("1000").current_dir(&mounted.dir).spawn().unwrap();
    let fault = fs::unmount(&mounted.dir).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    fs::unmount(&mounted.dir).unwrap();
    assert_eq!(fault.kind, "fs.busy");
    assert!(fault.message.contains(&format!("process {} (sleep)", child.id())), "{fault}");
}

/// blkid writes such labels in an escape of its own; here they are what the maker was given.
#[test]
fn labels_beyond_ascii() {
    for kind in ["ntfs", "ext4", "btrfs"] {
        let dir = folder();
        let path = image(&dir, "fs.img", 128 * MIB);
        let names = Mkfs { label: Some("Système ☃".into()), uuid: None };
        fs::mkfs(kind, &path, &names, &Cancel::new()).unwrap();
        assert_eq!(fs::probe(&path).unwrap().unwrap().label, "Système ☃", "{kind}");
    }
}

#[test]
fn a_bind_mount() {
    let dir = folder();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::mkdir(&from).unwrap();
    fs::write(&from.join("f"), b"x").unwrap();
    let mounted = fs::mount(&from, &to, None, &["bind".into()]).unwrap();
    assert_eq!(fs::read(&to.join("f")).unwrap(), b"x");
    fs::unmount(&mounted.dir).unwrap();
}
