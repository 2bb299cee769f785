//! Programs of this machine, with all that they need to run elsewhere.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cpio::Node;
use super::image::Image;
use super::libraries::Search;
use crate::host::{Cancel, Fault, Result};
use crate::kit::elf::{Elf, Wants};
use crate::kit::process;

/// Puts programs into an image.
pub struct Packer<'a> {
    image: &'a mut Image,
    /// Paths on this machine that are in the image, or being put there.
    done: BTreeSet<PathBuf>,
    /// Where libraries go that this machine's loader finds by ld.so.conf alone.
    home: Option<String>,
    cancel: &'a Cancel,
}

/// What a file is, as execve(2) sees it.
enum Kind {
    Elf(Wants, u16),
    /// `#!`: the interpreter.
    Script(String),
    Other,
}

fn kind(path: &Path, data: &[u8]) -> Result<Kind> {
    if let Some(line) = data.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned();
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default().to_string();
        // `env` looks the program up that is named behind it.
        let named = words.find(|word| !word.starts_with('-'));
        return Ok(Kind::Script(match named.filter(|_| first.ends_with("/env")) {
            Some(name) => name.to_string(),
            None => first,
        }));
    }
    if !data.starts_with(b"\x7fELF") {
        return Ok(Kind::Other);
    }
    let wants = Elf::parse(data).and_then(|elf| Ok(Kind::Elf(elf.wants()?, elf.machine)));
    wants.map_err(|why| Fault::new("initramfs.program", format!("cannot read the program `{}`: {why}", path.display())))
}

/// The program of this name, as a shell of root would find it.
fn look_up(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).is_file().then(|| PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    let runs = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(runs)
}

impl<'a> Packer<'a> {
    pub fn new(image: &'a mut Image, cancel: &'a Cancel) -> Self {
        Packer { image, done: BTreeSet::new(), home: None, cancel }
    }

    /// A program by name or path, or a library by path, with all it needs.
    ///
    /// # Errors
    /// `initramfs.program`: it is not on this machine, with the Debian package that has it; `initramfs.library`: a
    /// library that it needs is not.
    pub fn program(&mut self, name: &str) -> Result<()> {
        let missing = || {
            let fault = Fault::new("initramfs.program", format!("the program `{name}` is not on this machine"));
            match process::package_of(name) {
                Some(package) => fault.hint(format!("the Debian package `{package}` has it")),
                None => fault.hint("`apt-file search` finds the package of a file"),
            }
        };
        let path = std::path::absolute(look_up(name).ok_or_else(missing)?);
        let path = path.map_err(|error| Fault::io("initramfs.program", format_args!("find `{name}`"), error))?;
        self.file(&path, &path.to_string_lossy(), None)
    }

    /// A program under a path of its own.
    pub fn program_as(&mut self, path: &Path, place: &str) -> Result<()> {
        self.file(path, place, None)
    }

    /// Puts a file at `place`, and what it needs; links on the way to it become one link. `main` is what the program
    /// said that wants this library.
    fn file(&mut self, path: &Path, place: &str, main: Option<&Wants>) -> Result<()> {
        if self.cancel.is_set() {
            return Err(Fault::stopped());
        }
        let fail = |error| Fault::io("initramfs.read", format_args!("read `{}`", path.display()), error);
        let real = path.canonicalize().map_err(fail)?;
        // The last part of the path is a link: /sbin/mkfs.ext4 leads to mke2fs.
        let is_link = std::fs::symlink_metadata(path).map_err(fail)?.is_symlink();
        if is_link && path.to_string_lossy() == place {
            let target = real.to_string_lossy().into_owned();
            self.image.add(place, 0o777, Node::Link(target.clone()))?;
            return self.file(&real, &target, main);
        }
        if !self.done.insert(PathBuf::from(place)) {
            return Ok(());
        }
        let data = std::fs::read(&real).map_err(fail)?;
        let mode = std::fs::metadata(&real).map_err(fail)?.mode();
        let kind = kind(path, &data)?;
        // Nobody but root is there: what runs as another user's program does not.
        self.image.add(place, mode & 0o777, Node::File(data))?;
        match kind {
            Kind::Elf(wants, machine) => self.libraries(path, &wants, main, machine),
            Kind::Script(interpreter) if main.is_none() => self
                .program(&interpreter)
                .map_err(|fault| fault.hint(format!("the script `{}` begins with `#!` and this name", path.display()))),
            _ => Ok(()),
        }
    }

    fn libraries(&mut self, path: &Path, wants: &Wants, main: Option<&Wants>, machine: u16) -> Result<()> {
        if let Some(interpreter) = &wants.interpreter {
            self.file(Path::new(interpreter), interpreter, Some(wants))?;
        }
        let search = Search::new(machine);
        for name in &wants.needed {
            let found = search.find(name, path, wants, main.unwrap_or(wants)).ok_or_else(|| {
                Fault::new(
                    "initramfs.library",
                    format!("`{}` needs the library `{name}`, which is not on this machine", path.display()),
                )
            })?;
            let place = match (found.stays, &self.home) {
                (false, Some(home)) => format!("{home}/{name}"),
                _ => found.path.to_string_lossy().into_owned(),
            };
            if name.starts_with("libc.so.") {
                self.home = found.path.parent().map(|folder| folder.to_string_lossy().into_owned());
            }
            self.file(&found.path, &place, Some(main.unwrap_or(wants)))?;
        }
        Ok(())
    }
}
