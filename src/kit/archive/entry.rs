//! One member of an archive.

use crate::kit::tree::xattrs::Xattrs;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    File,
    /// Another name of an earlier member.
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::HardLink => "hard link",
            Kind::Symlink => "symbolic link",
            Kind::CharDevice => "character device",
            Kind::BlockDevice => "block device",
            Kind::Directory => "directory",
            Kind::Fifo => "fifo",
        }
    }
}

/// A member as its headers describe it. Paths are as they stand in the archive: nothing is checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky bit.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Length of the file with its holes.
    pub size: u64,
    /// Target of a symbolic or hard link.
    pub target: Vec<u8>,
    /// Major and minor number.
    pub device: (u64, u64),
    /// Extended attributes, ACLs as the kernel's `system.posix_acl_access` and `_default` among them.
    pub xattrs: Xattrs,
    /// Where data stands, offset and length, for a file with holes.
    pub extents: Option<Vec<(u64, u64)>>,
}

impl Entry {
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind) -> Self {
        Entry {
            path: path.into(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            size: 0,
            target: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            extents: None,
        }
    }
}
