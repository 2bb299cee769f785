//! A filesystem whose every byte is where it belongs on its device.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::syncfs;

use crate::host::{Fault, Result};

mod ioctl {
    // linux/fs.h
    nix::ioctl_readwrite!(freeze, b'X', 119, libc::c_int);
    nix::ioctl_readwrite!(thaw, b'X', 120, libc::c_int);
}

/// Writes out all of the filesystem that `path` is on, and empties its journal: nothing is left that the next mount would
/// write over what somebody put on the device itself since, as a boot loader does with the first block. By freezing and thawing
/// (FIFREEZE, linux/fs.h); where a filesystem knows no such thing, as vfat, by syncfs(2) alone.
///
/// # Errors
/// `fs.settle`: there is no such path, it may not be, or the device does not take it.
pub fn settle(path: &Path) -> Result<()> {
    let fail = |error: std::io::Error| {
        Fault::io("fs.settle", format_args!("write out the filesystem of `{}`", path.display()), error)
    };
    let place = File::open(path).map_err(fail)?;
    syncfs(&place).map_err(|error| fail(error.into()))?;
    match freeze(&place) {
        Ok(()) => thaw(&place).map_err(|error| fail(error.into())),
        Err(Errno::EOPNOTSUPP | Errno::ENOTTY) => Ok(()),
        Err(error) => Err(fail(error.into())),
    }
}

/// As [`settle`], and from now on nobody writes to it: for the last moment of a machine.
///
/// # Errors
/// Those of FIFREEZE.
pub fn freeze(place: &File) -> nix::Result<()> {
    let mut unused = 0;
    // SAFETY: the kernel takes no notice of the number, which outlives the call.
    unsafe { ioctl::freeze(place.as_raw_fd(), &mut unused) }.map(drop)
}

fn thaw(place: &File) -> nix::Result<()> {
    let mut unused = 0;
    // SAFETY: as above.
    unsafe { ioctl::thaw(place.as_raw_fd(), &mut unused) }.map(drop)
}
