//! Tables copied from disk to disk: every byte outside the partitions' contents is the same.

use std::os::unix::fs::FileExt;
use std::path::Path;

use kar::kit::disk::{Disk, Label, OpenOptions, Table, compare, copy_table};

use super::support::*;

const MIB: u64 = 1 << 20;

/// Bytes that repeat nowhere, so that a piece in the wrong place is seen.
fn noise(length: usize, seed: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(seed).finalize_xof().fill(&mut bytes);
    bytes
}

fn poke(path: &Path, offset: u64, bytes: &[u8]) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

const GPT: &str = "label: gpt\nlabel-id: 0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9\nfirst-lba: 34\n\
                   2 : start=4096, size=4096, type=U, name=\"EFI system\"\n\
                   7 : start=20480, size=8192, name=root, attrs=\"RequiredPartition LegacyBIOSBootable GUID:60\"\n\
                   3 : start=9000, size=100, type=21686148-6449-6E6F-744E-656564454649\n";
const MBR: &str = "label: dos\nlabel-id: 0xcafe0001\n1 : start=2048, size=4096, type=7, bootable\n\
                   2 : start=6144, size=2048, type=27\n4 : start=10240, size=40960, type=f\n\
                   5 : start=12288, size=2048, type=83\n6 : start=16384, size=2048, type=82\n\
                   7 : start=20481, size=2048, type=83\n";

/// A golden disk with boot code, a loader in the gap, and something in every free sector.
fn golden(dir: &tempfile::TempDir, dump: &str, sector_size: u32) -> (std::path::PathBuf, Disk) {
    let path = image(dir, "golden.img", 64 * MIB);
    poke(&path, 0, &noise(64 << 20, dump.as_bytes()));
    // An old table in the noise would be one more thing to find.
    poke(&path, 0, &[0; 512]);
    let disk = open_with(&path, sector_size);
    disk.write_boot_code(&noise(440, b"boot")).unwrap();
    let scaled = match sector_size {
        512 => dump.to_string(),
        _ => format!("{dump}sector-size: 512\n")
            .replace("start=9000, size=100", "start=9000, size=104")
            .replace("20481", "20488"),
    };
    let scaled = scaled.replace("first-lba: 34\n", "");
    let table = Table::parse(&scaled).unwrap();
    disk.write_table(&table).unwrap();
    (path, disk)
}

/// Where the contents of partitions lie, in bytes.
fn contents(disk: &Disk) -> Vec<(usize, usize)> {
    let layout = disk.table().unwrap().unwrap();
    let parts = layout.partitions.iter().filter(|part| !part.kind.is_extended());
    parts.map(|part| (layout.bytes(part.start) as usize, layout.bytes(part.end()) as usize)).collect()
}

fn target(dir: &tempfile::TempDir, size: u64, sector_size: u32) -> (std::path::PathBuf, Disk) {
    let path = image(dir, &format!("target{size}.img"), size);
    poke(&path, 0, &noise(size as usize, b"target"));
    let disk = open_with(&path, sector_size);
    // What an old GPT leaves behind must not come back.
    disk.write_table(&Table::parse("label: gpt\nsize=10MiB, name=old\n").unwrap()).unwrap();
    (path, disk)
}

#[test]
fn every_byte_outside_the_partitions_on_a_disk_of_the_same_size() {
    for dump in [GPT, MBR] {
        for sector_size in [512, 4096] {
            let dir = folder();
            let (from_path, from) = golden(&dir, dump, sector_size);
            let (to_path, to) = target(&dir, 64 * MIB, sector_size);
            let before = std::fs::read(&to_path).unwrap();
            let copied = copy_table(&from, &to).unwrap();
            // More than 16 MiB are free behind the last partition: that is the one thing told.
            assert_eq!(copied.changes.len(), 1, "{:?}", copied.changes);
            assert!(copied.changes[0].starts_with("of "), "{:?}", copied.changes);
            let (source, target) = (std::fs::read(&from_path).unwrap(), std::fs::read(&to_path).unwrap());
            let inside = contents(&from);
            for (start, end) in &inside {
                assert!(target[*start..*end] == before[*start..*end], "contents at byte {start} stay");
            }
            let mut bounds: Vec<usize> = inside.iter().flat_map(|(start, end)| [*start, *end]).collect();
            bounds.sort_unstable();
            let free = bounds.last().unwrap() + (16 << 20);
            bounds.insert(0, 0);
            bounds.push(free);
            // Behind that the free space keeps what it had, and the end of a GPT is a copy again.
            let tail = if dump == GPT { (1 + 16384 / sector_size as usize) * sector_size as usize } else { 0 };
            bounds.extend([source.len() - tail, source.len()]);
            for gap in bounds.chunks_exact(2) {
                assert!(target[gap[0]..gap[1]] == source[gap[0]..gap[1]], "bytes {gap:?} of {dump}");
            }
            if sector_size == 512 {
                assert_eq!(dump_of(&to_path), dump_of(&from_path).replace("golden.img", "target67108864.img"));
                if dump == GPT {
                    let print = |path: &Path| run("sgdisk", &["-p", "-i", "7", path.to_str().unwrap()]);
                    assert_eq!(print(&to_path).replace("target67108864", "golden"), print(&from_path));
                }
            }
        }
    }
}

fn dump_of(path: &Path) -> String {
    run("sfdisk", &["-d", path.to_str().unwrap()])
}

#[test]
fn a_bigger_and_a_smaller_disk() {
    for dump in [GPT, MBR] {
        for size in [128 * MIB, 40 * MIB] {
            let dir = folder();
            let (_, from) = golden(&dir, dump, 512);
            let (to_path, to) = target(&dir, size, 512);
            let copied = copy_table(&from, &to).unwrap();
            assert_eq!(compare(&from.table().unwrap().unwrap().into(), &copied.clone().into()), Vec::<String>::new());
            assert_eq!(to.boot_code().unwrap(), from.boot_code().unwrap());
            let shown = to_path.to_str().unwrap();
            run("sfdisk", &["-V", shown]);
            if copied.label == Label::Gpt {
                let text = run("sgdisk", &["-v", shown]);
                assert!(text.contains("No problems found"), "{text}");
                let sector = size / 512 - 1;
                let told = format!("the backup GPT stands at the end of the disk: sector {sector}");
                assert!(copied.changes.contains(&told), "{:?}", copied.changes);
            }
        }
    }
}

#[test]
fn what_does_not_fit_or_should_not_be_copied_is_refused_before_a_byte_is_written() {
    let dir = folder();
    let (from_path, from) = golden(&dir, MBR, 512);
    let (to_path, to) = target(&dir, 12 * MIB, 512);
    let before = std::fs::read(&to_path).unwrap();
    let refused = |from: &Disk, to: &Disk| {
        let fault = copy_table(from, to).unwrap_err();
        assert!(std::fs::read(&to_path).unwrap() == before, "{fault}");
        fault
    };
    let fault = refused(&from, &to);
    assert_eq!(fault.kind, "table.space");
    let told = "(12 MiB): partition 4 ends 13 MiB past its last usable sector";
    assert!(fault.message.ends_with(told), "{fault}");
    let read_only = Disk::open(&to_path, OpenOptions::default()).unwrap();
    let small = open(&image(&dir, "none.img", 8 * MIB));
    assert_eq!(refused(&small, &to).kind, "table.none");
    assert_eq!(refused(&from, &read_only).kind, "table.space");
    let same = Disk::open(&from_path, OpenOptions::default()).unwrap();
    assert_eq!(refused(&same, &from).kind, "table.same");
    drop(to);
    let big = open_with(&to_path, 4096);
    assert_eq!(refused(&from, &big).kind, "table.space");
    // Damage is not handed on.
    poke(&from_path, 446 + 12, &100_000u32.to_le_bytes());
    let fault = refused(&from, &big);
    assert!(fault.kind == "table.damaged" && fault.message.contains("overlap"), "{fault}");
}

/// A hybrid MBR, made by sgdisk: its entries stay what they are.
#[test]
fn a_hybrid_is_copied_with_its_entries() {
    let dir = folder();
    let (from_path, from) = golden(&dir, GPT, 512);
    run("sgdisk", &["-h", "2:7", from_path.to_str().unwrap()]);
    for size in [64 * MIB, 96 * MIB] {
        let (to_path, to) = target(&dir, size, 512);
        let copied = copy_table(&from, &to).unwrap();
        assert!(copied.warnings[0].contains("hybrid"), "{:?}", copied.warnings);
        assert_eq!(std::fs::read(&to_path).unwrap()[..512], std::fs::read(&from_path).unwrap()[..512]);
    }
}
