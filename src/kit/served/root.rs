//! Names that clients send, and the one folder they may lead into.

use std::fs::File;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::host::{Fault, Result};

/// A name as firmware writes it, made relative: `\` is `/`, doubled and leading slashes go.
///
/// `None` for what must not be served: `..`, control characters, nothing at all.
pub fn clean(name: &str) -> Option<String> {
    if name.len() > 1024 || name.contains(char::is_control) {
        return None;
    }
    let name = name.replace('\\', "/");
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// A folder opened once; nothing is reached through it that lies outside, whatever links stand inside.
#[derive(Debug, Clone)]
pub struct Root {
    folder: Arc<OwnedFd>,
    path: PathBuf,
}

impl Root {
    /// # Errors
    /// `<module>.root`: no such folder, or unreadable. `module` is the server's: `tftp`.
    pub fn open(module: &str, path: &Path) -> Result<Root> {
        let what = format!("serve the folder `{}`", path.display());
        let fail = |error: Error| Fault::io(format!("{module}.root"), &what, error);
        let path = path.canonicalize().map_err(fail)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_PATH;
        let folder = open(&path, flags, Mode::empty()).map_err(|errno| fail(errno.into()))?;
        Ok(Root { folder: Arc::new(folder), path })
    }

    /// A regular file below, by a clean name. Links are followed as long as they stay inside, absolute ones too: boot
    /// scripts are switched by such links.
    pub fn file(&self, name: &str) -> IoResult<File> {
        let file = match self.beneath(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            // openat2 takes every absolute link for one that leads out.
            Err(error) if error.raw_os_error() == Some(Errno::EXDEV as i32) => {
                let target = self.path.join(name).canonicalize()?;
                let inside = target.strip_prefix(&self.path).map_err(|_| denied())?;
                // Resolved anew and beneath only: a link changed in between changes nothing.
                self.beneath(inside.to_str().ok_or_else(denied)?, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?
            }
            opened => opened?,
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(denied()) }
    }

    /// The folder below in which `name` would be made, and the last part of the name.
    pub fn place<'n>(&self, name: &'n str) -> IoResult<(File, &'n str)> {
        let (folder, last) = name.rsplit_once('/').unwrap_or((".", name));
        Ok((self.beneath(folder, OFlag::O_DIRECTORY | OFlag::O_RDONLY)?, last))
    }

    fn beneath(&self, name: &str, flags: OFlag) -> IoResult<File> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        Ok(File::from(openat2(&*self.folder, name, how).map_err(Error::from)?))
    }
}

fn denied() -> Error {
    Error::from(ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_of_firmware_become_relative() {
        for (name, clean_name) in [
            ("boot.ipxe", Some("boot.ipxe")),
            ("\\Boot\\BCD", Some("Boot/BCD")),
            ("//a///b/./c", Some("a/b/c")),
            ("..", None),
            ("a/../b", None),
            ("a\\..\\..\\etc\\passwd", None),
            ("/", None),
            ("", None),
            ("a\nb", None),
            ("...", Some("...")),
        ] {
            assert_eq!(clean(name).as_deref(), clean_name, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_clean_name_stays_below(name in "[a-z./\\\\]{0,30}") {
            if let Some(clean) = clean(&name) {
                prop_assert!(clean.split('/').all(|part| !part.is_empty() && part != ".." && part != "."));
            }
        }
    }

    #[test]
    fn links_are_followed_inside_and_not_outside() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("root");
        fs::create_dir_all(top.join("scripts")).unwrap();
        fs::write(top.join("real"), "x").unwrap();
        fs::write(dir.path().join("secret"), "y").unwrap();
        symlink("../real", top.join("scripts/relative")).unwrap();
        symlink(top.join("real"), top.join("scripts/absolute")).unwrap();
        symlink("../../secret", top.join("scripts/out")).unwrap();
        symlink("/etc", top.join("etc")).unwrap();
        symlink("/proc/self/root/etc/passwd", top.join("magic")).unwrap();
        nix::unistd::mkfifo(&top.join("fifo"), Mode::S_IRWXU).unwrap();
        let root = Root::open("tftp", &top).unwrap();
        for name in ["real", "scripts/relative", "scripts/absolute"] {
            assert!(root.file(name).is_ok(), "{name}");
        }
        for name in ["scripts/out", "etc/passwd", "magic", "scripts", "fifo", "none"] {
            assert!(root.file(name).is_err(), "{name}");
        }
        assert!(root.place("etc/new").is_err() && root.place("scripts/new").is_ok());
        assert_eq!(Root::open("tftp", &dir.path().join("none")).unwrap_err().kind, "tftp.root");
    }
}
