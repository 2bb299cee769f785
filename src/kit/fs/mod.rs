//! Filesystems: made, mounted, probed; and what stands in them.

mod care;
mod files;
mod fstab;
mod holders;
mod lock;
mod make;
mod mount;
mod ntfs;
mod probe;
mod probe_fat;
mod probe_ntfs;
mod programs;
mod settle;
mod tree;

pub use care::{check, flush, grow, write_out};
pub use files::{copy, hash, link, read, write};
pub use fstab::{FstabEntry, FstabLine, fstab};
pub use lock::lock;
pub use make::{Mkfs, mkfs, swap};
pub use mount::{Mounted, mount, unmount};
pub use ntfs::{NtfsState, UsedClusters, ntfs, ntfs_bytes, ntfs_used};
pub use probe::{Probe, probe, probe_bytes};
pub use settle::{freeze, settle};
pub use tree::{exists, list, mkdir, real, remove, size, target, temp};
