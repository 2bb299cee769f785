//! `--layout golden`: the nodes are partitioned, formatted and mounted as the golden machine's table and fstab say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::flow::rehearse;
use crate::harness::{need, run, scratch};
use crate::image::{Partition, partitions};
use crate::listing::{differences, listing};

/// What is to be in one partition of a golden disk: number, kind of filesystem, label.
type Content = (u64, &'static str, &'static str);

/// An image with a table, as sfdisk reads it, and filesystems.
fn disk(folder: &Path, size: &str, table: &str, contents: &[Content]) -> PathBuf {
    let image = folder.join("golden.img");
    run(Command::new("truncate").args(["-s", size]).arg(&image));
    let mut sfdisk = Command::new("sfdisk").arg("-q").arg(&image).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(sfdisk.stdin.as_mut().unwrap(), table.as_bytes()).unwrap();
    assert!(sfdisk.wait().unwrap().success());
    for (number, kind, label) in contents {
        let part = Partition::open_with(&image, *number, &[]);
        let words: &[&str] = match *kind {
            "swap" => &["mkswap", "-L", label],
            "xfs" => &["mkfs.xfs", "-q", "-L", label],
            "btrfs" => &["mkfs.btrfs", "-q", "-L", label],
            "vfat" => &["mkfs.vfat", "-n", label],
            "ext2" => &["mkfs.ext2", "-q", "-L", label],
            "ext3" => &["mkfs.ext3", "-q", "-L", label],
            _ => &["mkfs.ext4", "-q", "-L", label],
        };
        run(Command::new(words[0]).args(&words[1..]).arg(&part.device));
    }
    image
}

/// UUID, TYPE, LABEL, PART_ENTRY_UUID .. of a partition of an image.
fn facts(image: &Path, number: u64) -> BTreeMap<String, String> {
    let part = Partition::open(image, number);
    let text = run(Command::new("blkid").args(["-p", "-o", "export", &part.device]));
    text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

fn part_uuid(image: &Path, number: u64) -> String {
    run(Command::new("sfdisk").arg("--part-uuid").arg(image).arg(number.to_string())).trim().to_lowercase()
}

/// Small, with something in each of its later filesystems.
fn system(root: &Path, fstab: &str) {
    let script = r#"
        mkdir -p etc usr/bin boot/grub2 home/ann srv/deep/data/x var/log tmp
        echo golden > etc/motd; seq 1 3000 > usr/bin/numbers; echo kernel > boot/vmlinuz
        echo mail > home/ann/mail; chown -R 1000:1000 home/ann; ln home/ann/mail home/ann/same
        echo data > srv/deep/data/x/y; chmod 1770 srv/deep/data; echo line > var/log/syslog; chmod 2755 var/log
        touch -d '2002-02-02 02:02:02' home srv/deep/data boot
    "#;
    std::fs::create_dir_all(root).unwrap();
    run(Command::new("sh").args(["-e", "-c", script]).current_dir(root));
    std::fs::write(root.join("etc/fstab"), fstab).unwrap();
}

/// What a node has, over all its partitions, mounted one in another.
fn found(image: &Path, mounts: &[(u64, &str)]) -> BTreeMap<String, String> {
    let dir = scratch();
    let mut parts = Vec::new();
    for (number, place) in mounts {
        let part = Partition::open(image, *number);
        let mount = Command::new("mount").args(["-o", "ro", &part.device]).arg(dir.path().join(place)).status();
        assert!(mount.unwrap().success(), "{number} on {place}");
        parts.push(part);
    }
    let mut found = listing(dir.path());
    for (_, place) in mounts.iter().rev() {
        run(Command::new("umount").arg(dir.path().join(place)));
    }
    found.retain(|name, _| !name.ends_with("lost+found") && name != "etc/fstab");
    found
}

fn golden(folder: &Path, words: &[&str]) -> Output {
    let all = [&["--source", "source", "--layout", "golden", "--source-disk", "golden.img"], words].concat();
    rehearse("recipes/linux.rhai", folder, &all)
}

#[track_caller]
fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
    }
}

const GPT: &str = "label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\n
size=1MiB, type=21686148-6449-6E6F-744E-656564454649\nsize=40MiB, type=linux, name=boot, bootable\n
size=80MiB, type=linux, name=root\nsize=128MiB, type=linux, name=\"the data\"\nsize=20MiB, type=linux\n
size=8MiB, type=linux, name=spare\nsize=300MiB, type=linux, name=home\nsize=32MiB, type=swap, name=swp\n";

/// Every way that an fstab can name a partition, in a table where the last one is a swap.
fn many(folder: &Path) -> (PathBuf, String) {
    let contents = [
        (2, "ext2", "boot"),
        (3, "ext4", ""),
        (4, "btrfs", "data"),
        (5, "ext3", "logs"),
        (7, "xfs", "my home"),
        (8, "swap", "swp"),
    ];
    let image = disk(folder, "640M", GPT, &contents);
    let (root, swap) = (facts(&image, 3)["UUID"].clone(), facts(&image, 8)["UUID"].clone());
    let fstab = [
        "# /etc/fstab: what our machines mount\n".to_string(),
        format!("UUID={}  /  ext4\terrors=remount-ro  0 1\n", root.to_uppercase()),
        "tmpfs /tmp tmpfs size=1g,mode=1777 0 0\n".into(),
        format!("PARTUUID={} /boot ext2 noatime 0 2\n", part_uuid(&image, 2)),
        "# the disk that only the golden machine has\n".into(),
        "UUID=01234567-89ab-cdef-0123-456789abcdef /data ext4 nofail 0 2\n".into(),
        "LABEL=\"my\\040home\" /home xfs nosuid,nodev 0 2 # people\n".into(),
        "PARTLABEL=the\\040data /srv/deep/data btrfs compress=zstd,noatime 0 0\n".into(),
        "/dev/sda5 /var/log ext3 ro,noexec 1 2\n\n".into(),
        format!("/dev/disk/by-uuid/{swap} none swap sw,pri=5 0 0\n"),
        "nas:/export /net nfs soft 0 0\n/home/ann /mnt none bind 0 0\n/dev/cdrom /media auto user,noauto 0 0\n".into(),
    ];
    (image, fstab.concat())
}

const MANY: [(u64, &str); 5] = [(3, "."), (2, "boot"), (7, "home"), (4, "srv/deep/data"), (5, "var/log")];

#[test]
fn a_golden_disk_with_every_filesystem() {
    need("mkfs.btrfs", "btrfs-progs");
    let folder = scratch();
    let (image, fstab) = many(folder.path());
    let source = folder.path().join("source");
    system(&source, &fstab);
    let said = well(&golden(folder.path(), &["--nodes", "2", "--disk-size", "1GiB"]));
    for word in [
        "line 6 of fstab: UUID=01234567-89ab-cdef-0123-456789abcdef for /data is not on the golden disk",
        "partition 6 (linux): a place on each node, and nothing in it",
        "partition 7 (home) grows from 300 MiB to 684 MiB",
        "boot 2: vmlinuz root=LABEL=root ro",
    ] {
        assert!(said.contains(word), "`{word}` is missing in:\n{said}");
    }
    let mut wanted = listing(&source);
    wanted.retain(|name, _| name != "etc/fstab");
    for n in 1..=2 {
        let node = folder.path().join(format!("work/node{n}.img"));
        assert!(run(Command::new("sgdisk").arg("-v").arg(&node)).contains("No problems found"));
        let all = partitions(&node);
        assert_eq!(all.iter().map(|part| part.2 >> 20).collect::<Vec<_>>(), [1, 40, 80, 128, 20, 8, 684, 32]);
        assert_eq!(all.iter().map(|part| part.3.as_str()).collect::<Vec<_>>()[1..4], ["boot", "root", "the data"]);
        let mut text = fstab.clone();
        for (number, kind, label, spec) in [
            (2, "ext2", "boot", format!("PARTUUID={}", part_uuid(&image, 2))),
            (3, "ext4", "root", format!("UUID={}", facts(&image, 3)["UUID"].to_uppercase())),
            (4, "btrfs", "data", "PARTLABEL=the\\040data".into()),
            (5, "ext3", "logs", "/dev/sda5".into()),
            (7, "xfs", "my home", "LABEL=\"my\\040home\"".into()),
            (8, "swap", "swp", format!("/dev/disk/by-uuid/{}", facts(&image, 8)["UUID"])),
        ] {
            let facts = facts(&node, number);
            assert_eq!((facts["TYPE"].as_str(), facts["LABEL"].replace('\\', "").as_str()), (kind, label));
            assert_ne!(facts["UUID"], self::facts(&image, number)["UUID"]);
            assert_ne!(part_uuid(&node, number), part_uuid(&image, number));
            text = text.replace(&spec, &format!("UUID={}", facts["UUID"]));
        }
        text = text.replace("UUID=01234567", "# not on this machine: UUID=01234567");
        let differ = differences(&wanted, &found(&node, &MANY));
        assert!(differ.is_empty(), "node{n}: {differ:#?}");
        let mut root = Partition::open(&node, 3);
        assert_eq!(std::fs::read_to_string(root.mount().join("etc/fstab")).unwrap(), text);
        run(Command::new("e2fsck").args(["-fn", &Partition::open(&node, 5).device]));
        run(Command::new("xfs_repair").args(["-n", &Partition::open(&node, 7).device]));
        run(Command::new("btrfs").args(["check", &Partition::open(&node, 4).device]));
    }

    let output = golden(folder.path(), &["--uuids", "keep", "--nodes", "2"]);
    refused(&output, &["error[linux.uuids]", "2 rehearsed nodes on one machine cannot all have the same btrfs"]);
    well(&golden(folder.path(), &["--uuids", "keep", "--nodes", "1"]));
    let node = folder.path().join("work/node1.img");
    assert_eq!(facts(&node, 4)["UUID"], facts(&image, 4)["UUID"]);
}

const MBR: &str = "label: dos\nlabel-id: 0x12345678\nsize=100MiB, type=83, bootable\nsize=16MiB, type=7\n
size=+, type=f\nsize=32MiB, type=82\nsize=320MiB, type=83\n";

fn mbr(folder: &Path) -> PathBuf {
    disk(folder, "512M", MBR, &[(1, "ext4", "sys"), (5, "swap", "swp"), (6, "xfs", "home")])
}

const MBR_FSTAB: &str = "PARTUUID=12345678-01 / ext4 defaults 0 1\nPARTUUID=12345678-05 none swap sw 0 0\n\
                         PARTUUID=12345678-06 /home xfs defaults 0 2\n";

#[test]
fn uuids_and_disk_signature_are_kept() {
    let folder = scratch();
    let image = mbr(folder.path());
    system(&folder.path().join("source"), MBR_FSTAB);
    well(&golden(folder.path(), &["--uuids", "keep", "--nodes", "2"]));
    let dump = |image: &Path| {
        let text = run(Command::new("sfdisk").arg("-d").arg(image));
        text.replace(&*image.to_string_lossy(), "disk")
    };
    for n in 1..=2 {
        let node = folder.path().join(format!("work/node{n}.img"));
        assert_eq!(dump(&node), dump(&image), "node{n}: the disk is as big as the golden one");
        for number in [1, 5, 6] {
            assert_eq!(facts(&node, number)["UUID"], facts(&image, number)["UUID"]);
        }
        let mut wanted = listing(&folder.path().join("source"));
        wanted.retain(|name, _| name != "etc/fstab");
        let differ = differences(&wanted, &found(&node, &[(1, "."), (6, "home")]));
        assert!(differ.is_empty(), "node{n}: {differ:#?}");
    }
}

/// The golden machine runs: the disk is the one that the source stands on, and what is mounted below belongs to it.
#[test]
fn a_running_system_is_its_own_golden_machine() {
    need("partx", "util-linux");
    let folder = scratch();
    let image = mbr(folder.path());
    let whole = run(Command::new("losetup").args(["--find", "--show"]).arg(&image)).trim().to_string();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let script = r#"
        partx -a $1; mount $1p1 $2; cd $2; mkdir home proc; mount $1p6 home; mount -t tmpfs none proc; echo no > proc/cpuinfo
        mkdir etc; printf "$3" > etc/fstab; echo mail > home/mail; mkdir var; echo x > var/x
    "#;
    let script = ["-e", "-c", script, "sh", &whole, source.to_str().unwrap(), MBR_FSTAB];
    let made = Command::new("sh").args(script).output().unwrap();
    let words = ["--source", "source", "--layout", "golden", "--nodes", "1", "--disk-size", "600MiB"];
    let output = rehearse("recipes/linux.rhai", folder.path(), &words);
    let script = "umount $2/proc $2/home $2; partx -d $1; losetup -d $1";
    let ended = Command::new("sh").args(["-c", script, "sh", &whole, source.to_str().unwrap()]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    well(&output);
    assert!(ended.status.success(), "{ended:?}");
    let node = folder.path().join("work/node1.img");
    let found = found(&node, &[(1, "."), (6, "home")]);
    assert!(found.contains_key("home/mail") && found.contains_key("var/x") && found.contains_key("proc"), "{found:?}");
    assert!(!found.contains_key("proc/cpuinfo"), "another filesystem, which is no disk's");
    assert!(partitions(&node)[4].2 > partitions(&image)[4].2, "the disk is bigger");
}

#[test]
fn a_disk_too_small_is_refused_before_anything_is_written() {
    let folder = scratch();
    mbr(folder.path());
    system(&folder.path().join("source"), MBR_FSTAB);
    let output = golden(folder.path(), &["--nodes", "1", "--disk-size", "150MiB"]);
    refused(&output, &["error[table.space]", "does not fit", "362 MiB are missing, and partition 6 has 320 MiB"]);
    let node = std::fs::metadata(folder.path().join("work/node1.img")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&node), 0, "nothing was written to the disk");
}

/// Without the disk: Ka-deploy's description, and a dump, with what fstab leaves open said on the command line.
#[test]
fn a_table_out_of_a_file() {
    let folder = scratch();
    let source = folder.path().join("source");
    system(
        &source,
        "/dev/hda1 / ext3 defaults 1 1\n/dev/hda6 /home ext2 defaults 1 2\n/dev/hda5 swap swap defaults 0 0\n",
    );
    std::fs::write(
        folder.path().join("parts"),
        "linux 100 # system\nextended fill\nlogical swap 16\nlogical linux fill\n",
    )
    .unwrap();
    let file = |table: &str, more: &[&str]| {
        let words = ["--source", "source", "--layout", "golden", "--table", table, "--nodes", "1"];
        rehearse("recipes/linux.rhai", folder.path(), &[&words, more].concat())
    };
    well(&file("parts", &["--disk-size", "256MiB"]));
    let node = folder.path().join("work/node1.img");
    let sizes: Vec<u64> = partitions(&node).iter().map(|part| part.2 >> 20).collect();
    assert_eq!(sizes, [100, 155, 16, 137]);
    assert_eq!(facts(&node, 6)["TYPE"], "ext2");
    assert!(found(&node, &[(1, "."), (6, "home")]).contains_key("home/ann/mail"));

    let fstab = "UUID=aaaa / ext4 defaults 0 1\n# /home was on /dev/sda3 during installation\nUUID=bbbb /home ext4 defaults 0 2\n\
                 UUID=cccc none swap sw 0 0\n";
    std::fs::write(source.join("etc/fstab"), fstab).unwrap();
    let dump = "label: gpt\n\nstart=2048, size=16384, type=swap\nstart=18432, size=81920, type=linux\nstart=100352, size=40960, type=linux\n";
    std::fs::write(folder.path().join("dump"), dump).unwrap();
    refused(
        &file("dump", &[]),
        &["error[template.partition]", "line 1 of fstab, UUID=aaaa for /", "--place /=NUMBER says it"],
    );
    refused(&file("dump", &["--place", "root"]), &["error[template.place]"]);
    refused(&file("dump", &["--place", "/=2,swap=9"]), &["error[template.partition]", "the table has no partition 9"]);
    well(&file("dump", &["--place", "/=2,swap=1", "--disk-size", "128MiB"]));
    assert_eq!(partitions(&node)[2].2 >> 20, 78, "the last one takes the rest");
    assert!(found(&node, &[(2, "."), (3, "home")]).contains_key("home/ann/mail"));

    std::fs::write(source.join("etc/fstab"), "proc /proc proc\n/dev/sda1\n").unwrap();
    refused(
        &file("dump", &[]),
        &["error[fs.fstab]", "line 2 of the fstab: 1 words, at least 3 are wanted: `/dev/sda1`"],
    );
    std::fs::write(source.join("etc/fstab"), "proc /proc proc\n").unwrap();
    refused(&file("dump", &[]), &["error[template.fstab]", "says nothing of a disk for /"]);
}

/// Subvolumes of a btrfs are mounts of one partition.
#[test]
fn subvolumes_are_made_again() {
    let folder = scratch();
    let image = disk(folder.path(), "256M", "label: gpt\nsize=+, type=linux, name=all\n", &[(1, "btrfs", "all")]);
    let uuid = facts(&image, 1)["UUID"].clone();
    let fstab = format!(
        "UUID={uuid} / btrfs subvol=@,compress=zstd 0 0\nUUID={uuid} /home btrfs subvolid=257,subvol=/@home 0 0\n"
    );
    system(&folder.path().join("source"), &fstab);
    well(&golden(folder.path(), &["--nodes", "2"]));
    let mut whole = Partition::open(&folder.path().join("work/node2.img"), 1);
    let now = facts(&folder.path().join("work/node2.img"), 1)["UUID"].clone();
    let dir = whole.mount();
    assert_eq!(std::fs::read_to_string(dir.join("@home/ann/mail")).unwrap(), "mail\n");
    assert_eq!(std::fs::read_dir(dir.join("@/home")).unwrap().count(), 0);
    let wanted = fstab.replace(&uuid, &now).replace("subvolid=257,", "");
    assert_eq!(std::fs::read_to_string(dir.join("@/etc/fstab")).unwrap(), wanted);
}
