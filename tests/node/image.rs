//! Images, read back by others.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use kar::host::Cancel;
use kar::kit::initramfs::{Compression, Content, Entry, Node, Plan, Writer, build};
use proptest::prelude::*;

use crate::harness::{need, run, scratch};
use crate::kernel;

fn plan() -> Plan {
    Plan {
        root: "/".into(),
        release: None,
        modules: Vec::new(),
        optional: Vec::new(),
        firmware: true,
        programs: Vec::new(),
        files: Default::default(),
        kar: None,
        recipes: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        compression: Compression::None,
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

/// Unpacks an image with GNU cpio.
fn unpack(image: &Path, unpacker: &str, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let script = format!(
        "{unpacker} < '{}' | cpio --extract --make-directories --preserve-modification-time --quiet --no-absolute-filenames",
        image.display()
    );
    need("cpio", "cpio");
    run(Command::new("bash").args(["-o", "pipefail", "-c", &script]).current_dir(to));
}

/// A tree with names and sizes that fill up in every way.
fn nasty(folder: &Path) {
    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    for length in 0..9 {
        std::fs::write(folder.join(format!("deep/{}", "n".repeat(length + 1))), vec![b'x'; length]).unwrap();
    }
    std::fs::write(folder.join("deep/er/a b\u{e4}"), "odd").unwrap();
    std::os::unix::fs::symlink("../nn", folder.join("deep/er/link")).unwrap();
}

#[test]
fn cpio_and_bsdtar_read_what_was_packed() {
    let dir = scratch();
    let (source, image) = (dir.path().join("source"), dir.path().join("image"));
    nasty(&source);
    let files =
        [("/site".to_string(), Content::Path(source.clone())), ("/etc/motd".into(), Content::Bytes(b"hello".to_vec()))];
    for (compression, unpacker) in
        [(Compression::None, "cat"), (Compression::Zstd(3), "zstd -dc"), (Compression::Gzip, "gzip -dc")]
    {
        let plan = Plan { files: files.clone().into(), compression, ..plan() };
        let built = build(&image, &plan, &Cancel::new()).unwrap();
        assert_eq!((built.bytes, built.bytes % 4), (std::fs::metadata(&image).unwrap().len(), 0));
        let to = dir.path().join(unpacker);
        // Zeros behind a packed archive are what the kernel skips and gzip mentions.
        unpack(&image, &format!("({unpacker} 2>/dev/null || true)"), &to);
        run(Command::new("diff").arg("--recursive").arg("--no-dereference").arg(&source).arg(to.join("site")));
        assert_eq!(std::fs::read_to_string(to.join("etc/motd")).unwrap(), "hello");
        assert_eq!(std::fs::read_link(to.join("bin")).unwrap(), Path::new("usr/bin"));
    }
    let plan = Plan { files: files.into(), ..plan() };
    build(&image, &plan, &Cancel::new()).unwrap();
    let listed = run(Command::new(need("bsdtar", "libarchive-tools")).args(["--numeric-owner", "-tvf"]).arg(&image));
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("crw-------") && line.contains("5,1") && line.ends_with("dev/console")),
        "{listed}"
    );
    assert!(listed.lines().any(|line| line.ends_with("site/deep/er/link -> ../nn")), "{listed}");
    assert!(listed.lines().all(|line| line.split_whitespace().nth(2) == Some("0")), "{listed}");
}

fn entry() -> impl Strategy<Value = Entry> {
    // The owner may always read, or an unpacker could not.
    let mode = (0u32..0o1000).prop_map(|mode| mode | 0o700);
    let node = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..70).prop_map(Node::File),
        1 => Just(Node::Directory),
        1 => "[a-z/.]{1,30}".prop_map(Node::Link),
    ];
    (mode, node).prop_map(|(mode, node)| Entry { mode, node })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    /// Any members, unpacked by GNU cpio and by bsdtar, are what was written.
    #[test]
    fn any_archive_is_read_by_others(members in prop::collection::btree_map("[a-zA-Z0-9_ \u{e4}-]{1,60}", entry(), 0..12)) {
        let dir = scratch();
        let image = dir.path().join("image");
        let mut writer = Writer::new(Vec::new());
        for (name, entry) in &members {
            writer.add(name, entry).unwrap();
        }
        std::fs::write(&image, writer.finish().unwrap()).unwrap();
        let (cpio, bsdtar) = (dir.path().join("cpio"), dir.path().join("bsdtar"));
        unpack(&image, "cat", &cpio);
        std::fs::create_dir(&bsdtar).unwrap();
        run(Command::new(need("bsdtar", "libarchive-tools")).arg("-xpf").arg(&image).arg("-C").arg(&bsdtar));
        for root in [cpio, bsdtar] {
            prop_assert_eq!(std::fs::read_dir(&root).unwrap().count(), members.len());
            for (name, entry) in &members {
                let path = root.join(name);
                let meta = path.symlink_metadata().unwrap();
                // GNU cpio gives links the time of their making.
                prop_assert!(meta.mtime() == 0 || meta.is_symlink());
                prop_assert_eq!((meta.uid(), meta.gid()), (0, 0));
                match &entry.node {
                    Node::File(data) => prop_assert_eq!(&std::fs::read(&path).unwrap(), data),
                    Node::Link(target) => prop_assert_eq!(std::fs::read_link(&path).unwrap(), Path::new(target)),
                    _ => prop_assert!(meta.is_dir()),
                }
                if !meta.is_symlink() {
                    prop_assert_eq!(meta.mode() & 0o7777, entry.mode);
                }
            }
        }
    }
}

#[test]
fn the_same_plan_is_the_same_bytes_and_archives_stand_in_order() {
    let dir = scratch();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("first"), b"front").unwrap();
    let one = Plan { programs: texts(&["mke2fs"]), compression: Compression::Zstd(3), ..plan() };
    build(&path("a"), &one, &Cancel::new()).unwrap();
    build(&path("b"), &one, &Cancel::new()).unwrap();
    let a = std::fs::read(path("a")).unwrap();
    assert!(a == std::fs::read(path("b")).unwrap());
    let several = Plan { before: vec![path("first")], after: vec![path("a")], ..one };
    build(&path("c"), &several, &Cancel::new()).unwrap();
    assert!(std::fs::read(path("c")).unwrap() == [b"front\0\0\0".as_slice(), &a, &a].concat());
}

/// Programs run in a root of nothing but the image: all libraries are there.
#[test]
fn programs_run_with_what_they_bring() {
    let dir = scratch();
    let (image, root) = (dir.path().join("image"), dir.path().join("root"));
    // C and C++ programs, a link with another name, a script.
    let plan = Plan { programs: texts(&["mke2fs", "mkfs.ext4", "sgdisk", "ntfsclone", "bash", "zgrep"]), ..plan() };
    build(&image, &plan, &Cancel::new()).unwrap();
    unpack(&image, "cat", &root);
    for (program, said) in [
        ("mke2fs", "Using EXT2FS Library"),
        ("mkfs.ext4", "Using EXT2FS Library"),
        ("sgdisk", "GPT fdisk"),
        ("ntfsclone", "ntfsclone v"),
    ] {
        let output = Command::new("chroot")
            .arg(&root)
            .args([program, if program == "ntfsclone" || program == "sgdisk" { "--version" } else { "-V" }])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(text.contains(said), "{program}: {text}");
    }
    let shells = ["usr/bin/sh", "usr/bin/dash", "usr/bin/bash"].map(|path| root.join(path).symlink_metadata().is_ok());
    assert!(shells[0] && (shells[1] || shells[2]), "the script's interpreter");
}

#[test]
fn what_is_missing_is_named_with_its_package() {
    let dir = scratch();
    let image = dir.path().join("image");
    let fail = |plan: Plan| build(&image, &plan, &Cancel::new()).unwrap_err();
    let fault = fail(Plan { programs: texts(&["mkfs.f2fs"]), ..plan() });
    assert_eq!((&*fault.kind, &*fault.hints[0]), ("initramfs.program", "the Debian package `f2fs-tools` has it"));
    let root = kernel::tree();
    let fault = fail(Plan { modules: texts(&["ext5"]), root: root.clone(), ..plan() });
    assert_eq!((&*fault.kind, &*fault.hints[0]), ("initramfs.module", "did you mean `ext4`?"));
    let fault = fail(Plan { modules: texts(&["ext4"]), root: root.clone(), release: Some("5.10.0".into()), ..plan() });
    assert_eq!(fault.kind, "initramfs.release");
    assert!(fault.hints[0].contains(&kernel::release()), "{fault:?}");
    assert!(!image.exists(), "nothing half-written");
    // A library that is gone: a program that was linked against one.
    let program = std::fs::read("/sbin/mke2fs").unwrap();
    let at = program.windows(11).position(|bytes| bytes == b"libext2fs.s").unwrap();
    let mut broken = program.clone();
    broken[at + 3] = b'X';
    let path = dir.path().join("broken");
    std::fs::write(&path, broken).unwrap();
    let fault = fail(Plan { programs: vec![path.display().to_string()], ..plan() });
    assert_eq!(fault.kind, "initramfs.library");
    assert!(fault.message.contains("`libXxt2fs.so.2`"), "{fault}");
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect()
}

/// The tables are what depmod writes of the same modules, and the choice is what modprobe would load.
#[test]
fn tables_and_choice_are_those_of_kmod() {
    let dir = scratch();
    let (image, root, release) = (dir.path().join("image"), dir.path().join("root"), kernel::release());
    let wanted = ["ext4", "vfat", "btrfs", "r8169", "virtio_net", "mlx5_core", "usb-storage"];
    let plan = Plan {
        root: kernel::tree(),
        modules: texts(&wanted),
        optional: texts(&["drivers/net/ethernet/intel/", "nosuch"]),
        ..plan()
    };
    let built = build(&image, &plan, &Cancel::new()).unwrap();
    assert_eq!((&*built.release, built.left_out), (&*release, texts(&["nosuch"])));
    let realtek =
        built.missing_firmware.iter().find(|missing| missing.module == "r8169").expect("its firmware is not free");
    assert_eq!(realtek.debian, "firmware-realtek");
    unpack(&image, "cat", &root);
    let modules = root.join("usr/lib/modules").join(&release);
    let ours = ["modules.alias", "modules.softdep", "modules.dep"]
        .map(|table| std::fs::read_to_string(modules.join(table)).unwrap());
    // depmod wants these; the order is that of the kernel's build.
    std::fs::write(modules.join("modules.order"), "").unwrap();
    run(Command::new(need("depmod", "kmod")).arg("-b").arg(&root).arg(&release));
    let theirs = ["modules.alias", "modules.softdep", "modules.dep"]
        .map(|table| std::fs::read_to_string(modules.join(table)).unwrap());
    assert_eq!(lines(&ours[1]), lines(&theirs[1]));
    // depmod writes `_` for `-` outside of brackets; a pattern of hardware has none of both.
    let plain = |text: &str| lines(text).iter().map(|line| line.replace('-', "_")).collect::<BTreeSet<_>>();
    assert_eq!(plain(&ours[0]), plain(&theirs[0]));
    let needs = |text: &str| -> BTreeSet<(String, BTreeSet<String>)> {
        let line = |line: &str| {
            line.split_once(':')
                .map(|(file, needs)| (file.to_string(), needs.split_whitespace().map(str::to_string).collect()))
        };
        text.lines().filter_map(line).collect()
    };
    assert_eq!(needs(&ours[2]), needs(&theirs[2]));
    for name in wanted {
        let shown = run(Command::new(need("modprobe", "kmod"))
            .args(["--show-depends", "-d"])
            .arg(&root)
            .args(["-S", &release, name]));
        let missing =
            shown.lines().filter_map(|line| line.strip_prefix("insmod ")).find(|path| !Path::new(path.trim()).exists());
        assert_eq!(missing, None, "{name}");
        assert!(shown.contains("insmod ") || shown.contains("builtin "), "{name}: {shown}");
    }
}

/// Modules as newer Debian has them: packed one by one, by xz.
#[test]
fn packed_modules_are_unpacked() {
    let dir = scratch();
    let (image, release) = (dir.path().join("image"), kernel::release());
    let (from, root) = (kernel::tree().join("lib/modules").join(&release), dir.path().join("root"));
    let to = root.join("lib/modules").join(&release);
    for file in ["kernel/fs/fat/vfat.ko", "kernel/fs/fat/fat.ko"] {
        std::fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    run(Command::new(need("xz", "xz-utils")).arg("--check=crc32").arg(to.join("kernel/fs/fat/vfat.ko")));
    run(Command::new(need("zstd", "zstd")).args(["-q", "--rm"]).arg(to.join("kernel/fs/fat/fat.ko")));
    let built = build(&image, &Plan { root, modules: texts(&["vfat"]), ..plan() }, &Cancel::new()).unwrap();
    assert_eq!(built.modules, ["fat", "vfat"]);
    let there = dir.path().join("there");
    unpack(&image, "cat", &there);
    for file in ["kernel/fs/fat/vfat.ko", "kernel/fs/fat/fat.ko"] {
        let unpacked = there.join("usr/lib/modules").join(&release).join(file);
        assert!(std::fs::read(unpacked).unwrap() == std::fs::read(from.join(file)).unwrap(), "{file}");
    }
}
