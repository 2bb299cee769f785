//! The tray of an optical drive.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::host::{Fault, Result};

mod ioctl {
    // linux/cdrom.h
    nix::ioctl_write_int_bad!(cdrom_lockdoor, 0x5329);
    nix::ioctl_none_bad!(cdrom_eject, 0x5309);
}

/// Opens the drive's tray, so that the next boot does not start from it again.
///
/// # Errors
/// `node.eject`: no such drive, a disc that is mounted, or a device that has no tray.
pub fn eject(device: &Path) -> Result<()> {
    let fail = |error| Fault::io("node.eject", format_args!("eject `{}`", device.display()), error);
    // Not waiting for a disc: there may be none.
    let drive = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(device).map_err(fail)?;
    // SAFETY: both take a number or nothing. That a drive knows no lock is no reason to stop.
    unsafe {
        let _ = ioctl::cdrom_lockdoor(drive.as_raw_fd(), 0);
        ioctl::cdrom_eject(drive.as_raw_fd()).map(drop).map_err(|error| fail(error.into()))
    }
}
