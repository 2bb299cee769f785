//! The disk below a folder.

use std::path::{Path, PathBuf};

use super::{guard, kernel};
use crate::host::{Fault, Result};

/// The whole disk that the filesystem of `dir` stands on, be it in a partition.
///
/// # Errors
/// `disk.none`: it stands on none (tmpfs, nfs, overlay), or on a volume that is no partition (LVM, LUKS, an array).
pub fn under(dir: &Path) -> Result<PathBuf> {
    let shown = dir.display();
    let none = |why: String| {
        Fault::new("disk.none", format!("no disk can be told for `{shown}`: {why}")).hint("name the disk, or its image")
    };
    let whole = dir.canonicalize().map_err(|error| none(error.to_string()))?;
    let (number, source, kind) = guard::mount_of(&whole).ok_or_else(|| none("nothing is mounted there".into()))?;
    // btrfs has numbers of its own: there the source tells.
    let number = kernel::block_number(Path::new(&source)).unwrap_or(number);
    let sys = kernel::sys_of(number);
    if !sys.join("dev").exists() {
        return Err(none(format!("it stands on {source}, {kind}")));
    }
    let disk = if sys.join("partition").exists() { sys.parent().unwrap_or(&sys) } else { &sys };
    let name = disk.file_name().unwrap_or_default().to_string_lossy().replace('!', "/");
    if name.starts_with("dm-") || name.starts_with("md") {
        return Err(none(format!("it stands on {source}, which is no partition")));
    }
    Ok(PathBuf::from("/dev").join(name))
}
