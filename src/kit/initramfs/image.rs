//! The tree that an archive will hold, by path.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::cpio::{Entry, Node, Writer};
use crate::host::{Fault, Result};

/// Folders that are links into /usr, on the node as on most machines by now.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Sorted by path, so that a folder comes before what is in it, and the same tree is the same archive.
#[derive(Debug, Clone, Default)]
pub struct Image {
    entries: BTreeMap<String, Entry>,
}

impl Image {
    /// The folders and devices that a first process expects before it has mounted anything.
    pub fn bare() -> Self {
        let mut image = Image::default();
        for name in MERGED {
            image.put(&format!("usr/{name}"), Entry { mode: 0o755, node: Node::Directory });
            image.put(name, Entry { mode: 0o777, node: Node::Link(format!("usr/{name}")) });
        }
        for (name, mode) in [
            ("dev", 0o755),
            ("etc", 0o755),
            ("mnt", 0o755),
            ("proc", 0o755),
            ("root", 0o700),
            ("run", 0o755),
            ("sys", 0o755),
            ("tmp", 0o1777),
            ("var", 0o755),
        ] {
            image.put(name, Entry { mode, node: Node::Directory });
        }
        image.put("dev/console", Entry { mode: 0o600, node: Node::Device(5, 1) });
        image.put("dev/null", Entry { mode: 0o666, node: Node::Device(1, 3) });
        image
    }

    fn put(&mut self, path: &str, entry: Entry) {
        self.entries.insert(path.to_string(), entry);
    }

    /// Puts something at an absolute path; folders above are made. What stood there goes, unless it is a folder.
    ///
    /// # Errors
    /// `initramfs.path`: not absolute, with `..`, or through or onto something that is in the way.
    pub fn add(&mut self, path: &str, mode: u32, node: Node) -> Result<()> {
        let path = plain(path)?;
        for (at, _) in path.match_indices('/') {
            let above = &path[..at];
            match self.entries.get(above).map(|entry| &entry.node) {
                Some(Node::Directory) => {}
                None => self.put(above, Entry { mode: 0o755, node: Node::Directory }),
                Some(_) => return Err(refuse(&path, &format!("`/{above}` is no folder"))),
            }
        }
        let is_folder = node == Node::Directory;
        match self.entries.get(&path).map(|entry| entry.node == Node::Directory) {
            Some(true) if !is_folder => Err(refuse(&path, "a folder stands there")),
            Some(false) if is_folder => Err(refuse(&path, "something that is no folder stands there")),
            _ => {
                self.put(&path, Entry { mode, node });
                Ok(())
            }
        }
    }

    pub fn has(&self, path: &str) -> bool {
        plain(path).is_ok_and(|path| self.entries.contains_key(&path))
    }

    pub fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Of all files together, unpacked.
    pub fn bytes(&self) -> u64 {
        self.entries.values().map(Entry::bytes).sum()
    }

    /// # Errors
    /// What the output says.
    pub fn write<W: Write>(&self, out: W) -> io::Result<W> {
        let mut writer = Writer::new(out);
        for (path, entry) in &self.entries {
            writer.add(path, entry)?;
        }
        writer.finish()
    }
}

fn refuse(path: &str, why: &str) -> Fault {
    Fault::new("initramfs.path", format!("cannot put `{path}` into the image: {why}"))
}

/// Without the leading `/`, below /usr where the folder is a link there.
fn plain(path: &str) -> Result<String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(refuse(path, "a path in the image begins with `/`"));
    };
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() || parts.contains(&"..") || path.contains('\0') {
        return Err(refuse(path, "it names no place below `/`"));
    }
    let below = if parts.len() > 1 && MERGED.contains(&parts[0]) { "usr/" } else { "" };
    Ok(format!("{below}{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_nothing_goes_through_a_file() {
        let mut image = Image::bare();
        image.add("/lib/modules/6.1/kernel/a.ko", 0o644, Node::File(vec![1])).unwrap();
        assert!(image.has("/usr/lib/modules/6.1/kernel") && image.has("/lib/modules/6.1//kernel/a.ko"));
        image.add("/lib/modules/6.1/kernel/a.ko", 0o644, Node::File(vec![2, 3])).unwrap();
        assert_eq!(image.bytes() - Image::bare().bytes(), 2);
        for path in ["relative", "/", "/../etc", "/a/../b", "/lib/modules/6.1/kernel/a.ko/b", "/etc", "/a\0b"] {
            assert_eq!(image.add(path, 0o644, Node::File(Vec::new())).unwrap_err().kind, "initramfs.path", "{path}");
        }
        assert_eq!(image.add("/dev/null", 0o755, Node::Directory).unwrap_err().kind, "initramfs.path");
    }
}
