//! Mounts and unmounts, by system calls.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, umount2};

use super::{holders, probe, programs};
use crate::host::{Cancel, Fault, Result};
use crate::kit::{caretaker, disk};

/// How long a busy filesystem is tried again: programs that used it are just ending.
const PATIENCE: Duration = Duration::from_secs(5);

/// Words of mount(8) that are flags of mount(2); all others go to the filesystem.
const FLAGS: [(&str, MsFlags); 14] = [
    ("ro", MsFlags::MS_RDONLY),
    ("nosuid", MsFlags::MS_NOSUID),
    ("nodev", MsFlags::MS_NODEV),
    ("noexec", MsFlags::MS_NOEXEC),
    ("sync", MsFlags::MS_SYNCHRONOUS),
    ("dirsync", MsFlags::MS_DIRSYNC),
    ("remount", MsFlags::MS_REMOUNT),
    ("bind", MsFlags::MS_BIND),
    ("noatime", MsFlags::MS_NOATIME),
    ("nodiratime", MsFlags::MS_NODIRATIME),
    ("relatime", MsFlags::MS_RELATIME),
    ("strictatime", MsFlags::MS_STRICTATIME),
    ("lazytime", MsFlags::MS_LAZYTIME),
    ("rw", MsFlags::empty()),
];

/// What was mounted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The whole path, so that it stays right when the working directory changes.
    pub dir: PathBuf,
    pub kind: String,
}

/// Mounts `device` on `dir`, which is made when missing. `kind` None: what the device holds. Options as in fstab;
/// `bind` mounts a folder, and kinds without a device (tmpfs, proc) take any word as `device`.
///
/// # Errors
/// `fs.mount`, `fs.unknown` (no known filesystem on the device), `fs.mkdir`, `fs.program`.
pub fn mount(device: &Path, dir: &Path, kind: Option<&str>, options: &[String]) -> Result<Mounted> {
    let words: Vec<&str> = options.iter().flat_map(|list| list.split(',')).map(str::trim).collect();
    let (mut flags, mut data) = (MsFlags::empty(), Vec::new());
    for word in words.into_iter().filter(|word| !word.is_empty() && *word != "defaults") {
        match FLAGS.iter().find(|(name, _)| *name == word) {
            Some((_, flag)) => flags |= *flag,
            None => data.push(word),
        }
    }
    let bind = flags.contains(MsFlags::MS_BIND);
    let kind = match kind {
        _ if bind => "none".to_string(),
        Some(kind) => kind.to_string(),
        None => probe(device)?.map(|found| found.kind).ok_or_else(|| {
            Fault::new("fs.unknown", format!("no known filesystem on `{}`", device.display()))
                .hint("`kind` names it; `fs::probe` tells what is there")
        })?,
    };
    super::mkdir(dir)?;
    let fail = |error: std::io::Error| {
        Fault::io("fs.mount", format_args!("mount `{}` on `{}` as {kind}", device.display(), dir.display()), error)
    };
    let dir = dir.canonicalize().map_err(fail)?;
    let text = data.join(",");
    let data = (!text.is_empty()).then_some(text.as_str());
    // A device that was just made is looked at by others (udev, blkid), who claim it for a moment.
    let until = Instant::now() + PATIENCE;
    let call = |kind: &str| loop {
        match nix::mount::mount(Some(device), &dir, Some(kind), flags, data) {
            Err(Errno::EBUSY) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            done => break done,
        }
    };
    let done = match kind.as_str() {
        "ntfs" => call("ntfs3"),
        other => call(other),
    };
    match done {
        Ok(()) => {}
        Err(Errno::ENODEV) if kind == "ntfs" => ntfs_3g(device, &dir, options)?,
        Err(Errno::ENODEV) => {
            return Err(fail(Errno::ENODEV.into()).hint(format!("this kernel has no `{kind}`: its module is missing")));
        }
        Err(errno) => return Err(fail(errno.into())),
    }
    caretaker::mounted(&dir);
    Ok(Mounted { dir, kind })
}

/// Kernels without ntfs3 have the FUSE program.
fn ntfs_3g(device: &Path, dir: &Path, options: &[String]) -> Result<()> {
    let (device, dir, list) = (device.display().to_string(), dir.display().to_string(), options.join(","));
    let mut args = vec![device.as_str(), dir.as_str()];
    if !list.is_empty() {
        args.extend(["-o", &list]);
    }
    let done = programs::run("ntfs-3g", "ntfs-3g", &args, &Cancel::new())?;
    done.success("fs.mount", format_args!("mount `{device}` on `{dir}` as ntfs")).map(drop)
}

/// Unmounts what is on `dir`, with all data written. What is busy is tried again for 5 s; then the fault says who
/// keeps it busy.
///
/// # Errors
/// `fs.busy`, `fs.unmounted` (nothing is mounted there), `fs.unmount`; `fs.lost`: it is unmounted, but its disk did not
/// take all that was written.
pub fn unmount(dir: &Path) -> Result<()> {
    let shown = dir.display();
    let there = disk::mounted_at(dir);
    let written = there.as_ref().map_or(Ok(()), |_| super::write_out(dir));
    let until = Instant::now() + PATIENCE;
    loop {
        match umount2(dir, MntFlags::empty()) {
            Ok(()) => {
                caretaker::unmounted(&dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf()));
                break;
            }
            Err(Errno::EBUSY) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Err(Errno::EBUSY) => {
                let by = holders::of(dir);
                let by = if by.is_empty() { String::new() } else { format!(": used by {}", by.join(", ")) };
                return Err(Fault::new("fs.busy", format!("cannot unmount `{shown}`: it is busy{by}"))
                    .hint("end these programs, or let them leave the folder"));
            }
            Err(Errno::EINVAL | Errno::ENOENT) => {
                return Err(Fault::new("fs.unmounted", format!("cannot unmount `{shown}`: nothing is mounted there")));
            }
            Err(errno) => return Err(Fault::io("fs.unmount", format_args!("unmount `{shown}`"), errno)),
        }
    }
    // A FUSE program writes the rest after the unmount: the device is free when it has ended.
    let until = Instant::now() + PATIENCE;
    let device = there.filter(|(source, kind)| kind.starts_with("fuse") && source.starts_with("/dev/"));
    while device.as_ref().is_some_and(|(device, _)| disk::is_claimed(Path::new(device))) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    written.map_err(|error| {
        Fault::io("fs.lost", format_args!("write out all that was written to `{shown}`"), error)
            .hint("the disk below it is full or broken: what was written last is not there")
    })
}
