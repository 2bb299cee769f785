//! NTFS, as far as one that copies it has to know it: whether it was left clean, and what of it is in use.
//!
//! Layouts from Linux, fs/ntfs3/ntfs.h; what counts as clean from ntfs-3g, libntfs-3g/volume.c and logfile.c.

pub(super) mod field;
mod record;
mod state;
mod used;
mod volume;

pub use state::{NtfsState, ntfs, ntfs_bytes};
pub use used::{UsedClusters, ntfs_used};

#[cfg(test)]
mod tests;
