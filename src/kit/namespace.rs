//! The process's own view of the machine's mounts.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::host::{Fault, Result};

/// Gives this process mounts of its own: what others mount is still seen, what it mounts is seen by it and its programs
/// alone, and the kernel undoes all of it when the process ends, however it ends. Called before any thread is started:
/// threads share what their creator had.
///
/// # Errors
/// `host.mounts`: the kernel refuses (no right to, or not in this container).
pub fn private_mounts() -> Result<()> {
    let fail = |error: nix::Error| Fault::io("host.mounts", "make mounts private to this process", error);
    unshare(CloneFlags::CLONE_NEWNS).map_err(fail)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>).map_err(fail)
}

/// Whether this process may do all that root may.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
