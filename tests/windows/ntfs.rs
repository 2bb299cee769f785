//! The state of an NTFS as kar reads it, held against what ntfs-3g's programs make of the same volume.

use std::path::Path;
use std::process::Command;

use kar::host::Cancel;
use kar::kit::dd::{self, FromOptions};
use kar::kit::fs::{NtfsState, ntfs, ntfs_bytes, ntfs_used, probe};
use kar::kit::stream::Source;

use crate::golden::{NTFS, windows};
use crate::harness::{run, scratch};

fn copy(folder: &Path) -> std::path::PathBuf {
    let volume = folder.join("volume");
    run(Command::new("cp").args(["--sparse=always"]).arg(windows()).arg(&volume));
    volume
}

/// Runs a script with the volume mounted by ntfs-3g at `mnt`.
pub fn inside(volume: &Path, script: &str) {
    let all = format!("set -e; {NTFS} enter {}; cd mnt; {script}; cd ..; leave", volume.display());
    run(Command::new("sh").args(["-c", &all]).current_dir(volume.parent().unwrap()));
}

/// Whether ntfs-3g mounts it for writing, as it does with what it takes for clean.
fn writable(volume: &Path) -> bool {
    let script = "enter $0; touch mnt/probe 2>/dev/null; code=$?; rm -f mnt/probe; leave; exit $code";
    let script = format!("{NTFS} {script}");
    let mut sh = Command::new("sh");
    sh.args(["-c", &script]).arg(volume).current_dir(volume.parent().unwrap()).status().unwrap().success()
}

fn reasons(state: &NtfsState, word: &str) -> bool {
    state.reasons.iter().any(|reason| reason.contains(word))
}

#[test]
fn clean_hibernated_and_dirty_are_told_apart() {
    let folder = scratch();
    let volume = copy(folder.path());
    let state = ntfs(&volume).unwrap();
    assert!(state.clean && state.reasons.is_empty() && writable(&volume), "{state:?}");
    assert_eq!((state.version.as_str(), state.cluster_size, state.size), ("3.1", 4096, 100 << 20));
    let info = run(Command::new("ntfsinfo").arg("-m").arg(&volume));
    let free = info.lines().find_map(|line| line.trim().strip_prefix("Free Clusters: ")).unwrap();
    let free: u64 = free.split(' ').next().unwrap().parse().unwrap();
    let clusters = info.lines().find_map(|line| line.trim().strip_prefix("Volume Size in Clusters: ")).unwrap();
    assert_eq!(state.used, (clusters.parse::<u64>().unwrap() - free) * 4096);

    // In a root folder that has outgrown its record, and under another spelling.
    inside(
        &volume,
        "for i in $(seq 1 300); do : > a-name-that-is-long-enough-to-fill-a-block-$i; done; head -c 8192 /dev/zero > HiberFil.SYS",
    );
    assert!(ntfs(&volume).unwrap().clean, "Windows has resumed: its header is zeros");
    inside(&volume, "(printf hibr; head -c 8188 /dev/zero) > HiberFil.SYS");
    let state = ntfs(&volume).unwrap();
    assert!(state.hibernated && !state.clean && reasons(&state, "hibernated"), "{state:?}");
    let asleep = copy(folder.path());
    inside(&asleep, "(printf HIBR; head -c 8188 /dev/zero) > hiberfil.sys");
    assert!(ntfs(&asleep).unwrap().hibernated && !writable(&asleep));
    let gone = copy(folder.path());
    inside(&gone, "(printf hibr; head -c 8188 /dev/zero) > hiberfil.sys; rm hiberfil.sys");
    assert!(ntfs(&gone).unwrap().clean && writable(&gone), "what was removed does not count");

    // Without -n ntfsfix marks a volume for a check; -d takes the mark away.
    run(Command::new("ntfsfix").arg(&gone));
    let state = ntfs(&gone).unwrap();
    assert!(state.dirty && !state.hibernated && reasons(&state, "dirty"), "{state:?}");
    assert_eq!(ntfs_used(&gone).err().map(|fault| fault.kind.to_string()).as_deref(), Some("fs.unclean"));
    run(Command::new("ntfsfix").arg("-d").arg(&gone));
    assert!(ntfs(&gone).unwrap().clean);

    // An image that was cut.
    std::fs::OpenOptions::new().write(true).open(&gone).unwrap().set_len(60 << 20).unwrap();
    let state = ntfs(&gone);
    assert!(state.is_err() || reasons(&state.unwrap(), "ends before its end"));
    assert_eq!(ntfs(&std::env::current_exe().unwrap()).unwrap_err().kind, "fs.kind");
}

/// What is in use is what ntfsclone copies: the files are all there, and what was deleted is not.
#[test]
fn only_what_is_in_use_is_read() {
    let folder = scratch();
    let volume = copy(folder.path());
    let mut source = dd::from(&volume, &FromOptions { used_only: true, ..FromOptions::default() }).unwrap();
    source.heed(&Cancel::new());
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    while let count @ 1.. = source.read(&mut buffer).unwrap() {
        all.extend(&buffer[..count]);
    }
    let own = std::fs::read(&volume).unwrap();
    assert_eq!(all.len(), own.len());
    let zeros = |bytes: &[u8]| bytes.chunks(4096).filter(|cluster| cluster.iter().all(|byte| *byte == 0)).count();
    assert!(zeros(&all) > zeros(&own) + 1000, "5 MB were deleted: {} {}", zeros(&all), zeros(&own));
    std::fs::write(folder.path().join("mine"), &all).unwrap();
    run(Command::new("ntfsclone").args(["-q", "-O", "theirs"]).arg(&volume).current_dir(&folder));
    let mut theirs = std::fs::read(folder.path().join("theirs")).unwrap();
    theirs.resize(all.len(), 0);
    assert!(all == theirs, "byte by byte what ntfsclone writes");
    run(Command::new("ntfsfix").arg("-n").arg(folder.path().join("mine")));
}

/// Whatever stands on a disk: an answer, in time, and no panic.
#[test]
fn damaged_volumes_do_no_harm() {
    let folder = scratch();
    let volume = folder.path().join("small");
    run(Command::new("truncate").args(["-s", "2M"]).arg(&volume));
    run(Command::new("mkntfs").args(["-F", "-Q", "-q", "-c", "512"]).arg(&volume));
    inside(&volume, "printf hibr > hiberfil.sys; for i in $(seq 1 40); do : > some-file-with-a-name-$i; done");
    let whole = std::fs::read(&volume).unwrap();
    assert!(ntfs_bytes(&whole).unwrap().hibernated);
    let busy: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut told = 0;
    for round in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + round % 6 {
            let at = if next() % 3 == 0 { next() as usize % 90 } else { busy[next() as usize % busy.len()] };
            bytes[at] = if next() % 2 == 0 { 0xff } else { next() as u8 };
        }
        bytes.truncate(if round % 10 == 0 { next() as usize % bytes.len() } else { bytes.len() });
        told += usize::from(ntfs_bytes(&bytes).is_some());
    }
    assert!(told > 100 && told < 3000, "{told} of 3000 were readable");
}

#[test]
fn bitlocker_is_known() {
    let folder = scratch();
    let volume = folder.path().join("volume");
    let mut bytes = vec![0; 1 << 20];
    bytes[3..11].copy_from_slice(b"-FVE-FS-");
    std::fs::write(&volume, &bytes).unwrap();
    assert_eq!(probe(&volume).unwrap().unwrap().kind, "bitlocker");
}
