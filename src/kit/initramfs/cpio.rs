//! The archive format of the kernel's first filesystem: cpio "newc" (Documentation/driver-api/early-userspace/
//! buffer-format.rst). A header of 110 characters, the name, the contents, each filled up to four bytes.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory,
    File(Vec<u8>),
    /// A symbolic link, and what it says.
    Link(String),
    /// A character device: major, minor.
    Device(u32, u32),
}

/// One member. `path` without a leading `/`; `mode` the permission bits alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub mode: u32,
    pub node: Node,
}

impl Entry {
    pub fn bytes(&self) -> u64 {
        match &self.node {
            Node::File(data) => data.len() as u64,
            Node::Link(target) => target.len() as u64,
            _ => 0,
        }
    }
}

/// Writes members and the end. Every one belongs to root, and to the second 0 of 1970: the same members are the same
/// bytes.
pub struct Writer<W> {
    out: W,
    number: u32,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Self {
        Writer { out, number: 0 }
    }

    /// # Errors
    /// What the output says; `InvalidInput`: contents of 4 GiB and more, which the format cannot say.
    pub fn add(&mut self, path: &str, entry: &Entry) -> io::Result<()> {
        self.number += 1;
        let (kind, links, device, data) = match &entry.node {
            Node::Directory => (DIRECTORY, 2, (0, 0), &[][..]),
            Node::File(data) => (FILE, 1, (0, 0), data.as_slice()),
            Node::Link(target) => (LINK, 1, (0, 0), target.as_bytes()),
            Node::Device(major, minor) => (CHARACTER, 1, (*major, *minor), &[][..]),
        };
        let number = self.number;
        self.member(path, number, kind | entry.mode & 0o7777, links, device, data)
    }

    /// Writes the last member and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.member("TRAILER!!!", 0, 0, 1, (0, 0), &[])?;
        Ok(self.out)
    }

    fn member(
        &mut self,
        path: &str,
        number: u32,
        mode: u32,
        links: u32,
        device: (u32, u32),
        data: &[u8],
    ) -> io::Result<()> {
        let length = u32::try_from(data.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is bigger than 4 GiB")))?;
        let name = path.len() as u32 + 1;
        // magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [number, mode, 0, 0, links, 0, length, 0, 0, device.0, device.1, name, 0];
        let mut head = String::from("070701");
        fields.iter().for_each(|field| head += &format!("{field:08X}"));
        self.out.write_all(head.as_bytes())?;
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.fill(head.len() + path.len() + 1)?;
        self.out.write_all(data)?;
        self.fill(data.len())
    }

    /// To the next multiple of four.
    fn fill(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}
