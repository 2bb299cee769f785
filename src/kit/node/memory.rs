//! The first process of a second boot was started from the installed system's disk, and has to let go of it: a file that runs
//! keeps its filesystem from being put away in order once it is removed.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use crate::host::{Fault, Result};

/// Goes on as the same program from a copy in memory, where the root is on a disk. Returns where that is done, or not needed.
///
/// # Errors
/// `node.memory`: no room for it, or the kernel refuses.
pub fn move_to_memory() -> Result<()> {
    let fail = |error: std::io::Error| Fault::io("node.memory", "go on from memory", error);
    let kind = statfs("/").map_err(|error| fail(error.into()))?.filesystem_type();
    let program = std::fs::read_link("/proc/self/exe").map_err(fail)?;
    if kind == TMPFS_MAGIC || kind == RAMFS || program.to_string_lossy().starts_with("/memfd:") {
        return Ok(());
    }
    let copy = memfd_create(c"kar", MFdFlags::MFD_CLOEXEC).map_err(|error| fail(error.into()))?;
    let mut copy = File::from(copy);
    std::io::copy(&mut File::open("/proc/self/exe").map_err(fail)?, &mut copy).map_err(fail)?;
    let text = |word: std::ffi::OsString| CString::new(word.into_vec()).unwrap_or_default();
    let words: Vec<CString> = std::env::args_os().map(text).collect();
    let env: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')).unwrap_or_default())
        .collect();
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap_or_default();
    match nix::unistd::execve(&path, &words, &env) {
        Ok(never) => match never {},
        Err(error) => Err(fail(error.into())),
    }
}

/// Of the first filesystem that a kernel makes.
const RAMFS: FsType = FsType(0x8584_58f6);
