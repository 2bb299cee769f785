//! Images as loop devices: partitions appear, go away, and nothing stays behind, not even of a killed process.

use std::path::Path;
use std::process::{Command, Stdio};

use kar::kit::disk::{
    Criteria, Disk, Kind, Label, OpenOptions, Plan, Size, Table, ThisMachine, Wish, create, holder_of_loop, pick,
    refuse_used,
};
use kar::kit::fs;

use super::support::*;

const MIB: u64 = 1 << 20;

fn table(label: Label, names: &[&str]) -> Table {
    let wish =
        |name: &&str| Wish::new(Kind::parse(label, "linux").unwrap(), Size::parse("16MiB").unwrap()).named(*name);
    Table::Plan(Plan::new(label, names.iter().map(wish).collect()))
}

#[test]
fn partitions_appear_by_number_and_name_and_go_away() {
    for label in [Label::Gpt, Label::Mbr] {
        let dir = folder();
        let path = image(&dir, "disk.img", 256 * MIB);
        let disk = open(&path);
        disk.write_table(&table(label, &["boot", "root", "home", "var", "tmp"])).unwrap();
        let attached = disk.attach().unwrap();
        let device = attached.path().to_path_buf();
        assert_eq!(holder_of_loop(&path), [device.file_name().unwrap().to_str().unwrap()]);
        let root = attached.named("root").unwrap().clone();
        assert_eq!((root.number, root.size), (2, 16 * MIB));
        assert_eq!(root.path, Path::new(&format!("{}p2", device.display())));
        assert_eq!(run("blockdev", &["--getsize64", root.path.to_str().unwrap()]).trim(), (16 * MIB).to_string());
        assert_eq!(attached.part(9).unwrap_err().kind, "disk.part");
        assert!(attached.named("rot").unwrap_err().hints[0].contains("root"));
        // What is written through the partition lies in the image where the table says.
        let tmp = attached.named("tmp").unwrap().clone();
        std::fs::write(&tmp.path, b"kar was here").unwrap();
        assert_eq!(disk.write_table(&table(label, &["x"])).unwrap_err().kind, "disk.attached");
        let again = disk.attach().unwrap();
        assert_eq!(again.path(), device, "a second attach is the same one");
        attached.detach().unwrap();
        attached.detach().unwrap();
        assert_eq!(again.part(1).unwrap_err().kind, "disk.detached");
        assert_eq!(holder_of_loop(&path), Vec::<String>::new());
        let start = disk.table().unwrap().unwrap().partition(tmp.number).unwrap().start * 512;
        assert_eq!(&std::fs::read(&path).unwrap()[start as usize..][..12], b"kar was here");
        // Dropped, it is detached as well; the next table may be another.
        drop(disk.attach().unwrap());
        assert_eq!(holder_of_loop(&path), Vec::<String>::new());
        disk.write_table(&table(label, &["one"])).unwrap();
        assert_eq!(disk.attach().unwrap().parts().len(), 1);
    }
}

#[test]
fn a_mounted_partition_is_not_detached() {
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    disk.write_table(&table(Label::Gpt, &["root"])).unwrap();
    let attached = disk.attach().unwrap();
    let part = attached.named("root").unwrap().path.clone();
    fs::mkfs("ext4", &part, &fs::Mkfs::default(), &Default::default()).unwrap();
    let mounted = fs::mount(&part, &dir.path().join("mnt"), None, &[]).unwrap();
    let fault = attached.detach().unwrap_err();
    assert_eq!(fault.kind, "disk.busy");
    assert!(fault.message.contains(&format!("{} is mounted at {}", part.display(), mounted.dir.display())), "{fault}");
    assert!(attached.part(1).is_ok() && part.exists(), "nothing was taken away");
    fs::unmount(&mounted.dir).unwrap();
    attached.detach().unwrap();
}

#[test]
fn a_block_device_gets_its_partitions_changed_under_way() {
    let dir = folder();
    let path = image(&dir, "disk.img", 128 * MIB);
    let outer = Disk::open(&path, OpenOptions { write: true, ..OpenOptions::default() }).unwrap().attach().unwrap();
    // From here on only the device is known, as a real disk would be.
    let disk = open(outer.path());
    assert!(disk.is_block());
    disk.write_table(&table(Label::Gpt, &["a", "b", "c"])).unwrap();
    let attached = disk.attach().unwrap();
    assert_eq!(attached.path(), outer.path());
    let kept = attached.named("a").unwrap().path.clone();
    fs::mkfs("ext4", &kept, &fs::Mkfs::default(), &Default::default()).unwrap();
    disk.write_table(&table(Label::Gpt, &["a", "b"])).unwrap();
    let third = format!("{}p3", outer.path().display());
    soon("the third partition's end", || !Path::new(&third).exists());
    assert_eq!(fs::probe(&kept).unwrap().unwrap().kind, "ext4");
    disk.attach().unwrap().detach().unwrap();
    assert!(kept.exists(), "the partitions of a device stay");
    disk.wipe().unwrap();
    soon("the partitions' end", || !kept.exists());
    assert_eq!(disk.table().unwrap(), None);
}

#[test]
fn many_at_once_do_not_take_each_others_devices() {
    let dir = folder();
    std::thread::scope(|scope| {
        for node in 0..6 {
            let dir = &dir;
            scope.spawn(move || {
                let path = image(dir, &format!("node{node}.img"), 32 * MIB);
                let disk = open(&path);
                disk.write_table(&table(Label::Gpt, &["root"])).unwrap();
                for round in 0..4u8 {
                    let attached = disk.attach().unwrap();
                    let device = attached.path().file_name().unwrap().to_str().unwrap().to_string();
                    assert_eq!(holder_of_loop(&path), [device]);
                    std::fs::write(&attached.named("root").unwrap().path, [node, round]).unwrap();
                    attached.detach().unwrap();
                    assert_eq!(std::fs::read(&path).unwrap()[MIB as usize..][..2], [node, round]);
                }
            });
        }
    });
}

#[test]
fn a_killed_process_leaves_no_loop_device_and_no_lock() {
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    open(&path).write_table(&table(Label::Gpt, &["root"])).unwrap();
    let recipe = "fn main(args) {\n    let disk = disk::open(\"disk.img\", #{ write: true });\n    \
                  let parts = disk.attach();\n    fs::write(\"attached\", parts.part(1));\n    task::sleep(\"1000s\");\n}\n";
    std::fs::write(dir.path().join("hold.rhai"), recipe).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kar"))
        .args(["run", "hold.rhai"])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let told = dir.path().join("attached");
    soon("the other process's attachment", || std::fs::read(&told).is_ok_and(|text| !text.is_empty()));
    assert_eq!(holder_of_loop(&path).len(), 1);
    let fault = Disk::open(&path, OpenOptions { write: true, ..OpenOptions::default() }).unwrap_err();
    assert_eq!(fault.kind, "disk.locked");
    assert!(fault.message.contains(&format!("open for writing by process {}", child.id())), "{fault}");
    child.kill().unwrap();
    child.wait().unwrap();
    soon("the loop device's end", || holder_of_loop(&path).is_empty());
    soon("the partitions' end", || free_loops_with_partitions().is_empty());
    assert_eq!(open(&path).attach().unwrap().parts().len(), 1);
}

/// A flow that ends before its end: its disk has no table, though partitions were mounted when it ended.
#[test]
fn a_failed_flow_leaves_a_disk_that_does_not_boot() {
    let dir = folder();
    for (end, cleared) in [
        ("throw \"no more\"", true),
        ("fs::read(\"no such file\")", true),
        ("task::sleep(\"1000s\")", true),
        ("watch.done()", false),
    ] {
        let path = dir.path().join("disk.img");
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(dir.path().join("at-work"));
        let recipe = format!(
            "fn main(args) {{\n    disk::create(\"disk.img\", \"64MiB\");\n    \
             let d = disk::open(\"disk.img\", #{{ write: true }});\n    let watch = d.unfinished();\n    \
             d.write_boot_code(blob(440, 0x90));\n    \
             d.write_table(table::plan(\"gpt\", [#{{ name: \"root\" }}]));\n    let parts = d.attach();\n    \
             fs::mkfs(\"ext4\", parts.named(\"root\"));\n    let m = fs::mount(parts.named(\"root\"), \"mnt\");\n    \
             fs::write(\"at-work\", \"x\");\n    {end};\n}}\n"
        );
        std::fs::write(dir.path().join("flow.rhai"), recipe).unwrap();
        let running = Command::new(env!("CARGO_BIN_EXE_kar"))
            .args(["run", "flow.rhai"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if end.contains("sleep") {
            soon("the flow to be at work", || dir.path().join("at-work").exists());
            run("kill", &["-INT", &running.id().to_string()]);
        }
        let done = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.success(), !cleared, "{said}");
        assert_eq!(holder_of_loop(&path), Vec::<String>::new());
        let disk = open(&path);
        assert_eq!(disk.table().unwrap().is_none(), cleared, "{end}: {said}");
        assert_eq!(disk.boot_code().unwrap() == [0; 440], cleared);
        let found = run("wipefs", &[path.to_str().unwrap()]);
        assert_eq!(found.is_empty(), cleared, "{found}");
    }
}

/// Loop devices that hold no image, and still show partitions.
fn free_loops_with_partitions() -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten().map(|entry| entry.path());
    let free = devices.filter(|dir| !dir.join("loop/backing_file").exists());
    let parts = free.flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    let named = parts.map(|entry| entry.file_name().to_string_lossy().into_owned());
    named.filter(|name| name.strip_prefix("loop").is_some_and(|rest| rest.contains('p'))).collect()
}

/// The machine this runs on: by its device, by a link of somebody's own, and empty or not.
#[test]
fn an_attached_disk_is_picked_by_path() {
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    let attached = disk.attach().unwrap();
    let link = dir.path().join("the-disk");
    std::os::unix::fs::symlink(attached.path(), &link).unwrap();
    let device = attached.path().to_str().unwrap();
    let by = |path: &str, empty| pick(&ThisMachine, &Criteria { path: path.into(), empty, ..Criteria::default() });
    for name in [device, link.to_str().unwrap()] {
        assert_eq!(by(name, Some(true)).unwrap(), device);
        let fault = by(name, Some(false)).unwrap_err();
        assert!(fault.message.contains(&format!("{device} (64 MiB): empty")), "{fault}");
    }
    fs::mkfs("ext4", attached.path(), &fs::Mkfs::default(), &Default::default()).unwrap();
    let fault = by(device, Some(true)).unwrap_err();
    assert!(fault.message.contains(&format!("{device} (64 MiB): not empty: ext4")), "{fault}");
    open(attached.path()).write_table(&table(Label::Gpt, &["root"])).unwrap();
    let fault = by(device, Some(true)).unwrap_err();
    assert!(fault.message.contains("not empty: a gpt table"), "{fault}");
    let part = format!("{device}p1");
    let fault = by(&part, None).unwrap_err();
    assert!(fault.message.starts_with("cannot pick a disk: "), "{fault}");
}

#[test]
fn images_are_made_sparse_and_never_over_another() {
    let dir = folder();
    let path = image(&dir, "disk.img", 20 << 30);
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!((meta.len(), meta.blocks()), (20 << 30, 0));
    assert_eq!(create(&path, MIB, false).unwrap_err().kind, "disk.exists");
    assert_eq!(create(&path, 1000, true).unwrap_err().kind, "disk.size");
    let open_one = open(&path);
    assert_eq!(create(&path, MIB, true).unwrap_err().kind, "disk.locked");
    drop(open_one);
    create(&path, MIB, true).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), MIB);
    let fault = create(&dir.path().join("vast.img"), i64::MAX as u64 / 512 * 512, false).unwrap_err();
    assert_eq!(fault.kind, "disk.size", "{fault}");
    assert!(!dir.path().join("vast.img").exists());
    assert_eq!(Disk::open(&dir.path().join("none.img"), OpenOptions::default()).unwrap_err().kind, "disk.missing");
    assert_eq!(Disk::open(dir.path(), OpenOptions::default()).unwrap_err().kind, "disk.kind");
    assert_eq!(Disk::open(Path::new("/dev/null"), OpenOptions::default()).unwrap_err().kind, "disk.kind");
    let reading = Disk::open(&path, OpenOptions::default()).unwrap();
    assert_eq!(reading.write_table(&Table::Plan(Plan::new(Label::Gpt, vec![]))).unwrap_err().kind, "disk.readonly");
    assert_eq!(reading.write_boot_code(b"x").unwrap_err().kind, "disk.readonly");
    refuse_used(&path, false).unwrap();
}
