//! Checks and grows filesystems.

use std::path::{Path, PathBuf};

use super::{probe, programs};
use crate::host::{Cancel, Fault, Result};

fn known(device: &Path) -> Result<String> {
    let found = probe(device)?.map(|found| found.kind);
    found.ok_or_else(|| Fault::new("fs.unknown", format!("no known filesystem on `{}`", device.display())))
}

/// Looks for damage and changes nothing. The device should not be mounted.
///
/// # Errors
/// `fs.damaged` with the program's own words; `fs.kind`: nothing checks this kind; `fs.program`, `fs.unknown`.
pub fn check(device: &Path, cancel: &Cancel) -> Result<()> {
    let path = device.display().to_string();
    let kind = known(device)?;
    let (program, package, args): (_, _, &[&str]) = match kind.as_str() {
        "ext2" | "ext3" | "ext4" => ("e2fsck", "e2fsprogs", &["-f", "-n", &path]),
        "xfs" => ("xfs_repair", "xfsprogs", &["-n", &path]),
        "btrfs" => ("btrfs", "btrfs-progs", &["check", "--readonly", &path]),
        "vfat" => ("fsck.vfat", "dosfstools", &["-n", &path]),
        "ntfs" => ("ntfsfix", "ntfs-3g", &["-n", &path]),
        other => return Err(Fault::new("fs.kind", format!("nothing checks {other} on `{path}`"))),
    };
    programs::run(program, package, args, cancel)?
        .success("fs.damaged", format_args!("find {kind} on `{path}` sound"))
        .map(drop)
}

/// Grows a filesystem to the size of its device. ext, xfs and btrfs grow mounted or not, ntfs only unmounted.
///
/// # Errors
/// `fs.grow` with the program's own words; `fs.damaged`; `fs.kind`: this kind does not grow; `fs.program`.
pub fn grow(device: &Path, cancel: &Cancel) -> Result<()> {
    let path = device.display().to_string();
    let kind = known(device)?;
    let what = format!("grow {kind} on `{path}`");
    match kind.as_str() {
        "ext2" | "ext3" | "ext4" => {
            if crate::kit::disk::mount_points(device).is_empty() {
                // resize2fs asks for it; 1 is "errors corrected".
                let checked = programs::run("e2fsck", "e2fsprogs", &["-f", "-p", &path], cancel)?;
                if checked.code > 1 {
                    checked.success("fs.damaged", format_args!("check {kind} on `{path}`"))?;
                }
            }
            programs::run("resize2fs", "e2fsprogs", &[&path], cancel)?.success("fs.grow", what).map(drop)
        }
        "xfs" => mounted(device, &kind, |dir| {
            programs::run("xfs_growfs", "xfsprogs", &[dir], cancel)?.success("fs.grow", &what)
        }),
        "btrfs" => mounted(device, &kind, |dir| {
            programs::run("btrfs", "btrfs-progs", &["filesystem", "resize", "max", dir], cancel)?
                .success("fs.grow", &what)
        }),
        "ntfs" => {
            let done =
                programs::run("ntfsresize", "ntfs-3g", &["--force", "--force", "--no-progress-bar", &path], cancel)?;
            done.success("fs.grow", what).map(drop)
        }
        other => Err(Fault::new("fs.kind", format!("{other} on `{path}` cannot grow"))),
    }
}

/// Kinds that grow only mounted: where they are mounted, or in a folder of their own for the while.
fn mounted(device: &Path, kind: &str, act: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    if let Some(dir) = crate::kit::disk::mount_points(device).first() {
        return act(dir).map(drop);
    }
    let name = format!("kar-grow-{}-{}", std::process::id(), device.file_name().unwrap_or_default().to_string_lossy());
    let dir: PathBuf = std::env::temp_dir().join(name);
    let held = super::mount(device, &dir, Some(kind), &[])?;
    let done = act(&held.dir.display().to_string());
    let undone = super::unmount(&held.dir);
    // An empty folder in the way of nobody.
    let _ = std::fs::remove_dir(&dir);
    done.and(undone)
}

/// Waits until all that was written to the filesystem at `dir` is on its disk (syncfs(2)). Data that a full or broken
/// disk did not take is told here and nowhere else: unmounting says nothing of it.
pub fn write_out(dir: &Path) -> std::io::Result<()> {
    let dir = std::fs::File::open(dir)?;
    Ok(nix::unistd::syncfs(&dir)?)
}

/// Writes all that is cached to the disks (sync(2)).
pub fn flush() {
    nix::unistd::sync();
}
