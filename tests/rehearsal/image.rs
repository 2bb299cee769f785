//! A node's disk image, looked at with the system's own programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{need, run};

/// A partition of an image on a loop device of its own; detached when dropped.
pub struct Partition {
    pub device: String,
    mounted: Option<tempfile::TempDir>,
}

/// `(number, first byte, bytes, name)` of each partition that `sfdisk` sees.
pub fn partitions(image: &Path) -> Vec<(u64, u64, u64, String)> {
    need("sfdisk", "fdisk");
    let json = run(Command::new("sfdisk").arg("-J").arg(image));
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let list = table["partitiontable"]["partitions"].as_array().unwrap();
    list.iter()
        .map(|part| {
            let node = part["node"].as_str().unwrap();
            let number = node.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            let name = part["name"].as_str().unwrap_or_default().to_string();
            (number, part["start"].as_u64().unwrap() * 512, part["size"].as_u64().unwrap() * 512, name)
        })
        .collect()
}

impl Partition {
    pub fn open(image: &Path, number: u64) -> Partition {
        Partition::open_with(image, number, &["--read-only"])
    }

    /// With options of losetup.
    pub fn open_with(image: &Path, number: u64, more: &[&str]) -> Partition {
        let (_, start, size, _) =
            partitions(image).into_iter().find(|part| part.0 == number).expect("the partition is there");
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show", "--offset", &start.to_string(), "--sizelimit", &size.to_string()]);
        Partition { device: run(losetup.args(more).arg(image)).trim().to_string(), mounted: None }
    }

    /// Mounts it read only and says where.
    pub fn mount(&mut self) -> PathBuf {
        let dir = crate::harness::scratch();
        run(Command::new("mount").args(["-o", "ro", &self.device]).arg(dir.path()));
        self.mounted.insert(dir).path().to_path_buf()
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some(dir) = self.mounted.take() {
            let _ = Command::new("umount").arg(dir.path()).status();
        }
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}
