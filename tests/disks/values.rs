//! Text and bytes from outside: whatever they are, an answer or a clear error, and no panic.

use kar::kit::disk::{Geometry, Kind, Label, Measure, Plan, Size, Table, Wish, compare, read_table};
use kar::kit::fs::{Mkfs, mkfs, probe_bytes};
use proptest::prelude::*;

use super::support::*;

const MIB: u64 = 1 << 20;

const DUMPS: [&str; 4] = [
    "label: gpt\nlabel-id: 0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9\ndevice: /dev/nvme0n1\nunit: sectors\nfirst-lba: 34\n\
     last-lba: 1000\nsector-size: 512\n\n/dev/nvme0n1p1 : start= 2048, size= 4096, type=U, name=\"a\\x22 b\", attrs=\"GUID:60\"\n",
    "label: dos\nlabel-id: 0x12345678\n\nx1 : start=2048, size=1MiB, type=83, bootable\nx2 : type=5\nx5 : size=+\n",
    "unit: sectors\n/dev/sda1 : start= 63, size= 208782, Id=83, bootable\n/dev/sda2 : start= 0, size= 0, Id= 0\n",
    "linux 2000\nswap 512 # comment\nextended fill\nlogical type7 100\n",
];

#[test]
fn errors_in_a_dump_name_line_and_column() {
    for (text, place) in [
        ("label: gpd\n", "line 1, column 8: `gpd` is no kind of partition table"),
        ("label: gpt\nlable-id: x\n", "line 2, column 1: `lable-id` is no header of a dump"),
        ("label: gpt\n\nx1 : start=2048, size=lots\n", "line 3, column 18: `lots` is not a size"),
        ("label: dos\nx1 : start=1, type=linus\n", "line 2, column 15: `linus` is no partition type"),
        ("label: gpt\nx1 : size=1, name=\"open\n", "line 2, column 19: a quote is not closed"),
        (
            "label: gpt\nx1 : name=\"a\" size=1\n",
            "line 2, column 15: `s` where a comma or the end of the line should be",
        ),
        ("label: gpt\nx1 : size=1, colour=red\n", "line 2, column 14: field `colour` takes no value or is unknown"),
        ("label: gpt\nlabel-id: x\n", "line 2, column 11: label-id `x` is no id of a gpt table"),
        ("label: gpt\nx1 : size=1\nx1 : size=2\n", "line 3, column 1: partition 1 stands here a second time"),
        ("label: gpt\nx129 : size=1\n", "line 2, column 1: partition number 129: they go from 1 to 128"),
        ("label: dos\nx0 : size=1\n", "line 2, column 1: partition number 0: they go from 1 to 128"),
        ("label: gpt\nlast-lba: much\n", "line 2, column 11: `much` is no number of sectors"),
        ("label: gpt\nx1 : uuid=1234\n", "line 2, column 6: `1234` is no UUID"),
        ("label: gpt\nx1 : attrs=\"Odd\"\n", "line 2, column 6: `Odd` is no attribute"),
        ("label: gpt\nsector-size: 520\n", "line 2, column 14: sectors of 520 bytes: only 512 and 4096 are known"),
    ] {
        assert_eq!(Table::parse(text).unwrap_err().message, place, "{text}");
    }
}

fn geometry() -> Geometry {
    Geometry { sectors: 1 << 21, sector_size: 512 }
}

/// All that is done with a text that might be a table.
fn consume(text: &str) {
    if let Ok(table) = Table::parse(text) {
        let _ = (table.sfdisk(), table.description());
        assert!(table.draw().lines().all(|line| line.chars().count() <= 80));
        for sectors in [1 << 16, 1 << 24] {
            if let Ok(layout) = table.refit(Geometry { sectors, sector_size: 512 }, None) {
                layout.check().unwrap();
            }
        }
        for sector_size in [512, 4096] {
            if let Ok(layout) = table.fit(Geometry { sector_size, ..geometry() }) {
                layout.check().unwrap();
                let again = Table::parse(&layout.sfdisk()).unwrap().fit(layout.geometry).unwrap();
                assert_eq!(again.partitions.len(), layout.partitions.len(), "{text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_changed_here_and_there(
        which in 0..DUMPS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[ -~é\n]{0,4}", 0usize..4), 1..6),
    ) {
        let mut chars: Vec<char> = DUMPS[which].chars().collect();
        for (place, insert, remove) in changes {
            let at = place.index(chars.len() + 1);
            let end = (at + remove).min(chars.len());
            chars.splice(at..end, insert.chars());
        }
        consume(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        consume(&text);
    }

    /// A plan that fits keeps every wish; one that does not is refused.
    #[test]
    fn plans_of_any_sizes(
        gpt in any::<bool>(),
        parts in prop::collection::vec((0u8..4, 1u64..400, prop::option::weighted(0.1, 0u64..1500)), 0..10),
    ) {
        let label = if gpt { Label::Gpt } else { Label::Mbr };
        let kind = Kind::parse(label, "linux").unwrap();
        let wishes: Vec<Wish> = parts.iter().map(|(sort, amount, start)| {
            let size = match sort {
                0 => Size::Fill,
                1 => Size::Percent(*amount as f64 / 10.0),
                _ => Size::Fixed(Measure::Bytes(amount * MIB / 2)),
            };
            Wish { start: start.map(|mib| Measure::Bytes(mib * MIB)), ..Wish::new(kind, size) }
        }).collect();
        if let Ok(layout) = Plan::new(label, wishes).fit(geometry()) {
            layout.check().unwrap();
            let real: Vec<_> = layout.partitions.iter().filter(|part| !part.kind.is_extended()).collect();
            prop_assert_eq!(real.len(), parts.len());
            prop_assert!(layout.misaligned().is_empty());
            for (part, (sort, amount, _)) in real.iter().zip(&parts) {
                prop_assert!(*sort < 2 || part.size == amount * MIB / 2 / 512);
            }
        }
    }
}

/// A seeded generator: the same changes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// Changes bytes near `places`, hands each changed copy to `read`.
fn mutate(original: &[u8], places: &[usize], rounds: usize, read: impl Fn(&[u8])) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut bytes = original.to_vec();
    for _ in 0..rounds {
        let mut undo = Vec::new();
        for _ in 0..=random.next(4) {
            let at = (places[random.next(places.len())] + random.next(512)).min(bytes.len() - 1);
            undo.push((at, bytes[at]));
            bytes[at] = [0, 0xff, 0x80, 1, random.next(256) as u8][random.next(5)];
        }
        read(&bytes);
        for (at, old) in undo.into_iter().rev() {
            bytes[at] = old;
        }
    }
    for length in [0, 1, 511, 512, 513, 1024, 4096, 65536] {
        read(&bytes[..bytes.len().min(length)]);
    }
}

/// Bytes as a disk.
struct Memory<'a>(&'a [u8]);

impl std::os::unix::fs::FileExt for Memory<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let length = buffer.len().min(self.0.len() - start);
        buffer[..length].copy_from_slice(&self.0[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn hostile_tables_are_read_or_refused() {
    for (label, count) in [(Label::Gpt, 6), (Label::Mbr, 6)] {
        let dir = folder();
        let path = image(&dir, "disk.img", 8 * MIB);
        let wish = |_| Wish::new(Kind::parse(label, "linux").unwrap(), Size::parse("64KiB").unwrap());
        let disk = open(&path);
        let plan = Plan::new(label, (0..count - 1).map(wish).collect());
        let layout = disk.write_table(&Table::Plan(plan)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let starts = layout.partitions.iter().map(|part| (part.start.saturating_sub(2048) * 512) as usize);
        let places: Vec<usize> =
            starts.chain([0, 0, 512, 512, 1024, bytes.len() - 512, bytes.len() - 33 * 512]).collect();
        let mut checksums_kept = 0;
        mutate(&bytes, &places, 4000, |bytes| {
            let sectors = bytes.len() as u64 / 512;
            for geometry in
                [Geometry { sectors, sector_size: 512 }, Geometry { sectors: sectors / 8, sector_size: 4096 }]
            {
                if let Ok(Some(layout)) = read_table(&Memory(bytes), geometry) {
                    assert!(layout.partitions.len() <= 1024);
                    let _ = (layout.check(), layout.sfdisk(), layout.misaligned());
                    if let Ok(mended) = layout.mended(&[]) {
                        mended.check().unwrap();
                    }
                    let table = Table::Layout(layout.clone());
                    let _ = (table.description(), compare(&table, &table));
                    assert!(table.draw().lines().all(|line| line.chars().count() <= 80));
                    for sectors in [1 << 10, 1 << 14, 1 << 20] {
                        if let Ok(layout) = table.refit(Geometry { sectors, sector_size: 512 }, None) {
                            layout.check().unwrap();
                        }
                    }
                    let _ = Table::Layout(layout).fit(Geometry { sectors: 1 << 20, sector_size: 512 });
                }
            }
        });
        // With its checksum made right again a hostile GPT header gets further.
        if label == Label::Gpt {
            let mut random = Random(7);
            for _ in 0..4000 {
                let mut bytes = bytes[..64 << 10].to_vec();
                let (field, value) = (512 + 24 + random.next(64), random.next(256) as u8);
                bytes[field] = value;
                bytes[528..532].fill(0);
                let checksum = crc32fast::hash(&bytes[512..604]);
                bytes[528..532].copy_from_slice(&checksum.to_le_bytes());
                for sectors in [128, 1 << 21] {
                    if let Ok(Some(layout)) = read_table(&Memory(&bytes), Geometry { sectors, sector_size: 512 }) {
                        checksums_kept += 1;
                        let _ = (layout.check(), layout.sfdisk());
                    }
                }
            }
            assert!(checksums_kept > 0);
        }
    }
}

#[test]
fn hostile_filesystems_are_probed_or_not() {
    for kind in ["ext4", "btrfs", "vfat", "ntfs", "swap"] {
        let dir = folder();
        let path = image(&dir, "fs.img", if kind == "btrfs" { 128 } else { 8 } * MIB);
        let names = Mkfs { label: Some("label".into()), uuid: None };
        mkfs(kind, &path, &names, &Default::default()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(8 << 20);
        let found = probe_bytes(&bytes).unwrap();
        assert_eq!((found.kind.as_str(), found.label.to_lowercase()), (kind, "label".into()));
        mutate(&bytes, &[0, 0, 1024, 4096 - 512, 64 << 10, 4 * 4096 + 3 * 1024], 4000, |bytes| {
            let _ = probe_bytes(bytes);
        });
    }
}
