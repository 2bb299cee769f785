//! A disk, a partition or an image as a source.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::medium::{Medium, refuse_others};
use crate::host::{Fault, Result};
use crate::kit::fs;
use crate::kit::stream::Source;

/// Which part is read.
#[derive(Debug, Clone, Default)]
pub struct FromOptions {
    /// Bytes to skip.
    pub offset: u64,
    /// Bytes to read; to the end unless said.
    pub size: Option<u64>,
    /// Of an NTFS that was left clean: what is free is not read, and is zeros.
    pub used_only: bool,
}

/// Reads a range of a medium from front to back.
pub struct RawSource {
    medium: Medium,
    at: u64,
    end: u64,
    used: Option<fs::UsedClusters>,
}

/// # Errors
/// - `dd.open`: it is missing, cannot be read, or is neither a file nor a block device
/// - `dd.range`: `offset` and `size` go beyond its end
/// - with `used_only`, those of [`fs::ntfs_used`]: `fs.kind`, `fs.unclean`, `fs.damaged`
pub fn from(path: &Path, options: &FromOptions) -> Result<RawSource> {
    let fail = |error| Fault::io("dd.open", format_args!("read `{}`", path.display()), error);
    refuse_others(path).map_err(fail)?;
    let medium = Medium::of(path, std::fs::File::open(path).map_err(fail)?, fail)?;
    let end = match options.size {
        None => Some(medium.size),
        Some(size) => options.offset.checked_add(size),
    };
    let Some(end) = end.filter(|end| options.offset <= *end && *end <= medium.size) else {
        let size = options.size.map(|size| format!("{size} bytes ")).unwrap_or_default();
        let message = format!("cannot read {size}from offset {}: {}", options.offset, medium.measure());
        return Err(Fault::new("dd.range", message));
    };
    // Only a hint to read ahead further.
    let _ = posix_fadvise(&medium.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
    let used = options.used_only.then(|| fs::ntfs_used(path)).transpose()?;
    Ok(RawSource { medium, at: options.offset, end, used })
}

impl Source for RawSource {
    fn describe(&self) -> String {
        self.medium.name()
    }

    fn size(&self) -> Option<u64> {
        Some(self.end - self.at)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let mut want = buffer.len().min(left);
        if want == 0 {
            return Ok(0);
        }
        if let Some((used, length)) = self.used.as_ref().map(|used| used.stretch(self.at)) {
            want = want.min(usize::try_from(length).unwrap_or(usize::MAX));
            if !used {
                buffer[..want].fill(0);
                self.at += want as u64;
                return Ok(want);
            }
        }
        let what = |at| format!("read `{}` at byte {at}", self.medium.path.display());
        loop {
            match self.medium.file.read_at(&mut buffer[..want], self.at) {
                Ok(0) => {
                    let message = format!("cannot {}: it ends here, {left} bytes early", what(self.at));
                    return Err(Fault::new("dd.read", message));
                }
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::io("dd.read", what(self.at), error)),
            }
        }
    }
}
