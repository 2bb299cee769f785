//! Making way for what the archive brings.

use std::fs::File;

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Makes something by `make`; when the name is taken, removes what stands there and makes it again. A directory is
/// removed only when it is empty. Returns with it whether something was removed.
pub(super) fn replacing<T>(dir: &File, name: &[u8], make: impl Fn() -> nix::Result<T>) -> nix::Result<(T, bool)> {
    match make() {
        Err(Errno::EEXIST) => {}
        made => return made.map(|made| (made, false)),
    }
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(dir, name, UnlinkatFlags::RemoveDir)?,
        Err(Errno::ENOENT) => {}
        removed => removed?,
    }
    make().map(|made| (made, true))
}
