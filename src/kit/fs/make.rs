//! Makes filesystems and swap areas, by the host's programs: never asking, as fast as is safe.

use std::path::Path;

use super::programs;
use crate::host::{Cancel, Fault, Result};
use crate::kit::disk;

/// Below this mkfs.vfat chooses FAT12 or 16 itself.
const LEAST_FAT32: u64 = 64 << 20;
/// A FAT with fewer clusters is no FAT32 (Microsoft, FAT32 File System Specification, "FAT type determination"): UEFI firmware does not
/// read one that says it was. A cluster has a sector at least, so that large sectors need a larger partition.
const CLUSTERS_FAT32: u64 = 65_525;

const KINDS: [&str; 7] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs"];

/// What a new filesystem is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mkfs {
    /// At most 16 bytes on ext, 12 on xfs, 11 on vfat, 255 on btrfs, 128 characters on ntfs.
    pub label: Option<String>,
    /// A UUID; on vfat eight hexadecimal digits (`1A2B-3C4D`). None: a new one.
    pub uuid: Option<String>,
}

/// Makes a filesystem: ext2, ext3, ext4, xfs, btrfs, vfat or ntfs. Whatever was on the device is lost; the guard
/// (`disk::refuse_used`) is the caller's.
///
/// # Errors
/// `fs.kind`, `fs.program` (with the Debian package), `fs.mkfs` with the program's own words, `fs.option`.
pub fn mkfs(kind: &str, device: &Path, names: &Mkfs, cancel: &Cancel) -> Result<()> {
    let path = device.display().to_string();
    let (label, uuid) = (names.label.as_deref(), names.uuid.as_deref());
    let (program, package) = match kind {
        "ext2" | "ext3" | "ext4" => (format!("mkfs.{kind}"), "e2fsprogs"),
        "xfs" => ("mkfs.xfs".into(), "xfsprogs"),
        "btrfs" => ("mkfs.btrfs".into(), "btrfs-progs"),
        "vfat" => ("mkfs.vfat".into(), "dosfstools"),
        "ntfs" => ("mkfs.ntfs".into(), "ntfs-3g"),
        "swap" => return swap(device, names, cancel),
        other => {
            return Err(Fault::new("fs.kind", format!("cannot make filesystem `{other}`"))
                .nearest(other, KINDS)
                .hint(format!("the kinds: {}", KINDS.join(", "))));
        }
    };
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| word.to_string()));
    let mut label_flag = "-L";
    match kind {
        // The inode tables are zeroed by the kernel after the first mount instead of here (minutes on a big disk), and
        // the journal is not zeroed at all: a new one holds nothing to replay. Discarding a whole disk first takes
        // long on many of them, and thin storage is better served by fstrim afterwards.
        "ext2" | "ext3" | "ext4" => {
            add(&["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"]);
            uuid.iter().for_each(|uuid| add(&["-U", uuid]));
        }
        "xfs" => {
            add(&["-q", "-f", "-K"]);
            uuid.iter().for_each(|uuid| add(&["-m", &format!("uuid={uuid}")]));
        }
        "btrfs" => {
            add(&["-q", "-f", "-K"]);
            uuid.iter().for_each(|uuid| add(&["-U", uuid]));
        }
        "vfat" => {
            label_flag = "-n";
            add(&["-I"]);
            if size(device)? >= least_fat32(sector_size(device)?) {
                // Firmware reads FAT32 from a fixed disk; the program's own choice below 512 MiB is FAT16.
                add(&["-F", "32"]);
            }
            uuid.iter().for_each(|uuid| add(&["-i", &uuid.replace('-', "")]));
        }
        // Quick: no zeroing, no search for bad sectors.
        _ if uuid.is_some() => {
            return Err(Fault::new("fs.option", "mkfs.ntfs gives its own serial number, `uuid` cannot be set"));
        }
        _ => add(&["-q", "-Q", "-F"]),
    }
    label.iter().for_each(|label| add(&[label_flag, label]));
    add(&[&path]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = programs::run(&program, package, &args, cancel)?;
    done.success("fs.mkfs", format_args!("make {kind} on `{path}`")).map(drop)
}

/// Makes a swap area.
///
/// # Errors
/// `fs.program`, `fs.mkfs`.
pub fn swap(device: &Path, names: &Mkfs, cancel: &Cancel) -> Result<()> {
    let path = device.display().to_string();
    let mut args = vec!["-f"];
    names.label.iter().for_each(|label| args.extend(["-L", label]));
    names.uuid.iter().for_each(|uuid| args.extend(["-U", uuid]));
    args.push(&path);
    let done = programs::run("mkswap", "util-linux", &args, cancel)?;
    done.success("fs.mkfs", format_args!("make swap on `{path}`")).map(drop)
}

/// Bytes that a FAT32 takes at least: its clusters, what is reserved in front of them, and two tables of 4 bytes for each.
fn least_fat32(sector: u64) -> u64 {
    LEAST_FAT32.max((CLUSTERS_FAT32 + 64) * sector + 2 * 4 * CLUSTERS_FAT32)
}

/// Of a device; of an image file, what programs take it to have.
fn sector_size(device: &Path) -> Result<u64> {
    let file = std::fs::File::open(device);
    let file = file.map_err(|error| Fault::io("fs.mkfs", format_args!("open `{}`", device.display()), error))?;
    Ok(disk::sector_size(&file).map_or(512, u64::from))
}

/// Bytes of a device or image file.
fn size(device: &Path) -> Result<u64> {
    use std::io::{Seek, SeekFrom};
    let end = std::fs::File::open(device).and_then(|mut file| file.seek(SeekFrom::End(0)));
    end.map_err(|error| Fault::io("fs.mkfs", format_args!("open `{}`", device.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fat32_has_room_for_its_clusters() {
        assert_eq!(least_fat32(512), 64 << 20);
        let large = least_fat32(4096);
        assert!(large > 256 << 20 && large < 260 << 20, "{large}");
    }
}
