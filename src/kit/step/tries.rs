//! How often a node was booted at its step: what keeps a node that fails from installing for ever.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::store::{Store, check_host};
use crate::host::{Fault, Result};

impl Store {
    /// Counts a boot of `host` at the step where it stands, and says which try this is, from 1. A boot asks more than
    /// once (a loader looks for a file's length first): what comes within `within` of the last one is the same boot.
    /// Another step starts anew. The count stands in the folder, in a file whose name begins with a dot, so that it
    /// outlives the server.
    ///
    /// # Errors
    /// `step.host`, `step.read`, `step.write`
    pub fn attempt(&self, host: &str, within: Duration) -> Result<u32> {
        check_host(host)?;
        let word = self.get(host)?.unwrap_or_default();
        let path = self.tries(host);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let tries = match read(&text) {
            // A clock that was set back must not keep a boot the same one for years.
            Some((before, tries, at)) if before == word => {
                let same = at <= now && now - at < within.as_millis();
                tries.saturating_add(u32::from(!same))
            }
            _ => 1,
        };
        self.replace(&path, &format!("{tries} {now} {word}\n")).map_err(|error| {
            Fault::io("step.write", format_args!("count the boots of {host} in `{}`", path.display()), error)
        })?;
        Ok(tries)
    }
}

impl Store {
    fn tries(&self, host: &str) -> PathBuf {
        self.dir().join(format!(".tries.{host}"))
    }

    /// A step that somebody sets, the same once more included, begins with its first try.
    pub(super) fn forget_tries(&self, host: &str) {
        let _ = fs::remove_file(self.tries(host));
    }
}

/// `TRIES MILLISECONDS WORD`; the word may be empty.
fn read(text: &str) -> Option<(&str, u32, u128)> {
    let mut parts = text.trim_end_matches('\n').splitn(3, ' ');
    let (tries, at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((parts.next()?, tries, at))
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::*;

    #[test]
    fn boots_are_counted_until_the_step_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Form::Word, true).unwrap();
        let at_once = Duration::ZERO;
        assert_eq!(store.attempt("node1", at_once).unwrap(), 1);
        assert_eq!(store.attempt("node1", at_once).unwrap(), 2);
        assert_eq!(store.attempt("node1", Duration::from_secs(3600)).unwrap(), 2);
        assert_eq!(store.attempt("node2", at_once).unwrap(), 1);
        store.set("node1", "lilo").unwrap();
        assert_eq!(store.attempt("node1", at_once).unwrap(), 1);
        store.set("node1", "lilo").unwrap();
        assert_eq!(store.attempt("node1", at_once).unwrap(), 1);
        let again = Store::open(dir.path(), Form::Word, false).unwrap();
        assert_eq!(again.attempt("node1", at_once).unwrap(), 2);
        assert_eq!(store.all().unwrap().into_keys().collect::<Vec<_>>(), ["node1"]);
        assert!(store.attempt("../x", at_once).is_err());
    }

    #[test]
    fn a_damaged_count_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Form::Word, true).unwrap();
        for text in ["", "x", "3", "3 4", "-1 2 install", "99999999999 1 install", "\0\0\0"] {
            fs::write(dir.path().join(".tries.node1"), text).unwrap();
            assert_eq!(store.attempt("node1", Duration::ZERO).unwrap(), 1, "{text:?}");
        }
    }
}
