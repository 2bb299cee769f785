//! Where lines of earlier sessions are kept.

use std::path::{Path, PathBuf};

/// `kar/history` in the folder for state that a user's programs keep; none where there is no home.
/// See the XDG base directory specification: a relative folder does not count.
pub fn file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
    let file = state.join("kar/history");
    ready(&file).then_some(file)
}

/// A session without history is better than none at all: nothing here is an error.
fn ready(file: &Path) -> bool {
    file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
}
