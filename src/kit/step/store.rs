//! A folder of step files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::form::{Form, LIMIT, parse};
use crate::host::{Fault, Result};

/// Step files of one folder. Several processes may share it: every file is replaced whole.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    form: Form,
}

impl Store {
    /// # Errors
    /// `step.open`: the folder is missing (unless `create`), or cannot be made or read.
    pub fn open(dir: &Path, form: Form, create: bool) -> Result<Store> {
        let fail = |error| Fault::io("step.open", format_args!("open step folder `{}`", dir.display()), error);
        if create {
            fs::create_dir_all(dir).map_err(fail)?;
        }
        fs::read_dir(dir).map_err(fail)?;
        Ok(Store { dir: dir.canonicalize().map_err(fail)?, form })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The step of a host; `None` where it has no file, or an empty one.
    pub fn get(&self, host: &str) -> Result<Option<String>> {
        check_host(host)?;
        let path = self.dir.join(host);
        let fail = |error| Fault::io("step.read", format_args!("read step file `{}`", path.display()), error);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(fail)?,
        };
        let mut bytes = Vec::new();
        file.take(LIMIT as u64).read_to_end(&mut bytes).map_err(fail)?;
        Ok(parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Replaces the file of a host at once: a reader sees the old word or the new one.
    pub fn set(&self, host: &str, word: &str) -> Result<()> {
        check_host(host)?;
        check_word(word)?;
        let path = self.dir.join(host);
        let fail = |error| Fault::io("step.write", format_args!("write step file `{}`", path.display()), error);
        self.replace(&path, &self.form.print(word)).map_err(fail)?;
        self.forget_tries(host);
        Ok(())
    }

    /// Puts a whole file in the place of another, in one step.
    pub(super) fn replace(&self, path: &Path, text: &str) -> std::io::Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // A leading dot is no host name: a file left by a kill is never taken for a step.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = format!(".{name}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let part = self.dir.join(part);
        let written = File::create(&part)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&part, path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
    }

    /// Removes the file of a host; one that has none is fine.
    pub fn clear(&self, host: &str) -> Result<()> {
        check_host(host)?;
        match fs::remove_file(self.dir.join(host)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Fault::io(
                "step.write",
                format_args!("remove step file `{}`", self.dir.join(host).display()),
                error,
            )),
            _ => {
                self.forget_tries(host);
                Ok(())
            }
        }
    }

    /// All hosts that have a step.
    pub fn all(&self) -> Result<BTreeMap<String, String>> {
        let fail = |error| Fault::io("step.read", format_args!("list step folder `{}`", self.dir.display()), error);
        let mut steps = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(host) = entry.file_name().into_string() else { continue };
            if check_host(&host).is_ok() && entry.path().is_file() {
                steps.extend(self.get(&host)?.map(|word| (host, word)));
            }
        }
        Ok(steps)
    }
}

/// A host is a name or an address, and a plain file name: it never leads out of the folder.
pub fn check_host(host: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !host.is_empty() && host.len() <= 200 && !host.starts_with(['.', '-']) && host.chars().all(plain) {
        return Ok(());
    }
    Err(Fault::new("step.host", format!("`{}` is not a host name or address", host.escape_default()))
        .hint("a host is letters, digits, `.`, `-`, `_` and `:`, and starts with none of `.` and `-`"))
}

/// A word must survive both forms and both old interpreters.
pub fn check_word(word: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '+');
    if !word.is_empty() && word.len() <= 64 && word.chars().all(plain) {
        return Ok(());
    }
    Err(Fault::new("step.word", format!("`{}` is not a step", word.escape_default()))
        .hint("a step is one word of letters, digits, `.`, `-`, `_`, `:` and `+`, at most 64 of them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("steps"), Form::Word, true).unwrap();
        (dir, store)
    }

    #[test]
    fn a_step_is_set_read_listed_and_cleared() {
        let (_dir, store) = store();
        assert_eq!(store.get("node1").unwrap(), None);
        store.set("node1", "install").unwrap();
        store.set("node1", "lilo").unwrap();
        store.set("10.0.0.7", "ready").unwrap();
        assert_eq!(fs::read_to_string(store.dir().join("node1")).unwrap(), "lilo\n");
        fs::write(store.dir().join(".node1.99.0"), "half").unwrap();
        let all: Vec<_> = store.all().unwrap().into_iter().collect();
        assert_eq!(all, [("10.0.0.7".into(), "ready".into()), ("node1".into(), "lilo".into())]);
        store.clear("node1").unwrap();
        store.clear("node1").unwrap();
        assert_eq!(store.get("node1").unwrap(), None);
    }

    #[test]
    fn names_that_lead_elsewhere_and_words_that_break_lines_are_refused() {
        let (_dir, store) = store();
        for host in ["", "..", ".", "../x", "a/b", "/etc/passwd", "-n", "a b", "a\0b", ".hidden", "n\n"] {
            assert_eq!(store.set(host, "ready").unwrap_err().kind, "step.host", "{host:?}");
            assert_eq!(store.get(host).unwrap_err().kind, "step.host", "{host:?}");
        }
        for word in ["", "two words", "a\"b", "a\nb", "$step", &"x".repeat(65)] {
            assert_eq!(store.set("node1", word).unwrap_err().kind, "step.word", "{word:?}");
        }
        assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_folder_is_an_error_unless_made() {
        let dir = tempfile::tempdir().unwrap();
        let fault = Store::open(&dir.path().join("none"), Form::Word, false).unwrap_err();
        assert_eq!(fault.kind, "step.open");
    }
}
