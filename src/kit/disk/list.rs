//! The disks of this machine, from /sys/block and /dev/disk.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::kernel::{self, sys_line};
use super::{Use, guard};

/// A disk of this machine. Texts are empty where the disk does not tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Bytes in a logical sector.
    pub sector_size: u64,
    pub model: String,
    pub serial: String,
    pub wwn: String,
    /// `nvme`, `sata`, `usb`, `virtio`, `scsi`, `mmc`, or empty.
    pub transport: String,
    pub rotational: bool,
    pub removable: bool,
    pub read_only: bool,
    /// Neither loop, ram, zram, device-mapper nor array: something one installs on.
    pub physical: bool,
    /// Links in /dev/disk that lead here.
    pub links: Vec<String>,
    /// Who uses it now, in words.
    pub uses: Vec<String>,
}

/// All disks, by path. Virtual ones are left out, as are drives without a medium.
pub fn list() -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<Found> = names.filter_map(|name| disk(&name)).filter(|d| d.physical && d.size > 0).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// One block device named by path or by a link in /dev/disk, virtual or not.
pub fn find(path: &Path) -> Option<Found> {
    let number = kernel::block_number(path)?;
    disk(&kernel::sys_of(number).file_name()?.to_string_lossy())
}

fn disk(name: &str) -> Option<Found> {
    let sys = Path::new("/sys/block").join(name);
    let number = kernel::parse_number(&sys_line(&sys.join("dev")))?;
    let device = sys.join("device");
    // A `!` in /sys stands for the `/` of a device in a folder (cciss!c0d0).
    let path = PathBuf::from(format!("/dev/{}", name.replace('!', "/")));
    let virtual_names = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];
    let first = |files: &[&str]| {
        let values = files.iter().map(|file| sys_line(&device.join(file)));
        values
            .chain(files.iter().map(|file| sys_line(&sys.join(file))))
            .find(|value| !value.is_empty())
            .unwrap_or_default()
    };
    let flag = |file: &str| sys_line(&sys.join(file)) == "1";
    Some(Found {
        size: sys_line(&sys.join("size")).parse::<u64>().unwrap_or(0).saturating_mul(512),
        sector_size: sys_line(&sys.join("queue/logical_block_size")).parse().unwrap_or(512),
        model: first(&["model", "name"]),
        serial: serial(&device, &sys),
        wwn: first(&["wwid", "cid"]),
        transport: transport(&sys, name),
        rotational: flag("queue/rotational"),
        removable: flag("removable"),
        read_only: flag("ro"),
        // The boot areas of an eMMC are devices of their own, a few MiB for firmware.
        physical: !virtual_names.iter().any(|prefix| name.starts_with(prefix))
            && !(name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"))),
        links: links(number),
        uses: guard::uses(&path).into_iter().map(|Use(what)| what).collect(),
        path: path.display().to_string(),
    })
}

/// NVMe, virtio and MMC have a file; SCSI has page 80h, whose text begins at byte 4 (SPC-5 section 7.7.20).
fn serial(device: &Path, sys: &Path) -> String {
    let plain =
        [device.join("serial"), sys.join("serial")].iter().map(|file| sys_line(file)).find(|text| !text.is_empty());
    plain.unwrap_or_else(|| {
        let page = std::fs::read(device.join("vpd_pg80")).unwrap_or_default();
        String::from_utf8_lossy(page.get(4..).unwrap_or_default()).trim().to_string()
    })
}

fn transport(sys: &Path, name: &str) -> String {
    let whole = sys.canonicalize().map(|path| path.display().to_string()).unwrap_or_default();
    let kinds =
        [("nvme", "nvme"), ("/usb", "usb"), ("/ata", "sata"), ("virtio", "virtio"), ("mmc", "mmc"), ("/host", "scsi")];
    let found = kinds.iter().find(|(part, _)| name.starts_with(part) || whole.contains(part));
    found.map(|(_, kind)| kind.to_string()).unwrap_or_default()
}

fn links(number: kernel::Number) -> Vec<String> {
    let Ok(kinds) = std::fs::read_dir("/dev/disk") else { return Vec::new() };
    let files = kinds.flatten().filter_map(|kind| std::fs::read_dir(kind.path()).ok()).flatten().flatten();
    let mut links: Vec<String> = files
        .filter(|file| std::fs::metadata(file.path()).is_ok_and(|meta| kernel::number_of(meta.rdev()) == number))
        .map(|file| file.path().display().to_string())
        .collect();
    links.sort();
    links
}
