//! Disks picked on machines that are made up.

use super::*;

/// Path, size in GiB, serial; the rest is changed where it matters.
fn disk(path: &str, gib: u64, serial: &str) -> Found {
    Found {
        path: path.into(),
        size: gib << 30,
        sector_size: 512,
        model: "Samsung SSD 980".into(),
        serial: serial.into(),
        wwn: format!("eui.00{serial}"),
        transport: "nvme".into(),
        rotational: false,
        removable: false,
        read_only: false,
        physical: true,
        links: vec![format!("/dev/disk/by-id/nvme-{serial}")],
        uses: Vec::new(),
    }
}

#[derive(Default)]
struct MadeUp {
    disks: Vec<Found>,
    /// Disks with something on them, in words; `!` is one that cannot be read.
    contents: Vec<(&'static str, &'static str)>,
    images: Vec<&'static str>,
    /// Links outside /dev/disk.
    links: Vec<(&'static str, &'static str)>,
}

impl Machine for MadeUp {
    fn disks(&self) -> Vec<Found> {
        self.disks.iter().filter(|disk| disk.physical).cloned().collect()
    }

    fn find(&self, path: &Path) -> Named {
        let path = path.to_str().unwrap();
        if self.images.contains(&path) {
            return Named::Image;
        }
        let target = self.links.iter().find(|(link, _)| *link == path).map_or(path, |(_, target)| target);
        let found = self.disks.iter().find(|disk| disk.path == target || disk.links.iter().any(|link| link == target));
        found.map_or(Named::Nothing, |disk| Named::Disk(Box::new(disk.clone())))
    }

    fn contents(&self, disk: &Found) -> Result<Option<String>> {
        match self.contents.iter().find(|(path, _)| *path == disk.path) {
            Some((_, "!")) => Err(Fault::new("table.read", "cannot read it")),
            Some((_, what)) => Ok(Some(what.to_string())),
            None => Ok(None),
        }
    }
}

/// A workstation: two NVMe disks, a turning one in use, a USB stick, an eMMC that is write-protected, a loop device.
fn workstation() -> MadeUp {
    let mut sda = disk("/dev/sda", 4000, "WD-9");
    (sda.model, sda.transport, sda.wwn) = ("WDC WD40EFRX-68N".into(), "sata".into(), "naa.50014ee2b1".into());
    (sda.rotational, sda.links) = (true, vec!["/dev/disk/by-id/wwn-0x50014ee2b1".into()]);
    sda.uses.push("/dev/sda2 is mounted at /home".into());
    let mut sdb = disk("/dev/sdb", 32, "");
    (sdb.model, sdb.transport, sdb.wwn, sdb.removable) = ("Ultra".into(), "usb".into(), String::new(), true);
    let mut mmc = disk("/dev/mmcblk0", 64, "0xe7");
    (mmc.model, mmc.transport, mmc.read_only) = ("BJTD4R".into(), "mmc".into(), true);
    let mut loop0 = disk("/dev/loop0", 1, "");
    (loop0.physical, loop0.model) = (false, String::new());
    MadeUp {
        disks: vec![disk("/dev/nvme0n1", 512, "A1"), disk("/dev/nvme1n1", 1024, "B2"), sda, sdb, mmc, loop0],
        contents: vec![("/dev/nvme0n1", "a gpt table"), ("/dev/sdb", "vfat")],
        images: vec!["node1.img"],
        links: vec![("/dev/install-here", "/dev/nvme1n1")],
    }
}

fn by(change: impl Fn(&mut Criteria)) -> Result<String> {
    let mut criteria = Criteria::default();
    change(&mut criteria);
    pick(&workstation(), &criteria)
}

#[test]
fn by_every_name_a_disk_has() {
    for (path, found) in [
        ("/dev/nvme0n1", "/dev/nvme0n1"),
        ("nvme0n1", "/dev/nvme0n1"),
        ("/dev/disk/by-id/nvme-B2", "/dev/nvme1n1"),
        ("nvme-B2", "/dev/nvme1n1"),
        ("/dev/install-here", "/dev/nvme1n1"),
        ("/dev/loop0", "/dev/loop0"),
        ("node1.img", "node1.img"),
    ] {
        assert_eq!(by(|c| c.path = path.into()).unwrap(), found, "{path}");
    }
    for (partition, told) in [
        (
            "/dev/nvme0n1p2",
            "/dev/nvme0n1 (512 GiB, Samsung SSD 980 A1): /dev/nvme0n1p2 is its partition 2: name the disk itself",
        ),
        ("sda2", "/dev/sda (3.9 TiB, WDC WD40EFRX-68N WD-9): sda2 is its partition 2: name the disk itself"),
        // No partition has such a name.
        ("/dev/sdap2", "/dev/sda (3.9 TiB, WDC WD40EFRX-68N WD-9): not /dev/sdap2"),
        ("/dev/nvme0n12", "/dev/nvme0n1 (512 GiB, Samsung SSD 980 A1): not /dev/nvme0n12"),
    ] {
        let fault = by(|c| c.path = partition.into()).unwrap_err();
        assert!(fault.message.contains(told), "{fault}");
    }
}

#[test]
fn by_what_a_disk_is() {
    let found = |change: &dyn Fn(&mut Criteria)| by(change).unwrap();
    assert_eq!(found(&|c| c.serial = "b2".into()), "/dev/nvme1n1");
    assert_eq!(found(&|c| c.wwn = "EUI.00B2".into()), "/dev/nvme1n1");
    assert_eq!(found(&|c| (c.wwn, c.force) = ("0x50014ee2b1".into(), true)), "/dev/sda", "as its link has it");
    assert_eq!(found(&|c| c.model = "ultra".into()), "/dev/sdb");
    assert_eq!(found(&|c| (c.model, c.max) = ("samsung*98?".into(), Some(600 << 30))), "/dev/nvme0n1");
    assert_eq!(found(&|c| (c.transport, c.min) = ("NVMe".into(), Some(600 << 30))), "/dev/nvme1n1");
    assert_eq!(found(&|c| (c.rotational, c.force) = (Some(true), true)), "/dev/sda");
    assert_eq!(found(&|c| c.removable = Some(true)), "/dev/sdb");
    assert_eq!(found(&|c| c.empty = Some(true)), "/dev/nvme1n1");
    assert_eq!(found(&|c| (c.empty, c.transport) = (Some(false), "nvme".into())), "/dev/nvme0n1");
    assert!(by(|c| c.model = "980*".into()).is_err(), "a pattern is the whole model");
}

#[test]
fn an_error_lists_every_candidate_with_its_reason() {
    let fault = by(|c| (c.min, c.empty) = (Some(100 << 30), Some(true))).map(|path| assert_eq!(path, "/dev/nvme1n1"));
    fault.unwrap();
    let fault = by(|c| (c.max, c.empty) = (Some(600 << 30), Some(true))).unwrap_err();
    let expected = "cannot pick a disk: none of 5 disks fits; \
        /dev/nvme0n1 (512 GiB, Samsung SSD 980 A1): not empty: a gpt table; \
        /dev/nvme1n1 (1 TiB, Samsung SSD 980 B2): bigger than 600 GiB; \
        /dev/sda (3.9 TiB, WDC WD40EFRX-68N WD-9): bigger than 600 GiB; \
        /dev/sdb (32 GiB, Ultra): not empty: vfat; /dev/mmcblk0 (64 GiB, BJTD4R 0xe7): read-only";
    assert_eq!((&*fault.kind, fault.message.as_str()), ("disk.pick", expected));
    let fault = by(|_| {}).unwrap_err();
    for part in ["3 of 5 disks fit, one is wanted", "A1): fits", "in use: /dev/sda2 is mounted at /home", "read-only"] {
        assert!(fault.message.contains(part), "{part}: {fault}");
    }
    let fault = by(|c| c.wwn = "naa.1".into()).unwrap_err();
    assert!(fault.message.contains("/dev/sdb (32 GiB, Ultra): wwn is not told"), "{fault}");
    let fault = pick(&MadeUp::default(), &Criteria::default()).unwrap_err();
    assert_eq!(fault.message, "cannot pick a disk: this machine has no disks");
    // One that cannot be read is never taken for an empty one.
    let mut machine = workstation();
    machine.contents.push(("/dev/nvme1n1", "!"));
    let fault = pick(&machine, &Criteria { empty: Some(true), ..Criteria::default() }).unwrap_err();
    assert!(fault.message.contains("B2): it cannot be said whether it is empty: cannot read it"), "{fault}");
}

#[test]
fn patterns() {
    let like = |wanted: &str| is_like(wanted, "Samsung SSD 980 PRO");
    for wanted in ["ssd", "Samsung*", "*pro", "s*s*d*9?0*", "*", "samsung ssd 980 pro*"] {
        assert!(like(wanted), "{wanted}");
    }
    for wanted in ["hdd", "ssd*", "*98", "samsung?ssd", "s*x"] {
        assert!(!like(wanted), "{wanted}");
    }
    assert!(!is_like(&"*a".repeat(50), &"a".repeat(49)), "and it takes no time");
}
