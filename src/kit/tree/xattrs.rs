//! Extended attributes of entries that cannot be opened: links, nodes, FIFOs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use nix::libc;
use xattr::FileExt;

pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Where attributes are: an open file, or a name in an open directory, which is never followed.
pub(crate) enum At<'a> {
    Open(&'a File),
    Name(BorrowedFd<'a>, &'a [u8]),
}

impl At<'_> {
    /// Reaches the entry through its directory's descriptor: `/proc` has to be mounted.
    fn path(dir: &BorrowedFd<'_>, name: &[u8]) -> PathBuf {
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        OsString::from_vec(path).into()
    }

    /// All attributes with their values, sorted by name. None where the filesystem has none.
    pub(crate) fn all(&self) -> io::Result<Xattrs> {
        let names = match self {
            At::Open(file) => file.list_xattr(),
            At::Name(dir, name) => xattr::list(Self::path(dir, name)),
        };
        let names = match names {
            Ok(names) => names,
            Err(error) if is_unsupported(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        for name in names {
            // None: removed since it was listed, or not for this user to see.
            if let Some(value) = self.get(&name)? {
                all.push((name.into_vec(), value));
            }
        }
        all.sort();
        Ok(all)
    }

    pub(crate) fn get(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        match self {
            At::Open(file) => file.get_xattr(name),
            At::Name(dir, entry) => xattr::get(Self::path(dir, entry), name),
        }
    }

    pub(crate) fn set(&self, name: &[u8], value: &[u8]) -> io::Result<()> {
        let name = OsStr::from_bytes(name);
        match self {
            At::Open(file) => file.set_xattr(name, value),
            At::Name(dir, entry) => xattr::set(Self::path(dir, entry), name, value),
        }
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let removed = match self {
            At::Open(file) => file.remove_xattr(name),
            At::Name(dir, entry) => xattr::remove(Self::path(dir, entry), name),
        };
        removed.or_else(|error| match error.raw_os_error() {
            Some(libc::ENODATA) => Ok(()),
            _ if is_unsupported(&error) => Ok(()),
            _ => Err(error),
        })
    }
}

pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}
