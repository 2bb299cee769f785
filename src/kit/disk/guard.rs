//! Who uses a disk: asked before anything on it is overwritten.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use super::kernel::{self, Number};
use crate::host::{Fault, Result};

/// One use of a disk, in words: `/dev/sda2 is mounted at /home`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use(pub String);

/// A device that belongs to what is asked about, and how it is reached: a partition, or what was built on it.
struct Member {
    number: Number,
    path: String,
    /// Stands behind the words: ` (through dm-0)`.
    through: String,
}

/// All uses found of a block device or an image file. For a disk its partitions count, for a partition only itself,
/// and for both whatever was built on them (arrays, volume groups, encrypted volumes), however deep.
pub fn uses(path: &Path) -> Vec<Use> {
    let Ok(meta) = std::fs::metadata(path) else { return Vec::new() };
    let mut found = BTreeSet::new();
    if meta.file_type().is_block_device() {
        device_uses(kernel::number_of(meta.rdev()), path, &mut found);
    } else {
        for (swap, kind) in swaps() {
            let same = std::fs::metadata(&swap).is_ok_and(|m| (m.dev(), m.ino()) == (meta.dev(), meta.ino()));
            if same {
                found.insert(Use(format!("{} is swapped on ({kind})", path.display())));
            }
        }
        for name in kernel::holder_of_loop(path) {
            let device = PathBuf::from("/dev").join(&name);
            let mut inner = BTreeSet::new();
            if let Some(number) =
                kernel::parse_number(&kernel::sys_line(&Path::new("/sys/block").join(&name).join("dev")))
            {
                device_uses(number, &device, &mut inner);
            }
            found.extend(inner.into_iter().map(|Use(what)| Use(format!("{what} (attached from {})", path.display()))));
        }
    }
    found.into_iter().collect()
}

/// The guard of everything that destroys: a disk in use is refused.
///
/// # Errors
/// `disk.busy` with every use found, unless `force`.
pub fn refuse_used(path: &Path, force: bool) -> Result<()> {
    let found = if force { Vec::new() } else { uses(path) };
    if found.is_empty() {
        return Ok(());
    }
    let words: Vec<&str> = found.iter().map(|Use(what)| what.as_str()).collect();
    Err(Fault::new("disk.busy", format!("`{}` is in use: {}", path.display(), words.join("; ")))
        .hint("unmount or detach it first; `force: true` overwrites a disk in use"))
}

fn device_uses(number: Number, path: &Path, found: &mut BTreeSet<Use>) {
    let members = members(number, path);
    for member in &members {
        holders(member, found);
    }
    let of = |number: Option<Number>| number.and_then(|number| members.iter().find(|member| member.number == number));
    for mount in mounts() {
        // Some filesystems (btrfs) have a device number of their own: their source names the device.
        let member = of(Some(mount.number)).or_else(|| of(kernel::block_number(Path::new(&mount.source))));
        if let Some(Member { path, through, .. }) = member {
            let system = match mount.point.as_str() {
                "/" | "/boot" | "/usr" => ", the running system",
                _ => "",
            };
            found.insert(Use(format!("{path} is mounted at {}{system}{through}", mount.point)));
        }
    }
    for (swap, _) in swaps() {
        if let Some(Member { path, through, .. }) = of(kernel::block_number(&swap)) {
            found.insert(Use(format!("{path} is swapped on{through}")));
        }
    }
    // Covers what cannot be seen from here: mounts in other namespaces, programs that claim the device.
    if found.is_empty() && is_claimed(path) {
        found.insert(Use(format!("{} is claimed by another program or mount namespace", path.display())));
    }
}

/// The device itself, its partitions when it is a disk, and all that stands on them.
fn members(number: Number, path: &Path) -> Vec<Member> {
    let path = path.display().to_string();
    let mut members = vec![Member { number, path, through: String::new() }];
    for part in kernel::sys_partitions(&kernel::sys_of(number)) {
        members.extend(member(&part, String::new()));
    }
    let mut at = 0;
    while at < members.len() {
        let (path, through) = (members[at].path.clone(), members[at].through.clone());
        for holder in holder_dirs(members[at].number) {
            let inner = member(&holder, format!(" (on {path}){through}"));
            members.extend(inner.filter(|new| members.iter().all(|old| old.number != new.number)));
        }
        at += 1;
    }
    members
}

fn member(sys: &Path, through: String) -> Option<Member> {
    let number = kernel::parse_number(&kernel::sys_line(&sys.join("dev")))?;
    let mapped = kernel::sys_line(&sys.join("dm/name"));
    let name = sys.file_name()?.to_string_lossy().into_owned();
    let path = if mapped.is_empty() { format!("/dev/{name}") } else { format!("/dev/mapper/{mapped}") };
    Some(Member { number, path, through })
}

fn holder_dirs(number: Number) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(kernel::sys_of(number).join("holders")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.path().canonicalize().ok()).collect()
}

fn holders(member: &Member, found: &mut BTreeSet<Use>) {
    for holder in holder_dirs(member.number) {
        let name = holder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (mapped, uuid) = (kernel::sys_line(&holder.join("dm/name")), kernel::sys_line(&holder.join("dm/uuid")));
        let what = match (name.as_str(), uuid.split('-').next().unwrap_or("")) {
            (name, _) if name.starts_with("md") => format!("array /dev/{name}"),
            (_, "LVM") => format!("logical volume {mapped}"),
            (_, kind) if kind.starts_with("CRYPT") => format!("encrypted volume {mapped}"),
            (name, _) if !mapped.is_empty() => format!("device-mapper volume {mapped} ({name})"),
            (name, _) => format!("/dev/{name}"),
        };
        found.insert(Use(format!("{} is part of {what}{}", member.path, member.through)));
    }
}

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
struct Mount {
    number: Number,
    point: String,
    kind: String,
    source: String,
}

fn mounts() -> Vec<Mount> {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let words: Vec<&str> = line.split(' ').collect();
    // Optional fields end with a `-`; after it come type and source.
    let dash = words.iter().skip(6).position(|word| *word == "-")? + 6;
    Some(Mount {
        number: kernel::parse_number(words.get(2)?)?,
        point: unescape(words.get(4)?),
        kind: unescape(words.get(dash + 1)?),
        source: unescape(words.get(dash + 2)?),
    })
}

/// The kernel writes blanks and backslashes as `\040` in these files, and people do in fstab.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where a device is mounted in this namespace.
pub fn mount_points(device: &Path) -> Vec<String> {
    let own = kernel::block_number(device);
    let same = |mount: &Mount| {
        own.is_some() && (Some(mount.number) == own || kernel::block_number(Path::new(&mount.source)) == own)
    };
    mounts().into_iter().filter(same).map(|mount| mount.point).collect()
}

/// Source and kind of the topmost mount on exactly this folder.
pub fn mounted_at(dir: &Path) -> Option<(String, String)> {
    let whole = dir.canonicalize().ok()?;
    let on_it = mounts().into_iter().rfind(|mount| Path::new(&mount.point) == whole);
    on_it.map(|mount| (mount.source, mount.kind))
}

/// Number, source and kind of the mount that holds `path`, a whole path without links.
pub(super) fn mount_of(path: &Path) -> Option<(Number, String, String)> {
    let holds = mounts().into_iter().filter(|mount| path.starts_with(&mount.point));
    // Of two on one folder the later one is seen.
    holds.max_by_key(|mount| mount.point.len()).map(|mount| (mount.number, mount.source, mount.kind))
}

/// The points of mounts on a folder or anywhere under it.
pub fn mounts_under(dir: &Path) -> Vec<String> {
    mounts().into_iter().map(|mount| mount.point).filter(|point| Path::new(point).starts_with(dir)).collect()
}

/// Whether somebody, in whatever namespace, claims a block device for himself.
pub fn is_claimed(device: &Path) -> bool {
    let claim = OpenOptions::new().read(true).custom_flags(libc::O_EXCL | libc::O_CLOEXEC).open(device);
    claim.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
}

/// Swap areas in use: path, and `partition` or `file`.
fn swaps() -> Vec<(PathBuf, String)> {
    let text = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|words| words.len() > 1).map(|words| (unescape(words[0]).into(), words[1].to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/ro\134ot rw,errors=continue";
        let mount = mount(line).unwrap();
        assert_eq!((mount.number, mount.point.as_str(), mount.source.as_str()), ((98, 0), "/mnt 2", r"/dev/ro\ot"));
        for cut in 0..line.len() {
            let _ = super::mount(&line[..cut]);
        }
    }

    #[test]
    fn the_running_system_is_in_use() {
        let root = mounts().into_iter().find(|mount| mount.point == "/").unwrap();
        let device = Path::new(&root.source);
        if kernel::block_number(device).is_some() {
            let fault = refuse_used(device, false).unwrap_err();
            assert!(fault.message.contains("is mounted at /, the running system"), "{}", fault.message);
            assert!(refuse_used(device, true).is_ok());
        }
    }
}
