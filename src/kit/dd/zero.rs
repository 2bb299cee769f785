//! Zeros that are not written: holes in files, the device's own way on devices.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, fallocate};

use super::medium::Medium;

/// Zeros are looked for in pieces of this size, aligned on the medium; a page cache page is never cut by it.
pub(super) const GRAIN: usize = 64 << 10;

static ZEROS: [u8; GRAIN] = [0; GRAIN];

mod ioctl {
    // linux/fs.h: BLKZEROOUT takes offset and length. The range reads as zeros afterwards, whatever the device can do.
    nix::ioctl_write_ptr_bad!(blkzeroout, 0x127f, [u64; 2]);
}

/// One stretch of data, all zeros or not.
pub(super) struct Stretch {
    pub len: usize,
    pub zero: bool,
}

/// The first stretch of `data`, which lies at `at` on the medium: as many grains as are alike.
pub(super) fn stretch(data: &[u8], at: u64) -> Stretch {
    let mut len = 0;
    let mut zero = false;
    while len < data.len() {
        let to_edge = GRAIN - ((at + len as u64) % GRAIN as u64) as usize;
        let piece = &data[len..data.len().min(len + to_edge)];
        // A piece that is no whole grain is not worth a call.
        let is_zero = piece.len() == GRAIN && piece == ZEROS;
        if len > 0 && is_zero != zero {
            break;
        }
        zero = is_zero;
        len += piece.len();
    }
    Stretch { len, zero }
}

/// Makes a range read as zeros. `fresh`: it lies in a file that nobody wrote to, so there is nothing to do.
pub(super) fn clear(medium: &Medium, at: u64, len: u64, fresh: bool) -> io::Result<()> {
    if fresh {
        return Ok(());
    }
    // On a device this discards what then reads as zeros, and fails where the device cannot promise that.
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let mut done = fallocate(&medium.file, flags, at.cast_signed(), len.cast_signed());
    if done.is_err() && medium.is_device {
        // SAFETY: the kernel reads two numbers; alignment and bounds are its to check.
        done = unsafe { ioctl::blkzeroout(medium.file.as_raw_fd(), &[at, len]) }.map(drop);
    }
    if done.is_ok() {
        return Ok(());
    }
    let mut done = 0;
    while done < len {
        let count = (len - done).min(GRAIN as u64);
        medium.file.write_all_at(&ZEROS[..count as usize], at + done)?;
        done += count;
    }
    Ok(())
}

/// Clears the header of a backup GPT: in the last sector, of 512 bytes or of 4096.
pub(super) fn clear_backup_table(medium: &Medium) -> io::Result<()> {
    for sector in [512, 4096] {
        let Some(at) = medium.size.checked_sub(sector) else { continue };
        let mut signature = [0; 8];
        medium.file.read_exact_at(&mut signature, at)?;
        if &signature == b"EFI PART" {
            medium.file.write_all_at(&ZEROS[..sector as usize], at)?;
        }
    }
    Ok(())
}
