//! Golden disks: made once for all tests, each with boot code, data in the gap, and an NTFS of thousands of files.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use crate::harness::leftovers::leftovers;
use crate::harness::{eventually, kar, need, run, scratch};

/// What a golden disk is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label {
    Mbr,
    Gpt,
}

const MBR: &str = "label: dos
label-id: 0xdeadbe01
start=2048, size=32768, type=7, bootable
start=34816, size=204800, type=7
start=239616, size=16384, type=27
";
const MBR_LINUX: &str = "start=256000, size=200000, type=f
start=258048, size=65536, type=83
start=325632, size=65536, type=82
";
const GPT: &str = "label: gpt
label-id: 11111111-2222-3333-4444-555555555555
start=2048, size=69632, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=AAAAAAAA-0000-0000-0000-000000000001, name=\"EFI system partition\"
start=71680, size=32768, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, uuid=AAAAAAAA-0000-0000-0000-000000000002, name=\"Microsoft reserved partition\"
start=104448, size=204800, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid=AAAAAAAA-0000-0000-0000-000000000003, name=\"Basic data partition\"
start=309248, size=16384, type=DE94BBA4-06D1-4D40-A16A-BFD50179D6AC, uuid=AAAAAAAA-0000-0000-0000-000000000004, attrs=\"RequiredPartition GUID:63\"
";
const GPT_LINUX: &str = "start=325632, size=65536, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=AAAAAAAA-0000-0000-0000-000000000005, name=\"linux\"
start=391168, size=65536, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, uuid=AAAAAAAA-0000-0000-0000-000000000006, name=\"swap\"
";

/// Bytes of a sector, and of every golden disk.
const SECTOR: u64 = 512;
pub const SIZE: u64 = 240 << 20;

/// The numbers of partitions that travel byte by byte, and of the one that holds Windows.
pub fn raw(label: Label) -> (&'static [u64], u64) {
    match label {
        Label::Mbr => (&[1, 2, 3], 2),
        Label::Gpt => (&[1, 2, 3, 4], 3),
    }
}

/// An NTFS of 100 MiB with thousands of files, by a name that is good as long as this process: nothing of it is left behind.
pub fn windows() -> PathBuf {
    static MADE: OnceLock<File> = OnceLock::new();
    let file = MADE.get_or_init(|| {
        need("mkntfs", "ntfs-3g");
        let folder = scratch();
        let script = r#"
            truncate -s 104857600 windows; mkntfs -F -Q -q -L Windows windows 2>/dev/null
            mkdir memory; mount -t tmpfs none memory
            mkdir -p memory/Windows/System32/drivers memory/Users/Public memory/Windows/Panther
            (cd memory/Windows/System32; seq 1 2600 | split -l 1 -a 4 - file; head -c 9000000 /dev/urandom > ntoskrnl.exe)
            (cd memory/Windows/System32/drivers; seq 1 400 | split -l 1 -a 4 - driver)
            enter windows
            tar c -C memory . | tar x -C mnt
            head -c 5000000 /dev/urandom > mnt/gone; sync mnt/gone; rm mnt/gone
            leave; umount memory
        "#;
        run(Command::new("sh").args(["-c", &format!("set -e; {NTFS} {script}")]).current_dir(&folder));
        File::open(folder.path().join("windows")).unwrap()
    });
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
}

/// Shell functions around an NTFS at `mnt`: when `leave` is done, all is written. (umount alone does not wait for the
/// program that writes.)
pub const NTFS: &str = r#"
    enter() {
        mkdir -p mnt; ntfs-3g -o no_detach "$1" mnt 2>/dev/null & pid=$!
        until mountpoint -q mnt; do kill -0 $pid || exit 9; sleep 0.02; done
    }
    leave() { umount mnt; wait $pid; }
"#;

/// No loop device on a file below `folder`, and nothing mounted there. A device that udev looks at goes a moment later.
#[track_caller]
pub fn nothing_left(folder: &Path) {
    eventually(Duration::from_secs(60), "nothing is left open", || leftovers(folder, None).is_empty());
}

/// Makes `golden.img` in `folder`.
pub fn golden(folder: &Path, label: Label, linux: bool) -> PathBuf {
    for (program, package) in [("sfdisk", "fdisk"), ("mkfs.vfat", "dosfstools"), ("mkfs.ext4", "e2fsprogs")] {
        need(program, package);
    }
    let image = folder.join("golden.img");
    let (table, rest, places) = match label {
        Label::Mbr => (MBR, MBR_LINUX, [2048, 34816, 239616, 258048, 325632]),
        Label::Gpt => (GPT, GPT_LINUX, [2048, 104448, 309248, 325632, 391168]),
    };
    std::fs::write(folder.join("table"), format!("{table}{}", if linux { rest } else { "" })).unwrap();
    let system =
        if label == Label::Mbr { "mkntfs -F -Q -q -L System part 2>/dev/null" } else { "mkfs.vfat part >/dev/null" };
    let script = format!(
        r#"
        set -e
        truncate -s {SIZE} golden.img
        sfdisk -q golden.img < table
        put() {{ dd if=$1 of=golden.img bs=1M seek=$(($2 * 512)) oflag=seek_bytes conv=notrunc,sparse status=none; }}
        truncate -s $(({})) part; {system}; put part {}; rm part
        put {} {}
        head -c 8388608 /dev/urandom > part; put part {}; rm part
        "#,
        if label == Label::Mbr { 32768 * SECTOR } else { 69632 * SECTOR },
        places[0],
        windows().display(),
        places[1],
        places[2],
    );
    run(Command::new("sh").args(["-c", &script]).current_dir(folder));
    if linux {
        let script = format!(
            r#"
            set -e
            put() {{ dd if=$1 of=golden.img bs=1M seek=$(($2 * 512)) oflag=seek_bytes conv=notrunc,sparse status=none; }}
            mkdir -p tree/etc tree/usr/bin tree/tmp; cp /usr/bin/env tree/usr/bin; chmod 4755 tree/usr/bin/env; echo x > tree/tmp/x
            echo 'UUID=0c0ffee0-0000-4000-8000-000000000001 / ext4 defaults 0 1' > tree/etc/fstab
            echo 'UUID=0c0ffee0-0000-4000-8000-000000000002 none swap sw 0 0' >> tree/etc/fstab
            truncate -s 33554432 part
            mkfs.ext4 -q -L root -U 0c0ffee0-0000-4000-8000-000000000001 -d tree part; put part {}; rm part
            truncate -s 33554432 part
            mkswap -L sleep -U 0c0ffee0-0000-4000-8000-000000000002 part >/dev/null; put part {}; rm part
            "#,
            places[3], places[4],
        );
        run(Command::new("sh").args(["-c", &script]).current_dir(folder));
    }
    // Boot code, and what a boot loader keeps in the gap: behind an MBR from sector 1, behind a GPT from sector 34 on.
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let noise: Vec<u8> = (0..440u32).map(|n| (n * 7 + 3) as u8).collect();
    file.write_all_at(&noise, 0).unwrap();
    let gap = if label == Label::Mbr { 1 } else { 34 };
    file.write_all_at(&noise.repeat(40), gap * SECTOR).unwrap();
    image
}

/// Runs a recipe of the repository in `folder`, in a short time.
pub fn recipe(folder: &Path, name: &str, words: &[&str]) -> Output {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name);
    Command::new(kar()).arg("run").arg(recipe).args(words).current_dir(folder).env("TMPDIR", folder).output().unwrap()
}

/// `kar run windows` with `golden.img` or another source.
pub fn rehearse(folder: &Path, source: &str, words: &[&str]) -> Output {
    let mut all = vec!["--source", source, "--work", "work"];
    all.extend(words);
    recipe(folder, "windows.rhai", &all)
}

/// The rehearsed node's image.
pub fn node(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("work/node{number}.img"))
}

#[track_caller]
pub fn good(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.into_owned()
}

#[track_caller]
pub fn failed(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
    }
}
