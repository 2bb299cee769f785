//! The filesystems of the kernel that everything else expects, and their end.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::host::{Fault, Result};
use crate::kit::fs::freeze;

/// Kind, place, options; in order: later ones stand in earlier ones.
const USUAL: [(&str, &str, &str); 7] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", "mode=0755"),
    ("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=000"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("tmpfs", "/run", "mode=0755"),
    ("efivarfs", "/sys/firmware/efi/efivars", ""),
];

/// Names in /dev that programs use and devtmpfs does not make.
const LINKS: [(&str, &str); 4] =
    [("/proc/self/fd", "/dev/fd"), ("fd/0", "/dev/stdin"), ("fd/1", "/dev/stdout"), ("fd/2", "/dev/stderr")];

/// Mounts what is not mounted. Gives what could not be: a kernel without one of them may do all the same.
pub fn mount_usual() -> Vec<Fault> {
    let mut failed = Vec::new();
    for (kind, place, options) in USUAL {
        let dir = Path::new(place);
        // In /sys the kernel makes the folders: without this one the firmware has no variables.
        if !dir.exists() && (place.starts_with("/sys") || std::fs::create_dir_all(dir).is_err()) {
            continue;
        }
        let options = (!options.is_empty()).then_some(options);
        match mount(Some(kind), dir, Some(kind), MsFlags::MS_NOSUID, options) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => failed.push(Fault::io("node.mount", format_args!("mount {kind} on {place}"), error)),
        }
    }
    for (target, path) in LINKS {
        if !Path::new(path).exists() {
            let _ = std::os::unix::fs::symlink(target, path);
        }
    }
    failed
}

/// Unmounts what stands on devices, the last first, and writes the rest out: what a killed recipe left.
///
/// # Errors
/// `node.mount`: /proc cannot be read.
pub fn unmount_devices() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")
        .map_err(|error| Fault::io("node.mount", "read `/proc/self/mounts`", error))?;
    let places: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(device, _)| device.starts_with("/dev/"))
        .filter_map(|(_, rest)| rest.split(' ').next())
        .collect();
    for place in places.into_iter().rev() {
        // As the table writes a blank in a name.
        let place = place.replace("\\040", " ");
        // The root itself, where the installed system runs, cannot go: it is read only from now on, or frozen where a file that
        // is deleted and still open stands against that. Its journal is empty then.
        if place == "/" {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            if mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).is_err() {
                nix::unistd::sync();
                let _ = File::open("/").map(|root| freeze(&root));
            }
        } else {
            let _ = umount2(place.as_str(), MntFlags::MNT_DETACH);
        }
    }
    nix::unistd::sync();
    Ok(())
}
