//! Tables put on bigger and smaller disks, and their texts.

use kar::kit::disk::{Geometry, Layout, Table, compare};
use proptest::prelude::*;

use super::support::*;

const MIB: u64 = 1 << 20;

fn disk_of(mib: u64) -> Geometry {
    Geometry { sectors: mib * 2048, sector_size: 512 }
}

/// (number, start, size) in MiB.
fn places(layout: &Layout) -> Vec<(u32, u64, u64)> {
    layout.partitions.iter().map(|part| (part.number, part.start / 2048, part.size / 2048)).collect()
}

const GPT: &str = "label: gpt\n1 : size=64MiB, type=U, name=efi\n2 : size=400MiB, name=root\n3 : size=100MiB, type=S\n";
const MBR: &str = "label: dos\nx1 : size=100MiB, type=7\nx2 : size=800MiB, type=5\nx3 : size=50MiB, type=27\n\
                   x5 : size=200MiB, type=83\nx6 : size=300MiB, type=83\nx7 : size=200MiB, type=82\n";

#[test]
fn the_last_data_partition_takes_the_difference() {
    let table = Table::Layout(Table::parse(GPT).unwrap().fit(disk_of(600)).unwrap());
    // 35 MiB are free at the end, and stay so.
    let grown = table.refit(disk_of(1000), None).unwrap();
    assert_eq!(places(&grown), [(1, 1, 64), (2, 65, 800), (3, 865, 100)]);
    assert_eq!(
        grown.changes,
        ["partition 2 (root) grows from 400 MiB to 800 MiB", "partition 3 moves from 465 MiB to 865 MiB"]
    );
    // They are given up first.
    let near = table.refit(disk_of(570), None).unwrap();
    assert_eq!((places(&near), near.changes), (places(&table.refit(disk_of(600), None).unwrap()), vec![]));
    let small = table.refit(disk_of(500), None).unwrap();
    assert_eq!(places(&small), [(1, 1, 64), (2, 65, 334), (3, 399, 100)]);
    assert_eq!(small.changes[0], "partition 2 (root) shrinks from 400 MiB to 334 MiB");
    assert_eq!(places(&table.refit(disk_of(1000), Some(3)).unwrap()), [(1, 1, 64), (2, 65, 400), (3, 465, 500)]);
    let fault = table.refit(disk_of(500), Some(1)).unwrap_err();
    assert_eq!(fault.message, "the table does not fit: 66 MiB are missing, and partition 1 (efi) has 64 MiB");
    assert_eq!(table.refit(disk_of(100), None).unwrap_err().kind, "table.space");
    assert_eq!(table.refit(disk_of(1000), Some(9)).unwrap_err().kind, "table.number");
    // What is there for a loader never grows by itself.
    let only = Table::Layout(Table::parse("label: gpt\n1 : size=64MiB, type=U\n").unwrap().fit(disk_of(100)).unwrap());
    assert_eq!(only.refit(disk_of(200), None).unwrap().changes, ["100 MiB stay free: no partition takes them"]);
}

#[test]
fn logical_partitions_move_with_their_extended_one() {
    let table = Table::Layout(Table::parse(MBR).unwrap().fit(disk_of(1000)).unwrap());
    let before = [(1, 1, 100), (2, 101, 800), (3, 901, 50), (5, 102, 200), (6, 303, 300), (7, 604, 200)];
    assert_eq!(places(&table.refit(disk_of(1000), None).unwrap()), before);
    // Partition 6 is the last that holds data; 7, the rest of the extended one and 3 behind it make room.
    let grown = table.refit(disk_of(1500), None).unwrap();
    assert_eq!(
        places(&grown),
        [(1, 1, 100), (2, 101, 1300), (3, 1401, 50), (5, 102, 200), (6, 303, 800), (7, 1104, 200)]
    );
    let small = table.refit(disk_of(900), Some(1)).unwrap();
    assert_eq!(places(&small), [(1, 1, 49), (2, 50, 800), (3, 850, 50), (5, 51, 200), (6, 252, 300), (7, 553, 200)]);
    assert_eq!(table.refit(disk_of(900), Some(2)).unwrap_err().kind, "table.number");
}

#[test]
fn a_dump_says_how_big_its_disk_was_or_nothing_grows() {
    let gpt = Table::parse(GPT).unwrap().fit(disk_of(600)).unwrap();
    let dump = Table::parse(&gpt.sfdisk()).unwrap();
    assert_eq!(dump.refit(disk_of(1000), None).unwrap().partitions[1].size, 800 * 2048);
    assert_eq!(dump.refit(disk_of(600), None).unwrap().partitions, gpt.partitions);
    let mbr = Table::parse(MBR).unwrap().fit(disk_of(1000)).unwrap();
    let dump = Table::parse(&mbr.sfdisk()).unwrap();
    assert_eq!(
        dump.refit(disk_of(1500), None).unwrap().partitions,
        Table::from(mbr).refit(disk_of(1000), None).unwrap().partitions
    );
    assert_eq!(dump.refit(disk_of(1500), Some(6)).unwrap().partition(6).unwrap().size, (1500 - 951 + 300) * 2048);
    assert_eq!(dump.refit(disk_of(900), None).unwrap().partition(6).unwrap().size, (300 - 51) * 2048);
    // A plan knows what is to take the rest.
    let plan = Table::parse("label: gpt\nsize=10MiB, name=a\nsize=+, name=b\n").unwrap();
    assert_eq!(plan.refit(disk_of(100), None).unwrap().changes, ["partition 2 (b) takes the rest: 88 MiB"]);
}

#[test]
fn sectors_of_one_size_become_sectors_of_the_other() {
    let table = Table::Layout(Table::parse(GPT).unwrap().fit(disk_of(600)).unwrap());
    let big = Geometry { sectors: 600 * 256, sector_size: 4096 };
    let turned = table.refit(big, None).unwrap();
    assert_eq!(turned.changes[0], "sectors of 512 bytes become sectors of 4096 bytes");
    let bytes = |layout: &Layout| -> Vec<_> {
        layout.partitions.iter().map(|p| (p.number, layout.bytes(p.start), layout.bytes(p.size))).collect()
    };
    assert_eq!(bytes(&turned), bytes(&table.refit(disk_of(600), None).unwrap()));
    let dir = folder();
    let path = image(&dir, "disk.img", 600 * MIB);
    let disk = open_with(&path, 4096);
    assert_eq!(disk.write_table(&Table::Layout(turned.clone())).unwrap().partitions, turned.partitions);
    let odd = Table::Layout(Table::parse("label: gpt\n1 : start=2049, size=80\n").unwrap().fit(disk_of(600)).unwrap());
    assert_eq!(odd.refit(big, None).unwrap_err().kind, "table.space");
}

/// The texts that old tools left behind come out as they went in.
#[test]
fn dumps_and_descriptions_are_printed_as_they_were_read() {
    let dir = folder();
    for (script, size) in [
        (
            "label: gpt\nsize=10MiB, type=U, name=\"a \\x22b\\x22 é\", attrs=\"RequiredPartition GUID:48,60\"\nsize=5MiB\n",
            64,
        ),
        ("label: gpt\ntable-length: 256\n200 : size=1MiB\n", 64),
        ("label: gpt\nfirst-lba: 2048\ngrain: 4096\nsize=8MiB, type=S\n", 64),
        (
            "label: dos\nsize=10MiB, type=7, bootable\nsize=20MiB, type=f\nsize=1MiB, type=27\n5 : size=3MiB\n6 : size=4MiB, type=82\n",
            64,
        ),
    ] {
        let path = image(&dir, "disk.img", size * MIB);
        sfdisk(&path, script);
        let theirs = run("sfdisk", &["-d", path.to_str().unwrap()]);
        assert_eq!(Table::parse(&theirs).unwrap().sfdisk().unwrap(), theirs);
        std::fs::remove_file(&path).unwrap();
    }
    for text in [
        "linux 2000\nswap 512\nlinux fill\n",
        "type6 32\nlinux 1000\nextended fill\nlogical swap 512\nlogical linux 2000\nlogical typeb fill\n",
        "linux 10\nextended 30\nlogical linux fill\nswap 512\n",
    ] {
        let table = Table::parse(text).unwrap();
        assert_eq!(table.description().unwrap(), text);
        // The same by way of a disk, in sizes, and by way of a dump.
        let placed = table.fit(disk_of(8000)).unwrap();
        let sized = Table::from(placed.clone()).description().unwrap();
        assert_eq!(Table::parse(&sized).unwrap().fit(disk_of(8000)).unwrap().partitions, placed.partitions);
        let dumped = Table::parse(&placed.sfdisk()).unwrap();
        assert_eq!(compare(&dumped, &placed.into()), Vec::<String>::new());
        assert_eq!(dumped.description().unwrap(), sized);
    }
}

#[test]
fn differences_in_words() {
    let dir = folder();
    let one = open(&image(&dir, "one.img", 64 * MIB));
    let other = open(&image(&dir, "other.img", 128 * MIB));
    let text = "label: gpt\nlabel-id: 0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9\n\
                1 : start=2048, size=4096, uuid=11111111-4E5F-6071-8293-A4B5C6D7E8F9, name=a\n\
                2 : start=8192, size=4096, uuid=22222222-4E5F-6071-8293-A4B5C6D7E8F9, name=b\n";
    let ones = Table::Layout(one.write_table(&Table::parse(text).unwrap()).unwrap());
    let same = Table::Layout(other.write_table(&Table::parse(text).unwrap()).unwrap());
    assert_eq!(compare(&ones, &same), Vec::<String>::new(), "the size of the disk is no difference");
    assert_eq!(compare(&ones, &Table::parse(text).unwrap()), Vec::<String>::new());
    let changed = text
        .replace("name=b", "name=c, type=S, attrs=\"GUID:60\"")
        .replace("start=2048", "start=4096")
        .replace("size=4096, uuid=1", "size=2048, uuid=3")
        + "5 : start=20480, size=1, uuid=55555555-4E5F-6071-8293-A4B5C6D7E8F9\n";
    let others = Table::Layout(other.write_table(&Table::parse(&changed).unwrap()).unwrap());
    assert_eq!(
        compare(&ones, &others),
        [
            "partition 1: starts at byte 1048576 (1 MiB), at byte 2097152 (2 MiB)",
            "partition 1: is of 2097152 bytes (2 MiB), of 1048576 bytes (1 MiB)",
            "partition 1: has UUID 11111111-4e5f-6071-8293-a4b5c6d7e8f9, 31111111-4e5f-6071-8293-a4b5c6d7e8f9",
            "partition 2: has type linux (0FC63DAF-8483-4772-8E79-3D69D8477DE4), swap (0657FD6D-A4AB-43C4-84E5-0933C84B4F4F)",
            "partition 2: is named `b`, `c`",
            "partition 2: has attributes 0x0, 0x1000000000000000",
            "partition 5: only in the second",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// On a disk of any size: refused, or every partition there, one of another size, all in order and aligned as before.
    #[test]
    fn any_table_on_any_disk(
        gpt in any::<bool>(),
        sizes in prop::collection::vec(1u64..200, 1..9),
        from in 1000u64..3000,
        to in 100u64..6000,
    ) {
        let label = if gpt { "gpt" } else { "dos" };
        let lines: String = sizes.iter().map(|size| format!("size={size}MiB\n")).collect();
        let Ok(own) = Table::parse(&format!("label: {label}\n{lines}")).unwrap().fit(disk_of(from)) else { return Ok(()) };
        let Ok(moved) = Table::Layout(own.clone()).refit(disk_of(to), None) else {
            prop_assert!(to < from);
            return Ok(());
        };
        moved.check().unwrap();
        prop_assert!(moved.misaligned().is_empty());
        let order = |layout: &Layout| -> Vec<u32> {
            let mut parts = layout.partitions.clone();
            parts.sort_by_key(|part| (part.start, part.number));
            parts.iter().map(|part| part.number).collect()
        };
        prop_assert_eq!(order(&moved), order(&own));
        let pairs = || own.partitions.iter().zip(&moved.partitions).filter(|(one, _)| !one.kind.is_extended());
        let resized = pairs().filter(|(one, other)| one.size != other.size).count();
        prop_assert!(resized <= 1);
        prop_assert!(pairs().all(|(one, other)| (one.kind, one.uuid, &one.name) == (other.kind, other.uuid, &other.name)));
        prop_assert_eq!(to > from, resized == 1 && moved.partitions.iter().map(|p| p.size).sum::<u64>() > own.partitions.iter().map(|p| p.size).sum::<u64>());
    }
}
