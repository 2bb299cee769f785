//! A disk in use is refused, and the error says by whom and where.

use std::process::Command;

use kar::host::Fault;
use kar::kit::disk::{
    Disk, Kind, Label, OpenOptions, Plan, Size, Table, Wish, is_claimed, mount_points, refuse_used, uses,
};
use kar::kit::fs;

use super::support::*;

const MIB: u64 = 1 << 20;

fn table() -> Table {
    let wish =
        |name: &str| Wish::new(Kind::parse(Label::Gpt, "linux").unwrap(), Size::parse("40MiB").unwrap()).named(name);
    Table::Plan(Plan::new(Label::Gpt, vec![wish("root"), wish("swap")]))
}

fn busy(path: &std::path::Path, what: &str) -> Fault {
    let fault = refuse_used(path, false).unwrap_err();
    assert_eq!(fault.kind, "disk.busy");
    assert!(fault.message.starts_with(&format!("`{}` is in use: ", path.display())), "{fault}");
    assert!(fault.message.contains(what), "{fault}\nlacks: {what}");
    refuse_used(path, true).unwrap();
    fault
}

/// Image, whole disk and partition; a mount and a swap area.
#[test]
fn mounted_and_swapped_on() {
    let dir = folder();
    let path = image(&dir, "disk.img", 128 * MIB);
    let disk = open(&path);
    disk.write_table(&table()).unwrap();
    let attached = disk.attach().unwrap();
    let (root, swap) = (attached.part(1).unwrap().path.clone(), attached.part(2).unwrap().path.clone());
    fs::mkfs("ext4", &root, &fs::Mkfs::default(), &Default::default()).unwrap();
    fs::swap(&swap, &fs::Mkfs::default(), &Default::default()).unwrap();
    for path in [path.as_path(), attached.path(), &root, &swap] {
        refuse_used(path, false).unwrap();
    }
    let mounted = fs::mount(&root, &dir.path().join("a mount"), None, &[]).unwrap();
    assert_eq!(mount_points(&root), [mounted.dir.to_str().unwrap()]);
    let words = format!("{} is mounted at {}", root.display(), mounted.dir.display());
    busy(&root, &words);
    busy(attached.path(), &words);
    let fault = busy(&path, &words);
    assert!(fault.message.contains(&format!("(attached from {})", path.display())), "{fault}");
    // Files are replaced and removed by name: the image would be gone under the mount, its node in /dev too.
    let sinks = [&path, &root].map(|path| kar::kit::stream::into_file(path).err().unwrap());
    assert!(sinks.iter().all(|fault| fault.kind == "stream.open"), "{sinks:?}");
    for path in [&path, &root] {
        assert_eq!(fs::write(path, b"x").unwrap_err().kind, "fs.kind");
        assert_eq!(fs::remove(path).unwrap_err().kind, "fs.refused");
    }
    // The other partition is free all the same.
    refuse_used(&swap, false).unwrap();
    run("swapon", &[swap.to_str().unwrap()]);
    let words = format!("{} is swapped on", swap.display());
    let (swap_fault, disk_uses) = (refuse_used(&swap, false).unwrap_err(), uses(attached.path()));
    run("swapoff", &[swap.to_str().unwrap()]);
    assert!(swap_fault.message.contains(&words), "{swap_fault}");
    assert_eq!(disk_uses.len(), 2, "{disk_uses:?}");
    // The table under it: refused, and only by force written, as the kernel keeps what is mounted.
    let device = Disk::open(attached.path(), OpenOptions { write: true, ..OpenOptions::default() }).unwrap();
    let before = device.table().unwrap().unwrap();
    assert_eq!(device.write_table(&Table::Layout(before.clone())).unwrap_err().kind, "disk.busy");
    assert_eq!(device.wipe().unwrap_err().kind, "disk.busy");
    drop(device);
    let forced =
        Disk::open(attached.path(), OpenOptions { write: true, force: true, ..OpenOptions::default() }).unwrap();
    forced.write_table(&Table::Layout(before)).unwrap();
    let other = Table::Plan(Plan::new(Label::Gpt, vec![]));
    assert_eq!(forced.write_table(&other).unwrap_err().kind, "disk.busy", "the kernel still uses the mounted one");
    fs::unmount(&mounted.dir).unwrap();
    // A program that another test started in a mount namespace of its own has a copy of this mount.
    soon("the last mount's end", || !is_claimed(&root));
    forced.write_table(&other).unwrap();
}

#[test]
fn a_swap_file() {
    let dir = folder();
    let path = image(&dir, "swap.img", 8 * MIB);
    // A swap file may have no holes.
    std::fs::write(&path, vec![0; 8 << 20]).unwrap();
    fs::swap(&path, &fs::Mkfs::default(), &Default::default()).unwrap();
    let shown = path.to_str().unwrap();
    run("chmod", &["600", shown]);
    run("swapon", &[shown]);
    let fault = refuse_used(&path, false);
    run("swapoff", &[shown]);
    assert!(fault.unwrap_err().message.contains(&format!("{shown} is swapped on (file)")));
    refuse_used(&path, false).unwrap();
}

/// Held by a process in a mount namespace of its own: not in our mountinfo, but in that one's.
#[test]
fn mounted_in_another_namespace() {
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    let attached = disk.attach().unwrap();
    let device = attached.path().to_str().unwrap();
    fs::mkfs("ext4", attached.path(), &fs::Mkfs::default(), &Default::default()).unwrap();
    let (mnt, ready) = (dir.path().join("mnt"), dir.path().join("ready"));
    std::fs::create_dir(&mnt).unwrap();
    let script = format!("mount {device} {} && touch {} && exec sleep 1000", mnt.display(), ready.display());
    let mut child =
        Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script]).spawn().unwrap();
    soon("the mount", || ready.exists());
    assert_eq!(mount_points(attached.path()), Vec::<String>::new());
    let place = format!("is mounted at {}, in the mount namespace of ", mnt.display());
    for what in [place, format!("(process {})", child.id())] {
        busy(attached.path(), &what);
        busy(&path, &what);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    soon("the mount's end", || refuse_used(&path, false).is_ok());
}

/// Only where the kernel has device-mapper: what it cannot show here is said, not passed over in silence.
#[test]
fn a_device_mapper_volume() {
    if !try_run("dmsetup", &["version"]).0 {
        eprintln!("not run: this kernel has no device-mapper");
        return;
    }
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    let attached = disk.attach().unwrap();
    let device = attached.path().display().to_string();
    let name = format!("kar-test-{}", std::process::id());
    run("dmsetup", &["create", &name, "--table", &format!("0 65536 linear {device} 0")]);
    let fault = refuse_used(attached.path(), false);
    let mapped = format!("/dev/mapper/{name}");
    run("mkfs.ext4", &["-q", &mapped]);
    let mounted = fs::mount(std::path::Path::new(&mapped), &dir.path().join("mnt"), None, &[]).unwrap();
    let deep = refuse_used(&path, false);
    fs::unmount(&mounted.dir).unwrap();
    run("dmsetup", &["remove", "--retry", &name]);
    assert!(fault.unwrap_err().message.contains(&format!("{device} is part of device-mapper volume {name}")));
    assert!(deep.unwrap_err().message.contains(&format!("{mapped} is mounted at {}", mounted.dir.display())));
}
