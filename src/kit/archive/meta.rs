//! Owner, mode, attributes and times of what was made, in the order in which they do not undo each other.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::beneath::Dir;
use super::{Entry, Kind, acl};
use crate::host::{Fault, Result};
use crate::kit::tree::show;
use crate::kit::tree::xattrs::{At, is_unsupported};

/// How many warnings are told one by one.
const TOLD: usize = 100;

/// What did not fail but should be known; the first are told, the others counted.
#[derive(Default)]
pub(super) struct Warnings {
    told: Vec<String>,
    more: u64,
}

impl Warnings {
    pub(super) fn add(&mut self, warning: String) {
        if self.told.len() < TOLD {
            self.told.push(warning);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} warnings more", self.more));
        }
        self.told
    }
}

/// What was made: open, or by name in its directory.
pub(super) enum Made<'a> {
    Open(&'a File),
    Name(&'a Dir, &'a [u8]),
}

/// Sets all of `entry` on it. `inherits`: its directory may have given it an ACL of its own.
///
/// What a filesystem has no place for (owners on vfat, attributes on many) is a warning; all else a fault.
pub(super) fn apply(made: &Made, entry: &Entry, inherits: bool, warnings: &mut Warnings) -> Result<()> {
    let path = show(&entry.path);
    let mut outcome = |what: &str, result: io::Result<()>| match result {
        Ok(()) => Ok(()),
        Err(error) if is_unsupported(&error) || error.raw_os_error() == Some(Errno::EPERM as i32) => {
            warnings.add(format!("{what} of `{path}` could not be set: {error}"));
            Ok(())
        }
        Err(error) => Err(Fault::io("tar.write", format_args!("set {what} of `{path}`"), error)),
    };
    let attributes = match made {
        Made::Open(file) => At::Open(file),
        Made::Name(dir, name) => At::Name(dir.fd.as_fd(), name),
    };
    // First the owner: a new one takes setuid bits and capabilities away.
    let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    let owned = match made {
        Made::Open(file) => fchown(file, uid, gid),
        Made::Name(dir, name) => fchownat(&*dir.fd, *name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW),
    };
    outcome("the owner", owned.map_err(io::Error::from))?;
    if entry.kind != Kind::Symlink {
        if inherits || entry.kind == Kind::Directory {
            outcome("the ACL", attributes.remove("system.posix_acl_access"))?;
            if entry.kind == Kind::Directory {
                outcome("the default ACL", attributes.remove("system.posix_acl_default"))?;
            }
        }
        let mode = Mode::from_bits_truncate(entry.mode);
        let set = match made {
            Made::Open(file) => fchmod(file, mode),
            Made::Name(dir, name) => fchmodat(&*dir.fd, *name, mode, FchmodatFlags::FollowSymlink),
        };
        outcome("the mode", set.map_err(io::Error::from))?;
    }
    for (name, value) in &entry.xattrs {
        let what = match name.as_slice() {
            acl::ACCESS => "the ACL".to_string(),
            acl::DEFAULT => "the default ACL".to_string(),
            name => format!("the attribute {}", show(name)),
        };
        outcome(&what, attributes.set(name, value))?;
    }
    let (seconds, nanos) = entry.mtime;
    let mtime = TimeSpec::new(seconds, nanos.into());
    let timed = match made {
        Made::Open(file) => futimens(file, &TimeSpec::UTIME_OMIT, &mtime),
        Made::Name(dir, name) => {
            utimensat(&*dir.fd, *name, &TimeSpec::UTIME_OMIT, &mtime, UtimensatFlags::NoFollowSymlink)
        }
    };
    outcome("the time", timed.map_err(io::Error::from))
}
