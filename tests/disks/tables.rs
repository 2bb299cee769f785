//! Tables written here and read by sfdisk and sgdisk, and the other way round.

use std::os::unix::fs::FileExt;
use std::path::Path;

use kar::kit::disk::{Disk, Kind, Label, Layout, OpenOptions, Partition, Plan, Size, Table, Wish};
use proptest::prelude::*;
use uuid::Uuid;

use super::support::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn wish(label: Label, name: &str, kind: &str, size: &str) -> Wish {
    Wish::new(Kind::parse(label, kind).unwrap(), Size::parse(size).unwrap()).named(name)
}

fn plan(label: Label, wishes: &[(&str, &str, &str)]) -> Table {
    Table::Plan(Plan::new(label, wishes.iter().map(|(name, kind, size)| wish(label, name, kind, size)).collect()))
}

/// What kar writes is what sfdisk dumps, line by line, and both tools find no fault.
pub fn agrees(path: &Path, written: &Layout) {
    let shown = path.to_str().unwrap();
    assert_eq!(dump(path), squeezed(&Layout { device: Some(shown.into()), ..written.clone() }.sfdisk()));
    run("sfdisk", &["-V", shown]);
    if written.label == Label::Gpt {
        let text = run("sgdisk", &["-v", shown]);
        assert!(text.contains("No problems found"), "{text}");
    }
    let parsed = Table::parse(&run("sfdisk", &["-d", shown])).unwrap().fit(written.geometry).unwrap();
    let unnamed = |layout: &Layout| -> Vec<Partition> {
        let name = |p: &Partition| if layout.label == Label::Gpt { p.name.clone() } else { String::new() };
        layout.partitions.iter().map(|p| Partition { name: name(p), ..p.clone() }).collect()
    };
    assert_eq!(unnamed(&parsed), unnamed(written));
}

#[test]
fn a_gpt_is_read_alike_by_sfdisk_and_sgdisk() {
    let dir = folder();
    let path = image(&dir, "disk.img", 4 * GIB);
    let disk = open(&path);
    assert_eq!(disk.table().unwrap(), None);
    let mut table = plan(Label::Gpt, &[("efi", "efi", "512MiB"), ("root", "linux", ""), ("swap", "swap", "1GiB")]);
    if let Table::Plan(plan) = &mut table {
        plan.wishes[1].number = Some(5);
        plan.wishes[1].attrs = 1 | 1 << 2 | 1 << 60;
        plan.wishes[2].name = "say \"été\" $x, a=b: \\".into();
    }
    let layout = disk.write_table(&table).unwrap();
    let numbers: Vec<_> = layout.partitions.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [1, 2, 5]);
    assert_eq!(layout.misaligned(), Vec::<String>::new());
    agrees(&path, &layout);
    assert_eq!(Disk::open(&path, OpenOptions::default()).unwrap().table().unwrap().unwrap(), layout);
}

#[test]
fn an_mbr_with_logical_partitions_past_4_gib() {
    let dir = folder();
    let path = image(&dir, "disk.img", 20 * GIB);
    let disk = open(&path);
    disk.write_boot_code(&[0xeb; 440]).unwrap();
    let mut table = plan(
        Label::Mbr,
        &[
            ("boot", "linux", "1GiB"),
            ("swap", "swap", "2GiB"),
            ("win", "ntfs", "1023MiB"),
            ("a", "linux", "6GiB"),
            ("b", "linux", "5GiB"),
            ("c", "linux", "fill"),
        ],
    );
    if let Table::Plan(plan) = &mut table {
        plan.wishes[0] = plan.wishes[0].clone().bootable();
    }
    let layout = disk.write_table(&table).unwrap();
    let extended = layout.extended().unwrap();
    assert_eq!((extended.number, extended.start), (4, 4 * GIB / 512), "the first EBR stands at exactly 4 GiB");
    assert_eq!(layout.partition(7).unwrap().name, "c");
    assert!(layout.partition(7).unwrap().start > 14 * GIB / 512);
    agrees(&path, &layout);
    assert_eq!(disk.boot_code().unwrap(), [0xeb; 440]);
    // Boot code comes later just as well, and leaves the table alone.
    disk.write_boot_code(b"short").unwrap();
    assert_eq!(&disk.boot_code().unwrap()[..6], b"short\0");
    assert_eq!(disk.write_boot_code(&[0; 441]).unwrap_err().kind, "disk.bootcode");
    agrees(&path, &disk.table().unwrap().unwrap());
}

#[test]
fn tables_of_sfdisk_are_read_and_written_back_the_same() {
    for (label, script) in [
        (
            "gpt",
            "label: gpt\nfirst-lba: 34\n3 : start=40, size=2000, type=U, name=\"odd one\"\n7 : size=10MiB, type=S\n9 : type=L\n",
        ),
        ("gpt", "label: gpt\ntable-length: 256\n200 : size=1MiB\n"),
        (
            "dos",
            "label: dos\nstart=63, size=1000, type=83, bootable\nstart=2048, type=f\n5 : start=2111, size=1937\n6 : start=6144, size=2048\n",
        ),
        ("dos", "label: dos\n2 : size=5MiB, type=7\n4 : size=5MiB, type=c\n"),
    ] {
        let dir = folder();
        let path = image(&dir, "theirs.img", 64 * MIB);
        sfdisk(&path, script);
        let theirs = dump(&path);
        let layout = Disk::open(&path, OpenOptions::default()).unwrap().table().unwrap().unwrap();
        assert_eq!(layout.warnings, Vec::<String>::new(), "{script}");
        assert_eq!(squeezed(&layout.sfdisk()), theirs, "{label}: {script}");
        // On another disk, and by way of the text.
        for (name, table) in
            [("copy.img", Table::Layout(layout.clone())), ("text.img", Table::parse(&layout.sfdisk()).unwrap())]
        {
            let copy = image(&dir, name, 64 * MIB);
            open(&copy).write_table(&table).unwrap();
            let renamed = |text: Vec<String>, from: &str| -> Vec<String> {
                text.iter().map(|line| line.replace(from, "theirs.img")).collect()
            };
            assert_eq!(renamed(dump(&copy), name), theirs, "{name} of {script}");
        }
    }
}

#[test]
fn sfdisk_takes_a_plan_that_no_disk_was_fitted_to() {
    let dir = folder();
    for (label, wishes) in [
        (Label::Gpt, vec![("efi", "efi", "64MiB"), ("root", "linux", "fill")]),
        (
            Label::Mbr,
            vec![("", "linux", "10MiB"), ("", "extended", "100MiB"), ("", "swap", "20MiB"), ("", "linux", "fill")],
        ),
    ] {
        let table = plan(label, &wishes);
        let theirs = image(&dir, &format!("{}-theirs.img", label.name()), 256 * MIB);
        sfdisk(&theirs, &table.sfdisk().unwrap());
        let read = Disk::open(&theirs, OpenOptions::default()).unwrap().table().unwrap().unwrap();
        let ours = table.fit(read.geometry).unwrap();
        let shape = |layout: &Layout| layout.partitions.iter().map(|p| (p.number, p.start, p.kind)).collect::<Vec<_>>();
        assert_eq!(
            shape(&read),
            shape(&ours)
                .into_iter()
                .map(|(n, s, k)| (n, s, if n == 2 { read.partition(2).unwrap().kind } else { k }))
                .collect::<Vec<_>>()
        );
        assert_eq!(
            Table::parse(&table.sfdisk().unwrap()).unwrap().fit(read.geometry).unwrap().partitions.len(),
            ours.partitions.len()
        );
    }
}

#[test]
fn a_dump_of_before_2014() {
    let text = "# partition table of /dev/sda\nunit: sectors\n\n\
                /dev/sda1 : start=       63, size=   208782, Id=83, bootable\n\
                /dev/sda2 : start=   208845, size=   385560, Id= 5\n\
                /dev/sda3 : start=        0, size=        0, Id= 0\n\
                /dev/sda4 : start=        0, size=        0, Id= 0\n\
                /dev/sda5 : start=   208908, size=   192717, Id=82\n\
                /dev/sda6 : start=   401688, size=   192717, Id=83\n";
    let dir = folder();
    let path = image(&dir, "old.img", 300 * MIB);
    let layout = open(&path).write_table(&Table::parse(text).unwrap()).unwrap();
    let parts: Vec<_> = layout.partitions.iter().map(|p| (p.number, p.start, p.size, p.kind.code())).collect();
    assert_eq!(parts.len(), 4);
    assert_eq!(parts[3], (6, 401688, 192717, "83".into()));
    assert_eq!(layout.misaligned().len(), 3);
    agrees(&path, &layout);
}

#[test]
fn sectors_of_4096_bytes() {
    for label in [Label::Gpt, Label::Mbr] {
        let dir = folder();
        let path = image(&dir, "disk.img", GIB);
        let disk =
            Disk::open(&path, OpenOptions { write: true, sector_size: Some(4096), ..OpenOptions::default() }).unwrap();
        let parts = [
            ("a", "linux", "100MiB"),
            ("b", "swap", "50MiB"),
            ("c", "linux", "1MiB"),
            ("d", "linux", "9MiB"),
            ("e", "linux", ""),
        ];
        let layout = disk.write_table(&plan(label, &parts)).unwrap();
        assert_eq!(layout.partitions[0].start, 256);
        // A loop device with such sectors is what the tools judge.
        let attached = disk.attach().unwrap();
        assert_eq!(attached.parts().len(), layout.partitions.len());
        let device = attached.path().to_path_buf();
        assert_eq!(run("blockdev", &["--getss", device.to_str().unwrap()]).trim(), "4096");
        agrees(&device, &layout);
        assert_eq!(
            Disk::open(&device, OpenOptions::default()).unwrap().table().unwrap().unwrap().partitions.len(),
            layout.partitions.len()
        );
    }
}

#[test]
fn a_damaged_copy_is_made_up_for_by_the_other() {
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    let layout = disk.write_table(&plan(Label::Gpt, &[("root", "linux", "10MiB"), ("home", "home", "")])).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    // (place, what the warning begins with): header and array of either copy.
    for (offset, copy) in [
        (512 + 60, "primary GPT: "),
        (1024 + 3, "primary GPT: "),
        (64 * MIB - 512 + 60, "backup GPT: "),
        (64 * MIB - 33 * 512 + 130, "backup GPT: "),
    ] {
        file.write_all_at(&[0x5a; 4], offset).unwrap();
        let read = disk.table().unwrap().unwrap();
        assert_eq!(read.partitions, layout.partitions, "at {offset}");
        assert!(read.warnings[0].starts_with(copy), "at {offset}: {:?}", read.warnings);
        disk.write_table(&Table::Layout(read)).unwrap();
        assert_eq!(disk.table().unwrap().unwrap(), layout);
    }
    file.write_all_at(&[0x5a; 4], 512).unwrap();
    file.write_all_at(&[0x5a; 4], 64 * MIB - 512).unwrap();
    assert_eq!(disk.table().unwrap_err().kind, "table.damaged");
}

#[test]
fn from_one_label_to_the_other_and_to_none() {
    let dir = folder();
    let path = image(&dir, "disk.img", 256 * MIB);
    let disk = open(&path);
    disk.write_table(&plan(Label::Gpt, &[("root", "linux", "")])).unwrap();
    let layout = disk.write_table(&plan(Label::Mbr, &[("root", "linux", "")])).unwrap();
    agrees(&path, &layout);
    let shown = path.to_str().unwrap();
    let (_, text) = try_run("sgdisk", &["-p", shown]);
    assert!(
        text.contains("GPT: not present") || text.contains("Found invalid GPT") || text.contains("MBR only"),
        "{text}"
    );
    disk.write_table(&plan(Label::Gpt, &[("root", "linux", "")])).unwrap();
    run("mkfs.ext4", &["-q", "-F", "-E", "offset=1048576", shown, "10M"]);
    disk.wipe().unwrap();
    assert_eq!(disk.table().unwrap(), None);
    assert_eq!(run("wipefs", &[shown]), "");
    assert!(!try_run("blkid", &["-p", "-O", "1048576", shown]).0, "the filesystem's signature is gone too");
}

#[test]
fn what_breaks_a_rule_is_refused_before_a_byte_is_written() {
    let dir = folder();
    let path = image(&dir, "disk.img", 64 * MIB);
    let disk = open(&path);
    let good = disk.write_table(&plan(Label::Gpt, &[("a", "linux", "10MiB"), ("b", "linux", "10MiB")])).unwrap();
    let before = std::fs::read(&path).unwrap();
    let broken = |change: &dyn Fn(&mut Layout)| {
        let mut layout = good.clone();
        change(&mut layout);
        disk.write_table(&Table::Layout(layout)).unwrap_err().kind.to_string()
    };
    assert_eq!(broken(&|l| l.partitions[1].start -= 1), "table.overlap");
    assert_eq!(broken(&|l| l.partitions[1].size = 1 << 40), "table.space");
    assert_eq!(broken(&|l| l.partitions[1].size = u64::MAX), "table.space");
    assert_eq!(broken(&|l| l.partitions[0].start = 33), "table.space");
    assert_eq!(broken(&|l| l.partitions[0].size = 0), "table.space");
    assert_eq!(broken(&|l| l.partitions[0].number = 2), "table.number");
    assert_eq!(broken(&|l| l.partitions[0].number = 129), "table.number");
    assert_eq!(broken(&|l| l.partitions[0].kind = Kind::Byte(0x83)), "table.kind");
    assert_eq!(broken(&|l| l.partitions[0].name = "n".repeat(37)), "table.name");
    assert_eq!(broken(&|l| l.partitions[0].uuid = l.partitions[1].uuid), "table.id");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Random layouts: numbers with gaps, any order on the disk, any sector as start.
pub fn gpt_layout() -> impl Strategy<Value = Plan> {
    let part = (1u32..=128, 0u64..4000, 1u64..9000, "[ -~é☃]{0,30}", any::<u64>());
    prop::collection::vec(part, 0..20).prop_map(|parts| {
        let (mut at, mut wishes, mut numbers) = (34, Vec::new(), Vec::new());
        for (number, gap, size, name, attrs) in parts {
            if numbers.contains(&number) {
                continue;
            }
            numbers.push(number);
            let kind = Kind::Guid(Uuid::from_u128(u128::from(attrs) + 1));
            let mut wish = Wish::new(kind, Size::Fixed(kar::kit::disk::Measure::Sectors(size))).named(name);
            wish.number = Some(number);
            wish.start = Some(kar::kit::disk::Measure::Sectors(at + gap));
            // sfdisk shows no bits from 3 to 47: UEFI reserves them.
            wish.attrs = attrs & (0xffff << 48 | 7);
            wishes.push(wish);
            at += gap + size;
        }
        Plan::new(Label::Gpt, wishes)
    })
}

pub fn mbr_layout() -> impl Strategy<Value = Plan> {
    let part = (0u64..4000, 1u64..9000, 1u8..=0xdf, any::<bool>());
    (prop::collection::vec(part.clone(), 0..3), prop::collection::vec(part, 0..12), 0u64..(18 << 21)).prop_map(
        |(primary, logical, jump)| {
            let sectors = kar::kit::disk::Measure::Sectors;
            let (mut at, mut wishes) = (1 + jump, Vec::new());
            let plain = |byte: u8| if [0x05, 0x0f, 0x85].contains(&byte) { 0x83 } else { byte };
            for (gap, size, byte, active) in primary {
                let mut wish = Wish::new(Kind::Byte(plain(byte)), Size::Fixed(sectors(size)));
                wish.start = Some(sectors(at + gap));
                wish.attrs = if active { 4 } else { 0 };
                wishes.push(wish);
                at += gap + size;
            }
            if !logical.is_empty() {
                let outer = at;
                let mut inner = Vec::new();
                for (gap, size, byte, _) in logical {
                    let mut wish = Wish::new(Kind::Byte(plain(byte)), Size::Fixed(sectors(size)));
                    wish.start = Some(sectors(at + 1 + gap));
                    inner.push(wish);
                    at += 1 + gap + size;
                }
                let mut extended = Wish::new(Kind::Byte(0x0f), Size::Fixed(sectors(at - outer)));
                extended.start = Some(sectors(outer));
                wishes.push(extended);
                wishes.extend(inner);
            }
            Plan::new(Label::Mbr, wishes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_layouts_are_read_back_and_accepted(plan in prop_oneof![gpt_layout(), mbr_layout()]) {
        let dir = folder();
        let path = image(&dir, "disk.img", 20 * GIB);
        let disk = open(&path);
        let layout = disk.write_table(&Table::Plan(plan)).unwrap();
        prop_assert_eq!(disk.table().unwrap().unwrap(), layout.clone());
        agrees(&path, &layout);
    }
}
