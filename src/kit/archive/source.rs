//! A tree as a stream of tar.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::readlinkat;
use nix::sys::stat::{FileStat, SFlag, major, minor};

use super::body::Body;
use super::encode::{encode, stored};
use super::{BLOCK, Entry, Kind, padding, sparse};
use crate::host::{Fault, Result};
use crate::kit::stream::{Again, Source};
use crate::kit::tree::xattrs::At;
use crate::kit::tree::{Item, Options, Walker, show};

/// Packs a directory: names sorted by bytes, `./` first and before each name, so that the same tree is the same
/// archive.
///
/// Made for live systems, where files change while they are read. Decided as an administrator would:
/// - a file that grows (a log) is packed with the length it had when it was opened, with a warning;
/// - a file that becomes shorter, or cannot be read, ends the stream with a fault: no bytes are made up;
/// - what vanishes before it is opened is left out with a warning, unless the tree itself is taken away.
pub struct TarSource {
    walker: Walker,
    /// Files with several names: the first one, as it stands in the archive.
    names: HashMap<(u64, u64), Vec<u8>>,
    /// Headers and padding on their way out.
    pending: Vec<u8>,
    sent: usize,
    body: Option<Body>,
    state: State,
    entries: u64,
    warn: Option<Warn>,
    options: Options,
}

type Warn = Box<dyn FnMut(&str) + Send>;

enum State {
    Walking,
    /// The end of the archive stands in `pending`.
    Ending,
    Failed(Fault),
}

impl TarSource {
    /// # Errors
    /// `tree.open`, `tree.pattern`: see [`Walker::open`].
    pub fn new(dir: &Path, options: &Options) -> Result<Self> {
        Ok(TarSource {
            walker: Walker::open(dir, options)?,
            names: HashMap::new(),
            pending: Vec::new(),
            sent: 0,
            body: None,
            state: State::Walking,
            entries: 0,
            warn: None,
            options: options.clone(),
        })
    }

    /// Where warnings go; they are dropped otherwise.
    pub fn on_warning(mut self, warn: impl FnMut(&str) + Send + 'static) -> Self {
        self.warn = Some(Box::new(warn));
        self
    }

    /// Entries packed so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            if self.sent < self.pending.len() {
                let length = rest.len().min(self.pending.len() - self.sent);
                rest[..length].copy_from_slice(&self.pending[self.sent..self.sent + length]);
                self.sent += length;
                filled += length;
            } else if let Some(body) = &mut self.body {
                match body.read(rest)? {
                    0 => self.close()?,
                    length => filled += length,
                }
            } else if matches!(self.state, State::Ending) {
                break;
            } else {
                self.advance()?;
            }
        }
        Ok(filled)
    }

    /// Puts the next entry's headers, or the end of the archive, into `pending`.
    fn advance(&mut self) -> Result<()> {
        self.sent = 0;
        let next = self.walker.next_item();
        self.tell();
        match next? {
            None => {
                self.pending = vec![0; 2 * BLOCK];
                self.state = State::Ending;
            }
            Some(item) => {
                self.pending.clear();
                match self.pack(&item)? {
                    Some(entry) => {
                        self.pending = encode(&entry);
                        self.entries += 1;
                    }
                    None => {
                        let missed = self.walker.missed(&item.path);
                        self.tell();
                        missed?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self) {
        for warning in self.walker.take_warnings() {
            if let Some(warn) = &mut self.warn {
                warn(&warning);
            }
        }
    }

    /// `None`: it vanished.
    fn pack(&mut self, item: &Item) -> Result<Option<Entry>> {
        let mut name = [b"./", item.path.as_slice()].concat();
        let kind = match item.format() {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFLNK => Kind::Symlink,
            SFlag::S_IFCHR => Kind::CharDevice,
            SFlag::S_IFBLK => Kind::BlockDevice,
            _ => Kind::Fifo,
        };
        let key = (item.stat.st_dev, item.stat.st_ino);
        if kind == Kind::Directory && !item.path.is_empty() {
            name.push(b'/');
        } else if kind != Kind::Directory
            && item.stat.st_nlink > 1
            && let Some(first) = self.names.get(&key)
        {
            let entry = Entry { target: first.clone(), ..Entry::new(name, Kind::HardLink) };
            return Ok(Some(described(entry, &item.stat)));
        }
        let mut entry = Entry::new(name, kind);
        let mut stat = item.stat;
        let attributes = match kind {
            Kind::File => {
                let Some((fd, now)) = item.open()? else { return Ok(None) };
                let file = File::from(fd);
                stat = now;
                entry.size = stat.st_size as u64;
                if (stat.st_blocks as u64) * 512 < entry.size {
                    entry.extents = sparse::of_file(&file, entry.size).map_err(|error| failed(item, error))?;
                }
                let attributes = At::Open(&file).all();
                let mut extents = entry.extents.clone().unwrap_or_else(|| vec![(0, entry.size)]);
                extents.reverse();
                extents.retain(|(_, length)| *length > 0);
                self.body = Some(Body { file, path: item.path.clone(), stat, extents, stored: stored(&entry) });
                attributes
            }
            Kind::Directory => match &item.opened {
                Some(fd) => fd.try_clone().and_then(|fd| At::Open(&File::from(fd)).all()),
                None => Ok(Vec::new()),
            },
            Kind::Symlink => match readlinkat(&*item.dir, item.name.as_slice()) {
                Ok(target) => {
                    entry.target = target.as_bytes().to_vec();
                    At::Name(item.dir.as_fd(), &item.name).all()
                }
                Err(Errno::ENOENT | Errno::EINVAL) => return Ok(None),
                Err(error) => return Err(failed(item, error)),
            },
            _ => {
                if kind != Kind::Fifo {
                    entry.device = (major(stat.st_rdev), minor(stat.st_rdev));
                }
                At::Name(item.dir.as_fd(), &item.name).all()
            }
        };
        entry.xattrs = match attributes {
            Ok(xattrs) => xattrs,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(item, error)),
        };
        if kind != Kind::Directory && stat.st_nlink > 1 {
            self.names.insert(key, entry.path.clone());
        }
        Ok(Some(described(entry, &stat)))
    }

    /// The end of a file: was it the same all the time?
    fn close(&mut self) -> Result<()> {
        let Some(body) = self.body.take() else { return Ok(()) };
        if let Some(warning) = body.changed()? {
            self.walker.warn(warning);
            self.tell();
        }
        self.sent = 0;
        self.pending.clear();
        self.pending.resize(padding(body.stored), 0);
        Ok(())
    }
}

fn failed(item: &Item, error: impl Into<std::io::Error>) -> Fault {
    Fault::io("tree.read", format_args!("read `{}`", show(&item.path)), error)
}

fn described(entry: Entry, stat: &FileStat) -> Entry {
    Entry {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        ..entry
    }
}

impl Source for TarSource {
    fn describe(&self) -> String {
        format!("tar of {}", self.walker.root().display())
    }

    fn again(&self) -> Option<Again> {
        let (dir, options) = (self.walker.root().to_path_buf(), self.options.clone());
        Some(Arc::new(move || Ok(Box::new(TarSource::new(&dir, &options)?))))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if let State::Failed(fault) = &self.state {
            return Err(fault.clone());
        }
        self.fill(buffer).inspect_err(|fault| {
            self.body = None;
            self.state = State::Failed(fault.clone());
        })
    }
}
