//! What a tree holds, as one list.

use std::collections::{HashMap, HashSet};

use super::xattrs::Xattrs;
use super::{Exclude, Fate};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symbolic link",
            Kind::CharDevice => "character device",
            Kind::BlockDevice => "block device",
            Kind::Fifo => "fifo",
        }
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Relative to the root, bytes as they stand; empty for the root.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky bit.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of a regular file, else 0.
    pub size: u64,
    /// BLAKE3 of a regular file's contents. Whole zero blocks of 1 MiB are counted instead of hashed, so that a
    /// sparse file costs no more than its data; a file without them has the digest that `b3sum` prints.
    pub content: Option<[u8; 32]>,
    /// Target of a symbolic link.
    pub target: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u64, u64),
    /// The first entry of the tree, in its order, that is the same file.
    pub hard_link: Option<Vec<u8>>,
    /// Extended attributes with ACLs and capabilities, sorted by name.
    pub xattrs: Xattrs,
    /// A directory that something was left out of. Its time is not compared: it says when that something was made.
    pub partial: bool,
}

/// A tree's entries and the digest over them.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// BLAKE3 over all that [`Entry`] holds, of all entries in order.
    pub digest: [u8; 32],
    /// Regular files, a file with several names counted once.
    pub files: u64,
    pub dirs: u64,
    /// Symbolic links.
    pub links: u64,
    /// Sum of the files' sizes.
    pub bytes: u64,
    pub entries: Vec<Entry>,
    /// Times are part of the digest.
    pub times: bool,
    /// What was left out or vanished.
    pub warnings: Vec<String>,
}

impl Manifest {
    pub(super) fn new(entries: Vec<Entry>, times: bool, warnings: Vec<String>) -> Self {
        let mut manifest =
            Manifest { digest: [0; 32], files: 0, dirs: 0, links: 0, bytes: 0, entries, times, warnings };
        let mut hasher = blake3::Hasher::new();
        for entry in &manifest.entries {
            match entry.kind {
                Kind::File if entry.hard_link.is_none() => {
                    manifest.files += 1;
                    manifest.bytes += entry.size;
                }
                Kind::Directory => manifest.dirs += 1,
                Kind::Symlink => manifest.links += 1,
                _ => {}
            }
            hasher.update(&encode(entry, times));
        }
        manifest.digest = *hasher.finalize().as_bytes();
        manifest
    }

    /// The same without what `exclude` matches, as if the tree had been walked with it.
    pub fn without(&self, exclude: &Exclude) -> Manifest {
        let mut kept: Vec<Entry> = Vec::with_capacity(self.entries.len());
        let mut left_out: HashSet<&[u8]> = HashSet::new();
        let mut partial: HashSet<&[u8]> = HashSet::new();
        // Where the first name of a file is left out, the next one becomes the first.
        let mut firsts: HashMap<&[u8], (&Entry, Option<Vec<u8>>)> = HashMap::new();
        for entry in &self.entries {
            let parent = super::parent(&entry.path);
            let is_dir = entry.kind == Kind::Directory;
            let within = !entry.path.is_empty() && left_out.contains(parent);
            let fate = exclude.fate(&entry.path, is_dir);
            if within || fate == Fate::LeftOut {
                if !within {
                    partial.insert(parent);
                }
                if is_dir {
                    left_out.insert(&entry.path);
                } else if entry.hard_link.is_none() {
                    firsts.insert(&entry.path, (entry, None));
                }
                continue;
            }
            if fate == Fate::Emptied {
                left_out.insert(&entry.path);
            }
            let mut entry = entry.clone();
            if let Some((first, now)) = entry.hard_link.as_deref().and_then(|first| firsts.get_mut(first)) {
                entry.hard_link = now.clone();
                if now.is_none() {
                    *now = Some(entry.path.clone());
                    (entry.content, entry.xattrs) = (first.content, first.xattrs.clone());
                }
            }
            kept.push(entry);
        }
        kept.iter_mut().for_each(|entry| entry.partial |= partial.contains(entry.path.as_slice()));
        Manifest::new(kept, self.times, self.warnings.clone())
    }

    /// The digest as 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from(self.digest).to_hex().to_string()
    }
}

/// Every field with its length before it, so that no two entries encode alike.
fn encode(entry: &Entry, times: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let mut field = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    field(&entry.path);
    field(entry.kind.name().as_bytes());
    for number in [entry.mode, entry.uid, entry.gid] {
        field(&number.to_le_bytes());
    }
    if times {
        field(&entry.mtime.0.to_le_bytes());
        field(&entry.mtime.1.to_le_bytes());
    }
    field(&entry.size.to_le_bytes());
    field(entry.content.as_ref().map_or(&[], |digest| &digest[..]));
    field(&entry.target);
    field(&entry.device.0.to_le_bytes());
    field(&entry.device.1.to_le_bytes());
    field(entry.hard_link.as_deref().unwrap_or(&[]));
    field(&(entry.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &entry.xattrs {
        field(name);
        field(value);
    }
    out
}
