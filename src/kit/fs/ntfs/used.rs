//! Which clusters of an NTFS are in use: what a copy has to hold.

use std::path::Path;

use super::state::with_volume;
use super::volume::BITMAP;
use crate::host::{Fault, Result};

/// More than an NTFS of 64 TiB in clusters of 4 KiB has.
const MOST: u64 = 2 << 30;

/// A bit for each cluster.
pub struct UsedClusters {
    cluster: u64,
    clusters: u64,
    bits: Vec<u8>,
}

/// # Errors
/// `fs.open`; `fs.kind`: no NTFS; `fs.damaged`: it cannot be told; `fs.unclean`: it is dirty or hibernated, so that its bitmap
/// is not to be believed.
pub fn ntfs_used(device: &Path) -> Result<UsedClusters> {
    let state = super::ntfs(device)?;
    if !state.clean {
        let message = format!(
            "what is in use of the NTFS on `{}` cannot be told: {}",
            device.display(),
            state.reasons.join("; ")
        );
        return Err(
            Fault::new("fs.unclean", message).hint("copy all of it, or let Windows shut down: `shutdown /s /t 0`")
        );
    }
    with_volume(device, |volume, _| {
        let map = volume.data(BITMAP)?;
        let length = Some(volume.clusters.div_ceil(8)).filter(|length| *length <= MOST)?;
        let bits = volume.bytes(&map, 0, usize::try_from(length).ok()?)?;
        let whole = bits.len() as u64 == length;
        whole.then_some(UsedClusters { cluster: volume.cluster, clusters: volume.clusters, bits })
    })
}

impl UsedClusters {
    /// Whether the byte at `at` is in use, and how many bytes from there on are alike. What lies behind the clusters is in use.
    pub fn stretch(&self, at: u64) -> (bool, u64) {
        let first = at / self.cluster;
        if first >= self.clusters {
            return (true, u64::MAX - at);
        }
        let used = self.bit(first);
        let mut next = first + 1;
        while next < self.clusters && self.bit(next) == used {
            // Eight alike at a time: most of a volume is long stretches.
            let alike = next.is_multiple_of(8) && self.bits[(next / 8) as usize] == if used { 0xff } else { 0 };
            next += if alike { 8 } else { 1 };
        }
        (used, next.min(self.clusters) * self.cluster - at)
    }

    fn bit(&self, cluster: u64) -> bool {
        self.bits[(cluster / 8) as usize] >> (cluster % 8) & 1 != 0
    }
}
