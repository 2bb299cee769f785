//! Members become files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, makedev, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};

use super::beneath::{Dir, Root, names};
use super::meta::{Made, Warnings, apply};
use super::replace::replacing;
use super::{Entry, Kind, Reader};
use crate::host::{Fault, Result};
use crate::kit::stream::Delivered;
use crate::kit::tree::show;

/// Unpacks members below a root that nothing leaves, whatever the archive says:
/// - a path with `..` and one that leads through a symbolic link are faults, whether the link came with the archive
///   or stood there before; an absolute path starts at the root, with a warning;
/// - a hard link's target is reached in the same way;
/// - what stands in the place of a member is removed, never written through; directories are kept.
pub(super) struct Extractor {
    root: Root,
    /// Attributes of directories, set at the end: restrictive modes and default ACLs would spoil what is yet to
    /// come into them, and what comes changes their times.
    directories: BTreeMap<Vec<u8>, Entry>,
    warnings: Warnings,
    entries: u64,
    absolute: bool,
}

/// Where a member goes.
struct Place<'a> {
    dir: Dir,
    name: &'a [u8],
}

impl Extractor {
    pub(super) fn new(root: &Path) -> Result<Self> {
        let root = Root::open(root)?;
        let (directories, warnings) = (BTreeMap::new(), Warnings::default());
        Ok(Extractor { root, directories, warnings, entries: 0, absolute: false })
    }

    /// Unpacks a whole archive and takes the stream to its end.
    pub(super) fn run<R: BufRead>(mut self, mut reader: Reader<R>) -> Result<Delivered> {
        loop {
            let next = reader.next_entry();
            reader.take_warnings().into_iter().for_each(|warning| self.warnings.add(warning));
            let Some(entry) = next? else { break };
            self.member(&mut reader, entry)?;
            self.entries += 1;
        }
        self.close()?;
        reader.drain()?;
        Ok(Delivered { bytes: reader.offset(), entries: self.entries, warnings: self.warnings.into_list() })
    }

    fn member<R: BufRead>(&mut self, reader: &mut Reader<R>, entry: Entry) -> Result<()> {
        if entry.path.starts_with(b"/") && !self.absolute {
            self.absolute = true;
            self.warnings.add("names begin with `/`: they were unpacked below the target".to_string());
        }
        let path = entry.path.clone();
        let names = names(&path)?;
        let Some((name, parents)) = names.split_last() else {
            if entry.kind != Kind::Directory {
                return Err(Fault::new("tar.format", format!("the root of the archive is a {}", entry.kind.name())));
            }
            self.directories.insert(Vec::new(), entry);
            return Ok(());
        };
        let place = Place { dir: self.root.dir(parents, true)?, name };
        match entry.kind {
            Kind::File => self.file(reader, &place, &entry),
            Kind::Directory => {
                self.directory(&place, &entry)?;
                self.directories.insert(names.join(&b'/'), entry);
                Ok(())
            }
            Kind::HardLink => self.hard_link(&place, &entry),
            _ => self.special(&place, &entry),
        }
    }

    fn file<R: BufRead>(&mut self, reader: &mut Reader<R>, place: &Place, entry: &Entry) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o600);
        let fd = self.make(place, entry, || openat(&*place.dir.fd, place.name, flags, mode))?;
        let file = File::from(fd);
        let whole = [(0, entry.size)];
        let mut written = 0u64;
        for (start, length) in entry.extents.as_deref().unwrap_or(&whole) {
            let mut at = *start;
            reader.data(*length, |chunk| {
                file.write_all_at(chunk, at).map_err(|error| short(entry, written, error))?;
                at += chunk.len() as u64;
                written += chunk.len() as u64;
                Ok(())
            })?;
        }
        if entry.extents.is_some() {
            file.set_len(entry.size).map_err(|error| short(entry, written, error))?;
        }
        apply(&Made::Open(&file), entry, place.dir.inherits, &mut self.warnings)
    }

    fn directory(&mut self, place: &Place, entry: &Entry) -> Result<()> {
        let stands = stat(place).is_some_and(|stat| format_of(&stat) == SFlag::S_IFDIR);
        if stands {
            return Ok(());
        }
        let mode = Mode::from_bits_truncate(0o700);
        self.make(place, entry, || mkdirat(&*place.dir.fd, place.name, mode))
    }

    fn hard_link(&mut self, place: &Place, entry: &Entry) -> Result<()> {
        let target = names(&entry.target)?;
        let fault = |error: Errno| {
            let what = format!("link `{}` to `{}`", show(&entry.path), show(&entry.target));
            Fault::io("tar.write", what, error)
        };
        let Some((name, parents)) = target.split_last() else { return Err(fault(Errno::EISDIR)) };
        let from = Place { dir: self.root.dir(parents, false)?, name };
        let Some(there) = stat(&from) else {
            return Err(fault(Errno::ENOENT).hint("the file a hard link means has to come before it in the archive"));
        };
        // Already the same file: removing one name to make it again could remove the last.
        if stat(place).is_some_and(|here| (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)) {
            return Ok(());
        }
        self.make(place, entry, || linkat(&*from.dir.fd, from.name, &*place.dir.fd, place.name, AtFlags::empty()))
            .map_err(|mut fault| {
                fault.message = format!("{} (linking to `{}`)", fault.message, show(&entry.target));
                fault
            })
    }

    fn special(&mut self, place: &Place, entry: &Entry) -> Result<()> {
        let (dir, name) = (&*place.dir.fd, place.name);
        let node = |kind| {
            let device = makedev(entry.device.0, entry.device.1);
            mknodat(dir, name, kind, Mode::from_bits_truncate(0o600), device)
        };
        self.make(place, entry, || match entry.kind {
            Kind::Symlink => symlinkat(entry.target.as_slice(), dir, name),
            Kind::CharDevice => node(SFlag::S_IFCHR),
            Kind::BlockDevice => node(SFlag::S_IFBLK),
            _ => node(SFlag::S_IFIFO),
        })?;
        apply(&Made::Name(&place.dir, name), entry, place.dir.inherits, &mut self.warnings)
    }

    fn make<T>(&mut self, place: &Place, entry: &Entry, make: impl Fn() -> nix::Result<T>) -> Result<T> {
        match replacing(&place.dir.fd, place.name, make) {
            Ok((made, replaced)) => {
                if replaced {
                    self.root.forget();
                }
                Ok(made)
            }
            Err(error) => {
                let what = format!("make the {} `{}`", entry.kind.name(), show(&entry.path));
                let fault = Fault::io("tar.write", what, error);
                Err(match error {
                    Errno::ENOTEMPTY => fault.hint("a directory with files in it stands there and is not removed"),
                    _ => fault,
                })
            }
        }
    }

    /// Directories get their attributes, the deepest first.
    fn close(&mut self) -> Result<()> {
        for (path, entry) in std::mem::take(&mut self.directories).into_iter().rev() {
            match self.root.dir(&names(&path)?, false) {
                Ok(dir) => apply(&Made::Open(&dir.fd), &entry, false, &mut self.warnings)?,
                // A later member took its place.
                Err(fault) => self.warnings.add(fault.message),
            }
        }
        Ok(())
    }
}

fn stat(place: &Place) -> Option<FileStat> {
    fstatat(&*place.dir.fd, place.name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
}

fn format_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn short(entry: &Entry, written: u64, error: std::io::Error) -> Fault {
    let what = format!("write `{}` past {written} of its {} bytes", show(&entry.path), entry.size);
    Fault::io("tar.write", what, error)
}
