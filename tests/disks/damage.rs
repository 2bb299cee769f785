//! Tables damaged in every way the field knows: named on reading, mended only when asked.

use std::os::unix::fs::FileExt;
use std::path::Path;

use kar::kit::disk::{Disk, Label, Layout, OpenOptions, Table, compare};

use super::support::*;

const MIB: u64 = 1 << 20;

/// A disk of 64 MiB with this table.
fn disk(dir: &tempfile::TempDir, dump: &str) -> (std::path::PathBuf, Disk, Layout) {
    let path = image(dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    let layout = disk.write_table(&Table::parse(dump).unwrap()).unwrap();
    (path, disk, layout)
}

fn poke(path: &Path, offset: u64, bytes: &[u8]) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// What reading says; nothing is written by it.
fn named(path: &Path) -> Vec<String> {
    let before = std::fs::read(path).unwrap();
    let layout = Disk::open(path, OpenOptions::default()).unwrap().table().unwrap().unwrap();
    assert!(std::fs::read(path).unwrap() == before);
    layout.warnings
}

/// Mends, and asks sfdisk and sgdisk whether it is right now.
fn mended(path: &Path, disk: &Disk, drop: &[u32]) -> Layout {
    let layout = disk.mend_table(drop).unwrap();
    assert_eq!(named(path), Vec::<String>::new());
    let shown = path.to_str().unwrap();
    run("sfdisk", &["-V", shown]);
    if layout.label == Label::Gpt {
        let text = run("sgdisk", &["-v", shown]);
        assert!(text.contains("No problems found"), "{text}");
    }
    assert_eq!(disk.mend_table(&[]).unwrap().changes, Vec::<String>::new(), "there is nothing more to mend");
    layout
}

const GPT: &str = "label: gpt\n1 : start=2048, size=4096, name=a\n2 : start=8192, size=8192, name=b\n";
const MBR: &str = "label: dos\nlabel-id: 0xcafe0001\n1 : start=2048, size=4096, type=83\n\
                   2 : start=10240, size=40960, type=5\n5 : start=12288, size=2048, type=83\n\
                   6 : start=16384, size=2048, type=82\n7 : start=20480, size=2048, type=83\n";

#[test]
fn one_bad_copy_of_a_gpt() {
    let last = 64 * MIB / 512 - 1;
    for (sector, byte, warning) in [
        (1, 60, "primary GPT: "),
        (2, 3, "primary GPT: "),
        (last, 60, "backup GPT: "),
        (last - 32, 130, "backup GPT: "),
    ] {
        let dir = folder();
        let (path, disk, layout) = disk(&dir, GPT);
        poke(&path, sector * 512 + byte, &[0x5a; 4]);
        assert!(named(&path)[0].starts_with(warning), "{:?}", named(&path));
        let (_, text) = try_run("sgdisk", &["-v", path.to_str().unwrap()]);
        assert!(text.contains("ERROR"), "{text}");
        let now = mended(&path, &disk, &[]);
        assert_eq!(compare(&layout.clone().into(), &now.into()), Vec::<String>::new());
    }
}

#[test]
fn a_protective_mbr_that_is_gone() {
    let dir = folder();
    let (path, disk, layout) = disk(&dir, GPT);
    poke(&path, 0, &[0; 512]);
    assert!(named(&path)[0].starts_with("the protective MBR is missing"), "{:?}", named(&path));
    assert_eq!(mended(&path, &disk, &[]).partitions, layout.partitions);
    // Where a filesystem has taken the disk since, it is no table any more.
    poke(&path, 0, &[0; 512]);
    poke(&path, 54, b"FAT");
    poke(&path, 510, &[0x55, 0xaa]);
    assert_eq!(disk.table().unwrap(), None);
}

#[test]
fn a_disk_that_has_grown() {
    let dir = folder();
    let (path, disk, layout) = disk(&dir, GPT);
    drop(disk);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(128 * MIB).unwrap();
    assert_eq!(named(&path), ["backup GPT: at sector 131071, not at the end of the disk (sector 262143)"]);
    let disk = open(&path);
    let now = mended(&path, &disk, &[]);
    assert_eq!((now.last_usable, &now.partitions), (262143 - 33, &layout.partitions));
}

/// Writes a GPT that breaks the rules: both copies, with checksums that are right.
fn broken_gpt(path: &Path, change: impl Fn(&mut [u8])) {
    let bytes = std::fs::read(path).unwrap();
    let last = bytes.len() / 512 - 1;
    for (header, array) in [(1, 2), (last, last - 32)] {
        let mut entries = bytes[array * 512..][..128 * 128].to_vec();
        change(&mut entries);
        let mut head = bytes[header * 512..][..92].to_vec();
        head[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
        head[16..20].fill(0);
        let crc = crc32fast::hash(&head);
        head[16..20].copy_from_slice(&crc.to_le_bytes());
        poke(path, array as u64 * 512, &entries);
        poke(path, header as u64 * 512, &head);
    }
}

fn place(entries: &mut [u8], number: usize, first: u64, last: u64) {
    let at = (number - 1) * 128;
    entries[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
    entries[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
}

#[test]
fn gpt_entries_that_overlap() {
    let dir = folder();
    let (path, disk, _) = disk(&dir, GPT);
    broken_gpt(&path, |entries| place(entries, 2, 6000, 10000));
    let overlap = "partitions 1 (sectors 2048 to 6143) and 2 (sectors 6000 to 10000) overlap";
    assert_eq!(named(&path), [overlap]);
    let before = std::fs::read(&path).unwrap();
    let fault = disk.mend_table(&[]).unwrap_err();
    assert_eq!((&*fault.kind, fault.message.as_str()), ("table.overlap", overlap));
    assert_eq!(fault.hints, ["say which one to leave out: `drop: [1]` or `drop: [2]`"]);
    assert_eq!(disk.mend_table(&[3]).unwrap_err().kind, "table.number");
    assert!(std::fs::read(&path).unwrap() == before, "nothing was written");
    let now = mended(&path, &disk, &[1]);
    assert_eq!(now.partitions.iter().map(|part| part.number).collect::<Vec<_>>(), [2]);
    assert!(now.changes.contains(&"partition 1 left out, as asked".to_string()), "{:?}", now.changes);
}

#[test]
fn gpt_entries_past_the_end_or_the_wrong_way_round() {
    let dir = folder();
    let (path, disk, layout) = disk(&dir, &format!("{GPT}3 : start=40960, size=2048\n4 : start=43008, size=2048\n"));
    broken_gpt(&path, |entries| {
        place(entries, 2, 8192, 500_000);
        place(entries, 3, 600_000, 700_000);
        place(entries, 4, 43008, 43000);
        // The UUID of the first one, in the second.
        let uuid = entries[16..32].to_vec();
        entries[128 + 16..128 + 32].copy_from_slice(&uuid);
    });
    assert_eq!(
        named(&path),
        [
            "partition 4 ends at sector 43000 before it starts at 43008: left out",
            "partition 2 (b) (sectors 8192 to 500000) goes past the end of the disk, 131072 sectors",
            "partition 3 (sectors 600000 to 700000) goes past the end of the disk, 131072 sectors",
            "partitions 1 and 2 have the same UUID",
        ]
    );
    let now = mended(&path, &disk, &[]);
    let places: Vec<_> = now.partitions.iter().map(|part| (part.number, part.start, part.end())).collect();
    assert_eq!(places, [(1, 2048, 6144), (2, 8192, layout.last_usable + 1)]);
    for change in ["partition 2 (b) ends with the disk now: 122847 sectors", "partition 3 starts outside"] {
        assert!(now.changes.iter().any(|found| found.starts_with(change)), "{change}: {:?}", now.changes);
    }
}

#[test]
fn a_loop_in_the_chain_of_extended_boot_records() {
    let dir = folder();
    let (path, disk, layout) = disk(&dir, MBR);
    // The EBR before partition 6 points to the first one: sector 0 of the extended partition.
    let ebr = layout.partition(6).unwrap().start - 2048;
    poke(&path, ebr * 512 + 462 + 8, &0u32.to_le_bytes());
    assert_eq!(
        named(&path),
        ["chain of logical partitions at sector 10240: leads back there after 2 boot records: a loop"]
    );
    let now = mended(&path, &disk, &[]);
    assert_eq!(now.partitions, layout.partitions[..4]);
}

#[test]
fn a_chain_that_leads_astray_or_into_nothing() {
    for (link, why) in [(60_000u32, "leads out of the extended partition"), (9000, "no boot record there")] {
        let dir = folder();
        let (path, disk, layout) = disk(&dir, MBR);
        poke(&path, layout.extended().unwrap().start * 512 + 462 + 8, &link.to_le_bytes());
        assert!(named(&path)[0].ends_with(why), "{:?}", named(&path));
        assert_eq!(mended(&path, &disk, &[]).partitions, layout.partitions[..3]);
    }
}

#[test]
fn mbr_entries_that_overlap_or_go_past_the_end() {
    let dir = folder();
    let (path, disk, _) = disk(&dir, MBR);
    disk.write_boot_code(&[0x5a; 440]).unwrap();
    // The first one reaches into the extended one, the extended one past the end of the disk.
    poke(&path, 446 + 12, &9000u32.to_le_bytes());
    poke(&path, 462 + 12, &900_000u32.to_le_bytes());
    // And a logical one past the extended one.
    let ebr = 10240 + 10240 - 2048;
    poke(&path, ebr * 512 + 446 + 12, &9_000_000u32.to_le_bytes());
    let found = named(&path);
    for what in [
        "partition 2 (sectors 10240 to 910239) goes past the end of the disk, 131072 sectors",
        "partition 7 (sectors 20480 to 9020479) goes past the end of the disk, 131072 sectors",
        "partitions 1 (sectors 2048 to 11047) and 2 (sectors 10240 to 910239) overlap",
        "logical partition 7 does not lie within the extended one",
    ] {
        assert!(found.iter().any(|warning| warning == what), "{what}: {found:?}");
    }
    let now = mended(&path, &disk, &[1]);
    assert_eq!(now.extended().unwrap().end(), 131072);
    assert_eq!(now.partition(7).unwrap().end(), 131072);
    assert_eq!(disk.boot_code().unwrap(), [0x5a; 440]);
    // A logical one left out: those behind it count on.
    let now = mended(&path, &disk, &[5]);
    assert_eq!(
        now.partitions.iter().map(|part| (part.number, part.start)).collect::<Vec<_>>(),
        [(2, 10240), (5, 16384), (6, 20480)]
    );
}
