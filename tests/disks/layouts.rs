//! Hundreds of generated layouts on loop devices: what kar writes is read alike by sfdisk, sgdisk and the kernel, and
//! what sfdisk and sgdisk write is read alike by kar.
//!
//! The kernel is told of partitions by kar; partx reads the table with libblkid, as udev does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kar::kit::disk::{Attached, Disk, Label, Layout, OpenOptions, Partition, Table};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::*;
use super::tables::{agrees, gpt_layout, mbr_layout};

/// A loop device with nothing on it; the image behind it is sparse.
struct Device {
    attached: Arc<Attached>,
    _image: Disk,
    _dir: tempfile::TempDir,
}

impl Device {
    fn new(sector_size: u32) -> Device {
        let dir = memory_folder();
        // Room for sectors past 4 GiB, and for 2^21 sectors of either size.
        let path = image(&dir, "disk.img", (20 << 30) * u64::from(sector_size) / 512);
        let image = open_with(&path, sector_size);
        Device { attached: image.attach().unwrap(), _image: image, _dir: dir }
    }

    fn path(&self) -> &Path {
        self.attached.path()
    }

    /// Number, start and size in bytes of each partition that the kernel shows; of an extended one the size is not its
    /// own.
    fn kernel(&self) -> BTreeMap<u64, (u64, u64)> {
        let sys = Path::new("/sys/block").join(self.path().file_name().unwrap());
        let value =
            |dir: &Path, name: &str| std::fs::read_to_string(dir.join(name)).unwrap().trim().parse::<u64>().unwrap();
        let dirs = std::fs::read_dir(sys).unwrap().flatten().map(|entry| entry.path());
        dirs.filter(|dir| dir.join("partition").exists())
            .map(|dir| (value(&dir, "partition"), (value(&dir, "start") * 512, value(&dir, "size") * 512)))
            .collect()
    }

    fn kernel_agrees(&self, layout: &Layout) {
        let shown = self.kernel();
        assert_eq!(shown.len(), layout.partitions.len(), "{shown:?}");
        for part in &layout.partitions {
            let (start, size) = shown[&u64::from(part.number)];
            assert_eq!(start, layout.bytes(part.start), "start of {}", part.number);
            if !part.kind.is_extended() {
                assert_eq!(size, layout.bytes(part.size), "size of {}", part.number);
            }
        }
    }

    /// As partx reads the table; it counts in 512 bytes.
    fn partx_agrees(&self, layout: &Layout) {
        let text =
            run("partx", &["--show", "--noheadings", "--output", "NR,START,SECTORS", self.path().to_str().unwrap()]);
        let numbers = |line: &str| line.split_whitespace().map(|word| word.parse().unwrap()).collect::<Vec<u64>>();
        let mut shown: Vec<_> = text.lines().map(numbers).collect();
        shown.sort();
        let part =
            |part: &Partition| vec![part.number.into(), layout.bytes(part.start) / 512, layout.bytes(part.size) / 512];
        assert_eq!(shown, layout.partitions.iter().map(part).collect::<Vec<_>>());
    }

    /// Takes table and partitions away, for the next layout.
    fn clear(&self) {
        open(self.path()).wipe().unwrap();
        assert!(self.kernel().is_empty());
    }
}

/// Runs `judge` on as many layouts, all on one device.
fn generated<S: Strategy>(cases: u32, sector_size: u32, layouts: S, judge: impl Fn(&Device, S::Value)) {
    let device = Device::new(sector_size);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let result = TestRunner::new(config).run(&layouts, |layout| {
        device.clear();
        judge(&device, layout);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn ours(device: &Device, table: Table) {
    let layout = open(device.path()).write_table(&table).unwrap();
    device.kernel_agrees(&layout);
    agrees(device.path(), &layout);
    device.partx_agrees(&layout);
}

#[test]
fn our_gpt_with_sectors_of_512_bytes() {
    generated(60, 512, gpt_layout(), |device, plan| ours(device, Table::Plan(plan)));
}

#[test]
fn our_gpt_with_sectors_of_4096_bytes() {
    generated(60, 4096, gpt_layout(), |device, plan| ours(device, Table::Plan(plan)));
}

#[test]
fn our_mbr_with_sectors_of_512_bytes() {
    generated(60, 512, mbr_layout(), |device, plan| ours(device, Table::Plan(plan)));
}

#[test]
fn our_mbr_with_sectors_of_4096_bytes() {
    generated(60, 4096, mbr_layout(), |device, plan| ours(device, Table::Plan(plan)));
}

/// What another tool wrote is read as that tool dumps it, and its table written again is the same.
fn theirs(device: &Device) {
    let read = Disk::open(device.path(), OpenOptions::default()).unwrap().table().unwrap().unwrap();
    assert_eq!(read.warnings, Vec::<String>::new());
    assert_eq!(squeezed(&read.sfdisk()), dump(device.path()));
    device.partx_agrees(&read);
    let again = open(device.path()).write_table(&Table::Layout(read.clone())).unwrap();
    assert_eq!(again, read);
    device.kernel_agrees(&again);
    agrees(device.path(), &again);
}

/// Lines for sfdisk: it places what has no start, and makes the chain of logical partitions in its own way.
fn scripts(label: Label) -> impl Strategy<Value = String> {
    let part = (1u64..300, prop::option::weighted(0.3, 1u64..1000), any::<bool>());
    (prop::collection::vec(part, 1..12), 0usize..5).prop_map(move |(parts, outer)| {
        let mut text = format!("label: {}\n", if label == Label::Gpt { "gpt" } else { "dos" });
        let mut number = 0;
        for (index, (mib, gap, flag)) in parts.iter().enumerate() {
            let flags = match (label, flag) {
                (Label::Gpt, true) => ", name=\"a b\", attrs=\"GUID:63\"",
                (Label::Mbr, true) => ", bootable",
                _ => "",
            };
            match label {
                Label::Gpt => number += 1 + gap.unwrap_or(0) as usize % 7,
                Label::Mbr if outer < 4 && index == outer => {
                    text += &format!("{} : size=10GiB, type=5\n", outer + 1);
                    number = 5;
                }
                Label::Mbr => number += 1,
            }
            if label == Label::Mbr && outer >= 4 && number > 4 {
                break;
            }
            text += &format!("{number} : size={mib}MiB{flags}\n");
        }
        text
    })
}

#[test]
fn their_tables_with_sectors_of_512_bytes() {
    for label in [Label::Gpt, Label::Mbr] {
        generated(30, 512, scripts(label), |device, script| {
            sfdisk(device.path(), &script);
            theirs(device);
        });
    }
}

#[test]
fn their_tables_with_sectors_of_4096_bytes() {
    for label in [Label::Gpt, Label::Mbr] {
        generated(30, 4096, scripts(label), |device, script| {
            sfdisk(device.path(), &script);
            theirs(device);
        });
    }
}

#[test]
fn tables_of_sgdisk() {
    let part = (1u32..=128, 1u64..200, "[ -9;-~]{0,36}", 0u32..64);
    let tables = || prop::collection::vec(part.clone(), 1..8);
    let script = |parts: Vec<(u32, u64, String, u32)>, path: &Path| {
        let mut args = vec!["-o".to_string()];
        let mut numbers = Vec::new();
        for (number, mib, name, bit) in parts {
            if !numbers.contains(&number) {
                numbers.push(number);
                // UEFI reserves the bits from 3 to 47, and sfdisk shows none of them.
                let bit = if (3..48).contains(&bit) { 60 } else { bit };
                let new = [format!("--new={number}:0:+{mib}M"), format!("--change-name={number}:{name}")];
                args.extend(new.into_iter().chain([format!("--attributes={number}:set:{bit}")]));
            }
        }
        args.push(path.display().to_string());
        run("sgdisk", &args.iter().map(String::as_str).collect::<Vec<_>>());
    };
    // It sleeps a second after each writing: so all at once. A file has sectors of 512 bytes, a device any.
    generated(2, 4096, tables(), |device, parts| {
        script(parts, device.path());
        theirs(device);
    });
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 5, ..Config::default() };
    let result = TestRunner::new(config).run(&prop::collection::vec(tables(), 40), |many| {
        std::thread::scope(|scope| {
            for parts in many {
                scope.spawn(move || {
                    let dir = memory_folder();
                    let path = image(&dir, "disk.img", 20 << 30);
                    script(parts, &path);
                    let read = Disk::open(&path, OpenOptions::default()).unwrap().table().unwrap().unwrap();
                    assert_eq!((&read.warnings, squeezed(&read.sfdisk())), (&Vec::new(), dump(&path)));
                });
            }
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
