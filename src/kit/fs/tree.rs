//! Folders: listed, made, removed.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::host::{Fault, Result};
use crate::kit::disk::{Use, uses};

/// True when something is there, a dangling link included.
pub fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The path from the root, without links, `.` and `..`.
///
/// # Errors
/// `fs.real`: nothing is there, a link on the way leads nowhere, or the path is not UTF-8.
pub fn real(path: &Path) -> Result<String> {
    let what = || format!("find `{}`", path.display());
    let whole = path.canonicalize().map_err(|error| Fault::io("fs.real", what(), error))?;
    whole.into_os_string().into_string().map_err(|_| Fault::new("fs.real", format!("cannot {}: not UTF-8", what())))
}

/// Bytes of a file or a block device.
///
/// # Errors
/// `fs.size`: nothing is there, or it is something else
pub fn size(path: &Path) -> Result<u64> {
    let fail = |error| Fault::io("fs.size", format_args!("measure `{}`", path.display()), error);
    let meta = std::fs::metadata(path).map_err(fail)?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    if !meta.file_type().is_block_device() {
        return Err(fail(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is neither a file nor a disk")));
    }
    let mut file = std::fs::File::open(path).map_err(fail)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(fail)
}

/// What a symbolic link says; `None` where something else is, or nothing.
///
/// # Errors
/// `fs.target`
pub fn target(path: &Path) -> Result<Option<String>> {
    let what = || format!("read the link `{}`", path.display());
    let target = match std::fs::read_link(path) {
        Ok(target) => target,
        // EINVAL: it is there, and no link.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(None),
        Err(error) => return Err(Fault::io("fs.target", what(), error)),
    };
    let text = target.into_os_string().into_string();
    text.map(Some).map_err(|_| Fault::new("fs.target", format!("cannot {}: not UTF-8", what())))
}

/// The names in a folder, in order.
///
/// # Errors
/// `fs.list`
pub fn list(dir: &Path) -> Result<Vec<String>> {
    let fail = |error| Fault::io("fs.list", format_args!("list `{}`", dir.display()), error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Makes a folder and those above it; one that is there is fine.
///
/// # Errors
/// `fs.mkdir`
pub fn mkdir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)
        .map_err(|error| Fault::io("fs.mkdir", format_args!("make folder `{}`", dir.display()), error))
}

/// Makes a folder that was not there before, for nobody else's eyes: in `$TMPDIR`, else in /var/tmp, which is on a disk
/// where /tmp may be in memory. It stays until somebody removes it.
///
/// # Errors
/// `fs.temp`
pub fn temp(prefix: &str) -> Result<PathBuf> {
    let parent = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let template = parent.join(format!("{prefix}-XXXXXX"));
    nix::unistd::mkdtemp(&template)
        .map_err(|error| Fault::io("fs.temp", format_args!("make a folder `{}`", template.display()), error))
}

/// Removes a file, a link (not what it leads to) or a whole folder; false when nothing was there. Never `/`, never a
/// folder that something is mounted on or under, never a disk's node in /dev, never an image or swap file in use.
///
/// # Errors
/// `fs.refused`, `fs.remove`
pub fn remove(path: &Path) -> Result<bool> {
    let fail = |error| Fault::io("fs.remove", format_args!("remove `{}`", path.display()), error);
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fail(error)),
    };
    let refused = |why: String| Err(Fault::new("fs.refused", format!("`{}` is not removed: {why}", path.display())));
    if !meta.is_dir() {
        if meta.file_type().is_block_device() && is_in_dev(path) {
            return refused("it is a disk of this machine".into())
                .map_err(|fault| fault.hint("disk::open(path, #{ write: true }).wipe() clears one"));
        }
        // A link goes alone; what it leads to stays.
        let uses = if meta.is_file() { uses(path) } else { Vec::new() };
        if let Some(Use(what)) = uses.first() {
            return refused(what.clone()).map_err(|fault| fault.hint("unmount it first"));
        }
        return std::fs::remove_file(path).map(|()| true).map_err(fail);
    }
    let whole: PathBuf = path.canonicalize().map_err(fail)?;
    if whole == Path::new("/") {
        return refused("it is the root of the running system".into());
    }
    if let Some(point) = crate::kit::disk::mounts_under(&whole).first() {
        return refused(format!("a filesystem is mounted at {point}")).map_err(|f| f.hint("unmount it first"));
    }
    std::fs::remove_dir_all(&whole).map(|()| true).map_err(fail)
}

fn is_in_dev(path: &Path) -> bool {
    path.parent().and_then(|folder| folder.canonicalize().ok()).is_some_and(|folder| folder.starts_with("/dev"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_go_but_not_the_root_and_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        mkdir(&deep).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("a/root")).unwrap();
        assert_eq!(list(&dir.path().join("a")).unwrap(), ["b", "root"]);
        assert!(remove(&dir.path().join("a")).unwrap());
        assert!(!remove(&dir.path().join("a")).unwrap());
        for path in ["/", "/usr/..", "/proc", "//"] {
            assert_eq!(remove(Path::new(path)).unwrap_err().kind, "fs.refused", "{path}");
        }
        assert!(exists(Path::new("/proc/self")));
        // Its name in /dev; root or not, refused before anything is tried.
        let disk = std::fs::read_dir("/dev")
            .unwrap()
            .flatten()
            .find(|entry| entry.file_type().is_ok_and(|kind| kind.is_block_device()));
        if let Some(disk) = disk {
            assert_eq!(remove(&disk.path()).unwrap_err().kind, "fs.refused");
            assert!(exists(&disk.path()));
        }
    }
}
