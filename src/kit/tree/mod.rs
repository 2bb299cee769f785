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
pub use pattern::{Exclude, Fate};
pub use show::show;
pub use walk::{Item, Walker};

use crate::host::{Opts, Result};

/// Which part of a tree is meant.
#[derive(Debug, Clone)]
pub struct Options {
    /// Patterns of what is left out, relative to the root; see [`Exclude`].
    pub exclude: Vec<String>,
    /// A directory that a pattern names plainly stays, empty; see [`Exclude::keep_dirs`].
    pub keep_dirs: bool,
    /// Directories that another filesystem is mounted on are kept, what stands in them is left out. As GNU tar's
    /// `--one-file-system`.
    pub one_file_system: bool,
    /// With `one_file_system`: the directories, from the root of the tree, whose filesystems belong to it all the same.
    pub mounts: Vec<String>,
    /// Modification times belong to the digest and the comparison. No meaning for an archive, which always has them.
    pub times: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { exclude: Vec::new(), keep_dirs: false, one_file_system: false, mounts: Vec::new(), times: true }
    }
}

impl Options {
    /// Reads `exclude`, `keep_dirs`, `one_file_system`, `mounts` and `times`, which mean the same to everything that walks
    /// a tree.
    ///
    /// # Errors
    /// `<module>.option`: one is of another type.
    pub fn read(opts: &Opts) -> Result<Self> {
        let times = opts.raw("times").is_none() || opts.flag("times")?;
        Ok(Options {
            exclude: opts.texts("exclude")?,
            keep_dirs: opts.flag("keep_dirs")?,
            one_file_system: opts.flag("one_file_system")?,
            mounts: opts.texts("mounts")?,
            times,
        })
    }

    /// What is left out, as the walk and a manifest that was read before look at it.
    ///
    /// # Errors
    /// `tree.pattern`: see [`Exclude::new`].
    pub fn exclusion(&self) -> Result<Exclude> {
        Ok(Exclude::new(&self.exclude)?.keep_dirs(self.keep_dirs))
    }
}

/// The directory that `path` stands in; the root's is the root.
fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}
