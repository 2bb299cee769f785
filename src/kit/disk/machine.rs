//! Where the candidates for a disk come from: this machine, or one that a test makes up.

use std::path::Path;

use super::{Disk, Found, OpenOptions, find, list};
use crate::host::Result;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    Nothing,
    /// An image file.
    Image,
    /// A whole disk, be it a link that was named.
    Disk(Box<Found>),
}

/// A machine with disks.
pub trait Machine {
    fn disks(&self) -> Vec<Found>;

    /// Links are followed, those in /dev/disk and any others.
    fn find(&self, path: &Path) -> Named;

    /// What is on a disk, in words; None: neither a table nor a filesystem.
    ///
    /// # Errors
    /// The disk cannot be read.
    fn contents(&self, disk: &Found) -> Result<Option<String>>;
}

/// The machine this runs on.
#[derive(Debug, Clone, Copy)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn disks(&self) -> Vec<Found> {
        list()
    }

    fn find(&self, path: &Path) -> Named {
        if std::fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
            return Named::Image;
        }
        find(path).map_or(Named::Nothing, |disk| Named::Disk(Box::new(disk)))
    }

    fn contents(&self, disk: &Found) -> Result<Option<String>> {
        contents(Path::new(&disk.path))
    }
}

/// What is on a disk or image, in words: a table, whole or damaged, or what takes all of it (a filesystem, LUKS, LVM).
///
/// # Errors
/// Those of opening and reading it.
pub fn contents(path: &Path) -> Result<Option<String>> {
    let disk = Disk::open(path, OpenOptions::default())?;
    match disk.table() {
        Ok(Some(layout)) => return Ok(Some(format!("a {} table", layout.label.name()))),
        Err(fault) if fault.kind == "table.damaged" => return Ok(Some("a damaged table".into())),
        Err(fault) if fault.kind != "table.geometry" => return Err(fault),
        Ok(None) | Err(_) => {}
    }
    Ok(crate::kit::fs::probe(path)?.map(|found| found.kind))
}
