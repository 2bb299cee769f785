//! A tree's manifest, files read side by side.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use nix::errno::Errno;
use nix::fcntl::readlinkat;
use nix::sys::stat::{FileStat, SFlag, major, minor};

use super::walk::failed;
use super::xattrs::At;
use super::{Entry, Item, Kind, Manifest, Options, Walker, content, show};
use crate::host::{Cancel, Fault, Result};

/// More threads than this find no more disk to read from.
const THREADS: usize = 2;

struct Shared {
    walker: Walker,
    /// Files with several names: the first one.
    names: HashMap<(u64, u64), Vec<u8>>,
    next: usize,
    failed: Option<Fault>,
}

/// Walks `dir` and reads all of it.
///
/// # Errors
/// `tree.open`, `tree.read`, `tree.vanished`, `tree.pattern`: see [`Walker`]; `tree.changed`: a file became
/// shorter while it was read; `host.stopped`: `cancel` was set.
pub fn digest(dir: &Path, options: &Options, cancel: &Cancel) -> Result<Manifest> {
    let walker = Walker::open(dir, options)?;
    let shared = Mutex::new(Shared { walker, names: HashMap::new(), next: 0, failed: None });
    let mut entries: Vec<(usize, Entry)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| work(&shared, cancel))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    let mut shared = shared.into_inner().expect("a worker does not panic");
    if let Some(fault) = shared.failed {
        return Err(fault);
    }
    entries.sort_unstable_by_key(|(at, _)| *at);
    let mut entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
    let partial: HashSet<Vec<u8>> = shared.walker.take_partial().into_iter().collect();
    entries.iter_mut().for_each(|entry| entry.partial = partial.contains(&entry.path));
    Ok(Manifest::new(entries, options.times, shared.walker.take_warnings()))
}

fn work(shared: &Mutex<Shared>, cancel: &Cancel) -> Vec<(usize, Entry)> {
    let mut buffer = vec![0; content::BLOCK];
    let mut entries = Vec::new();
    loop {
        let lock = || shared.lock().expect("a worker does not panic");
        let mut state = lock();
        if state.failed.is_some() {
            return entries;
        }
        let next = if cancel.is_set() { Err(Fault::stopped()) } else { state.walker.next_item() };
        let (at, item, first) = match next {
            Ok(Some(item)) => {
                let first = first_name(&mut state.names, &item);
                state.next += 1;
                (state.next, item, first)
            }
            Ok(None) => return entries,
            Err(fault) => {
                state.failed = Some(fault);
                return entries;
            }
        };
        drop(state);
        match entry(&item, first, &mut buffer, cancel) {
            Ok(Some(entry)) => entries.push((at, entry)),
            Ok(None) => {
                let mut state = lock();
                let missed = state.walker.missed(&item.path);
                state.failed = state.failed.take().or(missed.err());
            }
            Err(fault) => {
                lock().failed.get_or_insert(fault);
                return entries;
            }
        }
    }
}

fn first_name(names: &mut HashMap<(u64, u64), Vec<u8>>, item: &Item) -> Option<Vec<u8>> {
    if item.is_dir() || item.stat.st_nlink < 2 {
        return None;
    }
    let key = (item.stat.st_dev, item.stat.st_ino);
    let known = names.get(&key).cloned();
    if known.is_none() {
        names.insert(key, item.path.clone());
    }
    known
}

/// `None`: it vanished.
fn entry(item: &Item, first: Option<Vec<u8>>, buffer: &mut [u8], cancel: &Cancel) -> Result<Option<Entry>> {
    let kind = match item.format() {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink,
        SFlag::S_IFCHR => Kind::CharDevice,
        SFlag::S_IFBLK => Kind::BlockDevice,
        _ => Kind::Fifo,
    };
    let mut stat = item.stat;
    let mut content = None;
    let mut target = Vec::new();
    let xattrs = match kind {
        // The first name stands for it: the contents and attributes are the same by nature.
        _ if first.is_some() => Ok(Vec::new()),
        Kind::File => {
            let Some((fd, now)) = item.open()? else { return Ok(None) };
            stat = now;
            let file = File::from(fd);
            let size = stat.st_size as u64;
            content = Some(content::digest(&file, size, buffer, cancel).map_err(|error| match error.kind() {
                std::io::ErrorKind::Interrupted => Fault::stopped(),
                std::io::ErrorKind::UnexpectedEof => Fault::new(
                    "tree.changed",
                    format!("`{}` became shorter than its {size} bytes while it was read", show(&item.path)),
                ),
                _ => failed("read", &item.path, error),
            })?);
            At::Open(&file).all()
        }
        Kind::Directory => match &item.opened {
            Some(fd) => fd.try_clone().and_then(|fd| At::Open(&File::from(fd)).all()),
            None => Ok(Vec::new()),
        },
        _ => {
            if kind == Kind::Symlink {
                match readlinkat(&*item.dir, item.name.as_slice()) {
                    Ok(text) => target = text.as_bytes().to_vec(),
                    Err(Errno::ENOENT | Errno::EINVAL) => return Ok(None),
                    Err(error) => return Err(failed("read link", &item.path, error)),
                }
            }
            At::Name(item.dir.as_fd(), &item.name).all()
        }
    };
    let xattrs = match xattrs {
        Ok(xattrs) => xattrs,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read the attributes of", &item.path, error)),
    };
    Ok(Some(shape(item, kind, &stat, Parts { content, target, first, xattrs })))
}

struct Parts {
    content: Option<[u8; 32]>,
    target: Vec<u8>,
    first: Option<Vec<u8>>,
    xattrs: super::xattrs::Xattrs,
}

fn shape(item: &Item, kind: Kind, stat: &FileStat, parts: Parts) -> Entry {
    let device = match kind {
        Kind::CharDevice | Kind::BlockDevice => (major(stat.st_rdev), minor(stat.st_rdev)),
        _ => (0, 0),
    };
    Entry {
        path: item.path.clone(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        size: if kind == Kind::File { stat.st_size as u64 } else { 0 },
        content: parts.content,
        target: parts.target,
        device,
        hard_link: parts.first,
        xattrs: parts.xattrs,
        partial: false,
    }
}
