//! What the kernel is asked about disks: ioctls without a safe wrapper elsewhere, and /sys.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::{c_char, c_int, c_void};
use nix::sys::stat::{major, minor};

/// `struct blkpg_ioctl_arg` and `struct blkpg_partition` of linux/blkpg.h.
#[repr(C)]
pub(super) struct BlkpgArg {
    op: c_int,
    flags: c_int,
    datalen: c_int,
    data: *mut c_void,
}

#[repr(C)]
struct BlkpgPartition {
    /// Bytes.
    start: i64,
    length: i64,
    pno: c_int,
    devname: [c_char; 64],
    volname: [c_char; 64],
}

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
pub(super) struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// With it the kernel also drops the partitions when the device is cleared, as after a killed process.
const LO_FLAGS_PARTSCAN: u32 = 8;

mod raw {
    use super::{BlkpgArg, LoopConfig};

    nix::ioctl_none_bad!(blkrrpart, 0x125f);
    nix::ioctl_none_bad!(blkflsbuf, 0x1261);
    nix::ioctl_write_ptr_bad!(blkpg, 0x1269, BlkpgArg);
    nix::ioctl_read_bad!(blksszget, 0x1268, nix::libc::c_int);
    nix::ioctl_read!(blkgetsize64, 0x12, 114, u64);
    nix::ioctl_none_bad!(loop_clr_fd, 0x4c01);
    nix::ioctl_write_ptr_bad!(loop_configure, 0x4c0a, LoopConfig);
    nix::ioctl_none_bad!(loop_ctl_get_free, 0x4c82);
}

/// Bytes of a block device.
pub(super) fn device_size(file: &File) -> nix::Result<u64> {
    let mut bytes = 0;
    // SAFETY: the pointer is to a u64 that lives through the call, which is what BLKGETSIZE64 writes.
    unsafe { raw::blkgetsize64(file.as_raw_fd(), &mut bytes) }?;
    Ok(bytes)
}

/// Bytes in a logical sector of a block device.
pub fn sector_size(file: &File) -> nix::Result<u32> {
    let mut bytes: c_int = 0;
    // SAFETY: BLKSSZGET writes an int.
    unsafe { raw::blksszget(file.as_raw_fd(), &mut bytes) }?;
    u32::try_from(bytes).map_err(|_| Errno::EINVAL)
}

/// Makes the kernel read the table of a disk again. EBUSY when a partition is in use, EINVAL without a parser.
pub(super) fn reread(file: &File) -> nix::Result<()> {
    // SAFETY: BLKRRPART takes no argument.
    unsafe { raw::blkrrpart(file.as_raw_fd()) }.map(drop)
}

/// Writes out and forgets what the kernel has cached of a block device.
pub(super) fn flush_buffers(file: &File) -> nix::Result<()> {
    // SAFETY: BLKFLSBUF takes no argument.
    unsafe { raw::blkflsbuf(file.as_raw_fd()) }.map(drop)
}

fn blkpg(file: &File, op: c_int, number: u32, start: u64, length: u64) -> nix::Result<()> {
    let narrow = |value: u64| i64::try_from(value).map_err(|_| Errno::EINVAL);
    let mut part = BlkpgPartition {
        start: narrow(start)?,
        length: narrow(length)?,
        pno: c_int::try_from(number).map_err(|_| Errno::EINVAL)?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let datalen = size_of::<BlkpgPartition>() as c_int;
    let arg = BlkpgArg { op, flags: 0, datalen, data: (&raw mut part).cast() };
    // SAFETY: both structs have the kernel's layout and live through the call.
    unsafe { raw::blkpg(file.as_raw_fd(), &arg) }.map(drop)
}

/// Adds a partition to the kernel's list; start and length in bytes.
pub(super) fn add_partition(disk: &File, number: u32, start: u64, length: u64) -> nix::Result<()> {
    blkpg(disk, 1, number, start, length)
}

/// Takes a partition out of the kernel's list; EBUSY when it is in use.
pub(super) fn delete_partition(disk: &File, number: u32) -> nix::Result<()> {
    blkpg(disk, 2, number, 0, 0)
}

/// The number of a loop device that is free now; another process may take it first.
pub(super) fn free_loop(control: &File) -> nix::Result<u32> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    let number = unsafe { raw::loop_ctl_get_free(control.as_raw_fd()) }?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// Puts `image` behind the loop device `device`; it clears itself when the last one who has it open lets go.
pub(super) fn configure_loop(
    device: &File,
    image: &File,
    name: &Path,
    sector_size: u32,
    write: bool,
) -> nix::Result<()> {
    // SAFETY: plain integers and byte arrays, for which all zeros is a value.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = image.as_raw_fd() as u32;
    config.block_size = sector_size;
    config.info.flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | if write { 0 } else { LO_FLAGS_READ_ONLY };
    let bytes = name.as_os_str().as_encoded_bytes();
    let length = bytes.len().min(63);
    config.info.file_name[..length].copy_from_slice(&bytes[..length]);
    // SAFETY: the struct has the kernel's layout and lives through the call.
    unsafe { raw::loop_configure(device.as_raw_fd(), &config) }.map(drop)
}

pub(super) fn clear_loop(device: &File) -> nix::Result<()> {
    // SAFETY: LOOP_CLR_FD takes no argument.
    unsafe { raw::loop_clr_fd(device.as_raw_fd()) }.map(drop)
}

/// Major and minor number.
pub(super) type Number = (u64, u64);

pub(super) fn number_of(device: u64) -> Number {
    (major(device), minor(device))
}

/// The device number of a block device file; None for anything else.
pub(super) fn block_number(path: &Path) -> Option<Number> {
    let meta = std::fs::metadata(path).ok()?;
    meta.file_type().is_block_device().then(|| number_of(meta.rdev()))
}

/// The folder of a block device in /sys.
pub(super) fn sys_of(number: Number) -> PathBuf {
    let link = PathBuf::from(format!("/sys/dev/block/{}:{}", number.0, number.1));
    link.canonicalize().unwrap_or(link)
}

/// One line of a file in /sys; empty when it is not there.
pub(super) fn sys_line(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

/// Reads `8:1`.
pub(super) fn parse_number(text: &str) -> Option<Number> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Folders of the partitions of a disk, given its own folder in /sys.
pub(super) fn sys_partitions(disk: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(disk) else { return Vec::new() };
    let mut found: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|p| p.join("partition").exists()).collect();
    found.sort();
    found
}

/// The loop devices an image file stands behind, by name: `loop3`.
pub fn holder_of_loop(image: &Path) -> Vec<String> {
    let Ok(own) = std::fs::metadata(image) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let backing = sys_line(&entry.path().join("loop/backing_file"));
        let same = !backing.is_empty()
            && std::fs::metadata(&backing).is_ok_and(|meta| (meta.dev(), meta.ino()) == (own.dev(), own.ino()));
        if same {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}
