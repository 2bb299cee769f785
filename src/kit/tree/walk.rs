//! A tree, entry by entry, in one order.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::{Exclude, Fate, Options, show};
use crate::host::{Fault, Result};

/// More entries than this vanishing under the walk means that somebody takes the tree away.
const VANISHED: u64 = 100;

/// One entry, not followed when it is a link.
pub struct Item {
    /// Relative to the root, without a leading slash; empty for the root itself.
    pub path: Vec<u8>,
    /// The directory it stands in; for the root, the root itself.
    pub dir: Arc<OwnedFd>,
    /// Its name in `dir`; `.` for the root.
    pub name: Vec<u8>,
    pub stat: FileStat,
    /// A directory is open already.
    pub opened: Option<Arc<OwnedFd>>,
}

impl Item {
    pub fn format(&self) -> SFlag {
        SFlag::from_bits_truncate(self.stat.st_mode & SFlag::S_IFMT.bits())
    }

    pub fn is_dir(&self) -> bool {
        self.opened.is_some()
    }

    /// Opens a regular file for reading. `None`: it vanished since it was listed, or is no regular file any more.
    pub fn open(&self) -> Result<Option<(OwnedFd, FileStat)>> {
        // Were it a FIFO by now, opening it must not wait for a writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd = match openat(&*self.dir, self.name.as_slice(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
            Err(error) => return Err(failed("open", &self.path, error)),
        };
        let stat = fstat(&fd).map_err(|error| failed("examine", &self.path, error))?;
        let regular = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        Ok(regular.then_some((fd, stat)))
    }
}

/// `cannot read `usr/bin/foo`: Input/output error (os error 5)`.
pub(crate) fn failed(verb: &str, path: &[u8], error: impl Into<std::io::Error>) -> Fault {
    Fault::io("tree.read", format_args!("{verb} `{}`", show(path)), error)
}

struct Frame {
    dir: Arc<OwnedFd>,
    names: std::vec::IntoIter<Vec<u8>>,
    path: Vec<u8>,
}

/// Yields the root, then depth first all below, the names of each directory sorted by bytes.
///
/// Works on a live system. An entry that vanishes between listing and examining is a warning, as in GNU tar; when
/// the root itself vanishes, or over a hundred entries or half of all, the walk fails: what is left is not the tree
/// that was asked for. Sockets are left out with a warning: they mean nothing without the program behind them.
pub struct Walker {
    root: PathBuf,
    top: Arc<OwnedFd>,
    /// The filesystems that are walked; all of them where it is `None`.
    devices: Option<Vec<u64>>,
    exclude: Exclude,
    stack: Vec<Frame>,
    started: bool,
    seen: u64,
    vanished: u64,
    warnings: Vec<String>,
    /// Directories that something was left out of.
    partial: Vec<Vec<u8>>,
}

impl Walker {
    /// # Errors
    /// `tree.open`: `root` is missing, no directory or not to be read; `tree.pattern`: see [`Exclude::new`].
    pub fn open(root: &Path, options: &Options) -> Result<Self> {
        let exclude = options.exclusion()?;
        let what = || format!("open the tree `{}`", root.display());
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let top = open(root, flags, Mode::empty()).map_err(|error| Fault::io("tree.open", what(), error))?;
        let stat = fstat(&top).map_err(|error| Fault::io("tree.open", what(), error))?;
        // One that is not there has no filesystem of its own. Links lead elsewhere and are not followed.
        let inner = options.mounts.iter().filter_map(|dir| {
            let dir = dir.trim_matches('/');
            let found = fstatat(&top, dir, AtFlags::AT_SYMLINK_NOFOLLOW).ok().filter(|_| !dir.is_empty())?;
            Some(found.st_dev)
        });
        let devices = options.one_file_system.then(|| std::iter::once(stat.st_dev).chain(inner).collect());
        Ok(Walker {
            root: root.to_path_buf(),
            top: Arc::new(top),
            devices,
            exclude,
            stack: Vec::new(),
            started: false,
            seen: 0,
            vanished: 0,
            warnings: Vec::new(),
            partial: Vec::new(),
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was noticed since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The directories that a pattern left something out of.
    pub fn take_partial(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.partial)
    }

    pub fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// The next entry; `None` once the whole tree was walked and still stands.
    ///
    /// # Errors
    /// `tree.read`: a directory cannot be read; `tree.vanished`: the tree was taken away meanwhile.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        if !self.started {
            self.started = true;
            let stat = fstat(&*self.top).map_err(|error| failed("examine", b"", error))?;
            let opened =
                openat(&*self.top, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                    .map_err(|_| self.gone())?;
            let item = Item {
                path: Vec::new(),
                dir: self.top.clone(),
                name: b".".to_vec(),
                stat,
                opened: Some(Arc::new(opened)),
            };
            self.descend(&item)?;
            return Ok(Some(item));
        }
        loop {
            let Some(frame) = self.stack.last_mut() else {
                self.still_there()?;
                return Ok(None);
            };
            let Some(name) = frame.names.next() else {
                self.stack.pop();
                continue;
            };
            let dir = frame.dir.clone();
            let mut path = frame.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            if let Some(item) = self.examine(dir, name, path)? {
                return Ok(Some(item));
            }
        }
    }

    fn examine(&mut self, dir: Arc<OwnedFd>, name: Vec<u8>, path: Vec<u8>) -> Result<Option<Item>> {
        self.seen += 1;
        let stat = match fstatat(&*dir, name.as_slice(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return self.missed(&path).map(|()| None),
            Err(error) => return Err(failed("examine", &path, error)),
        };
        let mut item = Item { path, dir, name, stat, opened: None };
        let is_dir = item.format() == SFlag::S_IFDIR;
        let fate = self.exclude.fate(&item.path, is_dir);
        if fate == Fate::LeftOut {
            let parent = super::parent(&item.path);
            if self.partial.last().is_none_or(|last| last != parent) {
                self.partial.push(parent.to_vec());
            }
            return Ok(None);
        }
        if item.format() == SFlag::S_IFSOCK {
            self.warnings.push(format!("`{}` is a socket and was left out", show(&item.path)));
            return Ok(None);
        }
        if is_dir {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            match openat(&*item.dir, item.name.as_slice(), flags, Mode::empty()) {
                Ok(fd) => item.opened = Some(Arc::new(fd)),
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return self.missed(&item.path).map(|()| None),
                Err(error) => return Err(failed("open", &item.path, error)),
            }
            if fate == Fate::Kept {
                self.descend(&item)?;
            }
        }
        Ok(Some(item))
    }

    fn descend(&mut self, item: &Item) -> Result<()> {
        let Some(dir) = item.opened.clone() else { return Ok(()) };
        if self.devices.as_ref().is_some_and(|devices| !devices.contains(&item.stat.st_dev)) {
            return Ok(());
        }
        let names = names_of(&dir).map_err(|error| failed("read directory", &item.path, error))?;
        self.stack.push(Frame { dir, names: names.into_iter(), path: item.path.clone() });
        Ok(())
    }

    /// Counts an entry that was listed and is gone.
    pub fn missed(&mut self, path: &[u8]) -> Result<()> {
        self.vanished += 1;
        self.warnings.push(format!("`{}` vanished before it could be read", show(path)));
        if self.vanished > VANISHED {
            return Err(self.gone());
        }
        self.standing()
    }

    fn standing(&self) -> Result<()> {
        // A directory that was removed has no links left.
        match fstat(&*self.top) {
            Ok(stat) if stat.st_nlink > 0 => Ok(()),
            _ => Err(self.gone()),
        }
    }

    fn still_there(&self) -> Result<()> {
        if self.vanished > self.seen / 2 {
            return Err(self.gone());
        }
        self.standing()
    }

    fn gone(&self) -> Fault {
        let root = self.root.display();
        Fault::new(
            "tree.vanished",
            format!("the tree `{root}` was taken away while it was read: {} entries are gone", self.vanished),
        )
        .hint("clone from a tree that nobody removes meanwhile, a snapshot for instance")
    }
}

fn names_of(dir: &OwnedFd) -> std::io::Result<Vec<Vec<u8>>> {
    let mut list = Dir::from_fd(dir.try_clone()?)?;
    let mut names = Vec::new();
    for entry in list.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}
