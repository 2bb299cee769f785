//! A partition of a disk image, mounted through a loop device with an offset, without kar.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{run, scratch};

pub struct Mounted {
    dir: tempfile::TempDir,
}

/// First byte and bytes of the partition with this name in the table.
fn place(image: &Path, name: &str) -> (u64, u64) {
    let json = run(Command::new("sfdisk").arg("-J").arg(image));
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let all = table["partitiontable"]["partitions"].as_array().unwrap();
    let part = all.iter().find(|part| part["name"] == name).expect("the partition is there");
    let bytes = |field: &str| part[field].as_u64().unwrap() * 512;
    (bytes("start"), bytes("size"))
}

impl Mounted {
    /// Mounts it for reading.
    pub fn named(image: &Path, name: &str) -> Mounted {
        let (start, size) = place(image, name);
        let dir = scratch();
        let options = format!("ro,loop,offset={start},sizelimit={size}");
        run(Command::new("mount").args(["-o", &options]).arg(image).arg(dir.path()));
        Mounted { dir }
    }

    /// What a filesystem or swap that is not mounted is called for good.
    pub fn uuid_of(image: &Path, name: &str) -> String {
        let (start, size) = place(image, name);
        let mut blkid = Command::new("blkid");
        blkid.args(["-p", "-s", "UUID", "-o", "value", "-O", &start.to_string(), "-S", &size.to_string()]);
        run(blkid.arg(image)).trim().to_string()
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn read(&self, path: &str) -> String {
        let path: PathBuf = self.path().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What the filesystem is called for good.
    pub fn uuid(&self) -> String {
        run(Command::new("findmnt").args(["-n", "-o", "UUID"]).arg(self.path())).trim().to_string()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}
