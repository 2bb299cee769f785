//! Trees of files: walked in one order, digested, compared.
//!
//! `archive` walks with the same [`Walker`], so that what is packed and what is compared are the same entries.

mod compare;
mod content;
mod digest;
mod manifest;
mod pattern;
mod show;
mod walk;
pub(crate) mod xattrs;

pub use compare::{Difference, compare};
pub use digest::digest;
pub use manifest::{Entry, Kind, Manifest};
pub use pattern::Exclude;
pub use show::show;
pub use walk::{Item, Walker};

use crate::host::{Opts, Result};

/// Which part of a tree is meant.
#[derive(Debug, Clone)]
pub struct Options {
    /// Patterns of what is left out, relative to the root; see [`Exclude`].
    pub exclude: Vec<String>,
    /// Directories that another filesystem is mounted on are kept, what stands in them is left out. As GNU tar's
    /// `--one-file-system`.
    pub one_file_system: bool,
    /// Modification times belong to the digest and the comparison. No meaning for an archive, which always has them.
    pub times: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { exclude: Vec::new(), one_file_system: false, times: true }
    }
}

impl Options {
    /// Reads `exclude`, `one_file_system` and `times`, which mean the same to everything that walks a tree.
    ///
    /// # Errors
    /// `<module>.option`: one is of another type.
    pub fn read(opts: &Opts) -> Result<Self> {
        let times = opts.raw("times").is_none() || opts.flag("times")?;
        Ok(Options { exclude: opts.texts("exclude")?, one_file_system: opts.flag("one_file_system")?, times })
    }
}

/// The directory that `path` stands in; the root's is the root.
fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}
