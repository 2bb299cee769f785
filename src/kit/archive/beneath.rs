//! Directories below the root, reached name by name, so that nothing leads out of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};

use crate::host::{Fault, Result};
use crate::kit::tree::show;
use crate::kit::tree::xattrs::At;

/// Directories kept open: more than paths are deep, fewer than a process may open.
const KEPT: usize = 64;

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// An open directory.
#[derive(Clone)]
pub(super) struct Dir {
    pub fd: Arc<File>,
    /// It has a default ACL: what is made in it gets one that the archive knows nothing of.
    pub inherits: bool,
}

/// The root of an extraction and the way down to the directory used last.
pub(super) struct Root {
    top: Dir,
    way: Vec<(Vec<u8>, Option<Dir>)>,
}

/// The names of a path in an archive. `.` and a leading `/` mean nothing: all paths start at the root.
///
/// # Errors
/// `tar.escape`: a `..`.
pub(super) fn names(path: &[u8]) -> Result<Vec<&[u8]>> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
    if names.contains(&&b".."[..]) {
        return Err(escape(format!("the member `{}` has a `..` in its path", show(path))));
    }
    Ok(names)
}

fn escape(message: String) -> Fault {
    Fault::new("tar.escape", message).hint("an archive must not reach outside the folder it is unpacked into")
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // The root itself may be reached by a symbolic link: that is the caller's word, not the archive's.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(path, flags, Mode::empty())
            .map_err(|error| Fault::io("tar.open", format_args!("unpack into `{}`", path.display()), error))?;
        Ok(Root { top: dir(File::from(fd)), way: Vec::new() })
    }

    /// Forgets the way down: a directory was removed, or is no directory any more.
    pub(super) fn forget(&mut self) {
        self.way.clear();
    }

    /// Opens the directory `names`. With `create`, those missing are made, with mode 0755 until an entry says
    /// otherwise.
    ///
    /// # Errors
    /// `tar.escape`: a symbolic link stands in the way; `tar.write`: something else does.
    pub(super) fn dir(&mut self, names: &[&[u8]], create: bool) -> Result<Dir> {
        let mut known = self.way.iter().zip(names).take_while(|((known, _), name)| known == *name).count();
        while known > 0 && self.way[known - 1].1.is_none() {
            known -= 1;
        }
        self.way.truncate(known);
        let mut current = match self.way.last() {
            Some((_, Some(dir))) => dir.clone(),
            _ => self.top.clone(),
        };
        for (at, name) in names.iter().enumerate().skip(known) {
            current = dir(step(&current, names, at, create)?);
            self.way.push((name.to_vec(), Some(current.clone())));
            if at >= KEPT {
                self.way[at - KEPT].1 = None;
            }
        }
        Ok(current)
    }
}

fn dir(fd: File) -> Dir {
    // Where it cannot be told there is none.
    let inherits = At::Open(&fd).get("system.posix_acl_default".as_ref()).is_ok_and(|acl| acl.is_some());
    Dir { fd: Arc::new(fd), inherits }
}

fn step(parent: &Dir, names: &[&[u8]], at: usize, create: bool) -> Result<File> {
    let name = names[at];
    let mut opened = openat(&*parent.fd, name, DIRECTORY, Mode::empty());
    if create && matches!(opened, Err(Errno::ENOENT)) {
        match mkdirat(&*parent.fd, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => opened = openat(&*parent.fd, name, DIRECTORY, Mode::empty()),
            Err(error) => opened = Err(error),
        }
    }
    opened.map(File::from).map_err(|error| {
        let path = names[..=at].join(&b'/');
        let stat = fstatat(&*parent.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let is_link = stat.is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits());
        match is_link {
            true => escape(format!("a member's path leads through the symbolic link `{}`", show(&path))),
            false => Fault::io("tar.write", format_args!("open the directory `{}`", show(&path)), error),
        }
    })
}
