//! The last look before a raw device is overwritten.

use std::path::Path;

use crate::host::Result;
use crate::kit::disk;

/// Called at the door before [`super::into`] opens its target.
///
/// # Errors
/// `disk.busy`: the target, or the disk it is a part of, is mounted, swapped on, or built on; unless `force`.
pub fn guard(path: &Path, force: bool) -> Result<()> {
    disk::refuse_used(path, force)
}
