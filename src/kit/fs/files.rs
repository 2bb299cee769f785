//! Files, written whole or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};

use crate::host::{Cancel, Fault, Result, format_size};
use crate::kit::disk::{Use, uses};

/// Largest file that is read into a script.
const MOST: u64 = 64 << 20;

/// The bytes of a small file.
///
/// # Errors
/// `fs.read`; `fs.size`: more than 64 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let fail = |error| Fault::io("fs.read", format_args!("read `{}`", path.display()), error);
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(MOST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MOST {
        let message =
            format!("`{}` is bigger than {}, the most that is read at once", path.display(), format_size(MOST));
        return Err(Fault::new("fs.size", message).hint("a stream takes files of any size"));
    }
    Ok(bytes)
}

/// Writes a file: readers see the old one or the whole new one, and after a power failure too. A file that was there
/// keeps its mode and owner; a symbolic link there is replaced, not followed: in a mounted system it would lead out.
/// What is no plain file, a character device or a setting below /proc or /sys, gets the bytes in one write.
///
/// # Errors
/// `fs.write`; `fs.kind`: a disk, an image in use, a FIFO or a socket is there.
pub fn write(path: &Path, data: &[u8]) -> Result<()> {
    if takes_writes_in_place(path) {
        let write = |mut file: File| file.write_all(data);
        let fail = |error| Fault::io("fs.write", format_args!("write `{}`", path.display()), error);
        return File::options().write(true).open(path).and_then(write).map_err(fail);
    }
    replace(path, "fs.write", |file| file.write_all(data))
}

fn takes_writes_in_place(path: &Path) -> bool {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return false };
    let kernel = || statfs(path).is_ok_and(|fs| [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&fs.filesystem_type()));
    meta.file_type().is_char_device() || (meta.is_file() && kernel())
}

/// A rename would put a plain file in the place of a device node: the disk stays as it was, and has no name any more.
/// In the place of an image that is in use, it would take what is written to it from now on.
fn refuse_special(path: &Path) -> Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let refused = |what| Err(Fault::new("fs.kind", format!("cannot replace `{}`: it is {what}", path.display())));
    match meta.file_type() {
        kind if kind.is_block_device() => {
            refused("a disk or partition").map_err(|fault| fault.hint("dd::into(path) writes to one"))
        }
        kind if kind.is_char_device() => refused("a device"),
        kind if kind.is_fifo() => refused("a FIFO"),
        kind if kind.is_socket() => refused("a socket"),
        // Smaller ones are no images, and are spared the search.
        kind if kind.is_file() && meta.len() >= 1 << 20 => match uses(path).first() {
            Some(Use(what)) => Err(Fault::new("fs.kind", format!("cannot replace `{}`: {what}", path.display()))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Copies one file, with mode, owner and times; `to` may be a folder. As atomic as [`write`].
///
/// # Errors
/// `fs.copy`; `fs.kind`: not a plain file, or no file may stand there.
pub fn copy(from: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    let fail = |error| Fault::io("fs.copy", format_args!("copy `{}`", from.display()), error);
    let to = match (to.is_dir(), from.file_name()) {
        (true, Some(name)) => to.join(name),
        _ => to.to_path_buf(),
    };
    let mut source = File::open(from).map_err(fail)?;
    let meta = source.metadata().map_err(fail)?;
    if !meta.is_file() {
        let fault = Fault::new("fs.kind", format!("cannot copy `{}`: it is no plain file", from.display()));
        return Err(fault.hint("for trees: stream::copy(tar::from(dir), tar::into(other))"));
    }
    let mut stopped = false;
    let done = replace(&to, "fs.copy", |file| {
        let mut buffer = vec![0; 1 << 20];
        loop {
            if cancel.is_set() {
                stopped = true;
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            match source.read(&mut buffer)? {
                0 => break,
                length => file.write_all(&buffer[..length])?,
            }
        }
        std::os::unix::fs::fchown(&*file, Some(meta.uid()), Some(meta.gid()))?;
        file.set_permissions(meta.permissions())?;
        file.set_times(std::fs::FileTimes::new().set_accessed(meta.accessed()?).set_modified(meta.modified()?))
    });
    if stopped { Err(Fault::stopped()) } else { done }
}

/// Makes `path` a symbolic link to `target`, replacing a link or file that is there, in one step.
///
/// # Errors
/// `fs.link`; `fs.kind`: a device, a FIFO or a socket is there.
pub fn link(target: &Path, path: &Path) -> Result<()> {
    refuse_special(path)?;
    let fail = |error| Fault::io("fs.link", format_args!("link `{}` to `{}`", path.display(), target.display()), error);
    let beside = beside(path);
    std::os::unix::fs::symlink(target, &beside).map_err(fail)?;
    std::fs::rename(&beside, path).and_then(|()| settle(path)).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        fail(error)
    })
}

/// The BLAKE3 digest of a file, in hexadecimal.
///
/// # Errors
/// `fs.read`
pub fn hash(path: &Path, cancel: &Cancel) -> Result<String> {
    let fail = |error| Fault::io("fs.read", format_args!("hash `{}`", path.display()), error);
    let mut file = File::open(path).map_err(fail)?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 20]);
    loop {
        if cancel.is_set() {
            return Err(Fault::stopped());
        }
        match file.read(&mut buffer).map_err(fail)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            length => hasher.update(&buffer[..length]),
        };
    }
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short: String = name.chars().take(40).collect();
    path.with_file_name(format!(".{short}.kar-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Makes a rename last: the folder is written out too.
fn settle(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn replace(path: &Path, kind: &'static str, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    refuse_special(path)?;
    let beside = beside(path);
    let old = std::fs::symlink_metadata(path).ok().filter(|meta| meta.is_file());
    let done =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside).and_then(|mut file| {
            if let Some(old) = &old {
                std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
                file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o7777))?;
            }
            fill(&mut file)?;
            file.sync_all()?;
            std::fs::rename(&beside, path)?;
            settle(path)
        });
    done.map_err(|error| {
        // Nothing half-written stays; the fault that matters is the first one.
        let _ = std::fs::remove_file(&beside);
        Fault::io(kind, format_args!("write `{}`", path.display()), error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_whole_and_keeps_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link_path) = (dir.path().join("f"), dir.path().join("l"));
        write(&file, b"one").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4750)).unwrap();
        write(&file, b"two").unwrap();
        assert_eq!(read(&file).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o4750);
        link(Path::new("f"), &link_path).unwrap();
        link(Path::new("other"), &link_path).unwrap();
        assert_eq!(std::fs::read_link(&link_path).unwrap(), Path::new("other"));
        write(&link_path, b"three").unwrap();
        assert!(std::fs::symlink_metadata(&link_path).unwrap().is_file());
        copy(&file, &link_path, &Cancel::new()).unwrap();
        assert_eq!(hash(&link_path, &Cancel::new()).unwrap(), blake3::hash(b"two").to_hex().to_string());
        assert_eq!(write(&dir.path().join("no/such"), b"").unwrap_err().kind, "fs.write");
        assert_eq!(copy(dir.path(), &file, &Cancel::new()).unwrap_err().kind, "fs.kind");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half-written is left");
    }

    #[test]
    fn a_device_keeps_its_node() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, null) = (dir.path().join("disk"), dir.path().join("null"));
        let node = |path: &Path, kind, major, minor| {
            let device = nix::sys::stat::makedev(major, minor);
            nix::sys::stat::mknod(path, kind, nix::sys::stat::Mode::S_IRUSR, device).unwrap();
        };
        // Number 259:1048575 is no disk of any machine.
        node(&disk, nix::sys::stat::SFlag::S_IFBLK, 259, 1_048_575);
        node(&null, nix::sys::stat::SFlag::S_IFCHR, 1, 3);
        let other = dir.path().join("other");
        write(&other, b"x").unwrap();
        assert_eq!(write(&disk, b"x").unwrap_err().kind, "fs.kind");
        assert_eq!(copy(&other, &disk, &Cancel::new()).unwrap_err().kind, "fs.kind");
        assert_eq!(link(&other, &disk).unwrap_err().kind, "fs.kind");
        write(&null, b"x").unwrap();
        assert_eq!(copy(&other, &null, &Cancel::new()).unwrap_err().kind, "fs.kind");
        assert!(std::fs::symlink_metadata(&disk).unwrap().file_type().is_block_device());
        assert!(std::fs::symlink_metadata(&null).unwrap().file_type().is_char_device());
        let setting = Path::new("/proc/self/oom_score_adj");
        let before = read(setting).unwrap();
        write(setting, &before).unwrap();
    }
}
