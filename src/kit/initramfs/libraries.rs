//! Where the loader finds a library: the search of ld.so(8), done here for a program that will run elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::kit::elf::{Elf, Wants};

/// Folders that a loader looks in by itself, on Debian and on others.
const TRUSTED: [&str; 6] = ["/lib/TRIPLET", "/usr/lib/TRIPLET", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

fn triplet(machine: u16) -> &'static str {
    match machine {
        183 => "aarch64-linux-gnu",
        243 => "riscv64-linux-gnu",
        _ => "x86_64-linux-gnu",
    }
}

/// The folders of one kind of machine, in the order they are looked in.
pub struct Search {
    machine: u16,
    /// Of ld.so.conf: an image has no cache of them.
    configured: Vec<PathBuf>,
    trusted: Vec<PathBuf>,
}

/// A library that was found.
pub struct Found {
    pub path: PathBuf,
    /// Whether the loader finds it there without ld.so.conf.
    pub stays: bool,
}

impl Search {
    pub fn new(machine: u16) -> Search {
        let mut configured = Vec::new();
        read_conf(Path::new("/etc/ld.so.conf"), &mut configured, &mut BTreeSet::new());
        let trusted = TRUSTED.iter().map(|folder| PathBuf::from(folder.replace("TRIPLET", triplet(machine)))).collect();
        Search { machine, configured, trusted }
    }

    /// The library `name` as `user`, which wants it, would get it; `main` is what the program itself says.
    pub fn find(&self, name: &str, user: &Path, wants: &Wants, main: &Wants) -> Option<Found> {
        if name.contains('/') {
            let path = PathBuf::from(name);
            return self.fits(&path).then_some(Found { path, stays: true });
        }
        let origin = user.parent().unwrap_or(Path::new("/"));
        // A file's own RUNPATH switches every RPATH off, the program's too.
        let paths: Vec<&String> = match &wants.runpath {
            Some(path) => vec![path],
            None => wants.rpath.iter().chain(main.rpath.iter().filter(|_| main.runpath.is_none())).collect(),
        };
        for folder in paths.iter().flat_map(|path| path.split(':')).filter(|folder| !folder.is_empty()) {
            let origin = origin.to_string_lossy();
            let folder = folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
            let path = Path::new(&folder).join(name);
            if !folder.contains('$') && self.fits(&path) {
                return Some(Found { path, stays: true });
            }
        }
        let look = |folders: &[PathBuf]| folders.iter().map(|folder| folder.join(name)).find(|path| self.fits(path));
        let trusted =
            |path: &Path| path.parent().is_some_and(|folder| self.trusted.iter().any(|known| known == folder));
        look(&self.configured)
            .map(|path| Found { stays: trusted(&path), path })
            .or_else(|| look(&self.trusted).map(|path| Found { path, stays: true }))
    }

    /// Of the right machine: a folder may hold those of another.
    fn fits(&self, path: &Path) -> bool {
        std::fs::read(path).is_ok_and(|data| Elf::parse(&data).is_ok_and(|elf| elf.machine == self.machine))
    }
}

/// `include` takes patterns, of which only one with a `*` in the last part is used anywhere.
fn read_conf(file: &Path, folders: &mut Vec<PathBuf>, seen: &mut BTreeSet<PathBuf>) {
    if !seen.insert(file.to_path_buf()) {
        return;
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        match line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            Some(pattern) => {
                let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern.trim());
                let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
                else {
                    continue;
                };
                let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
                let mut found: Vec<PathBuf> = entries
                    .filter(|entry| crate::kit::kmod::matches(name, &entry.file_name().to_string_lossy()))
                    .map(|entry| entry.path())
                    .collect();
                found.sort();
                found.iter().for_each(|file| read_conf(file, folders, seen));
            }
            None if line.starts_with('/') => folders.push(PathBuf::from(line)),
            None => {}
        }
    }
}
