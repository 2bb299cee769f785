//! What a server gives a node to do: the recipe with all scripts that it imports, and its arguments, as one JSON text.
//!
//! The node runs the server's scripts, not those of its own binary: both may be of different days.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::host::{Fault, Result};

/// The longest one that is taken, bytes.
pub const MOST: usize = 8 << 20;
/// The form's number; another form has another one.
const FORM: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    form: u32,
    /// One of `scripts`.
    pub recipe: String,
    /// Folders with modules of `std/`, first to last.
    pub lib: Vec<String>,
    /// Text of each, by a path without `..` that begins with no slash.
    pub scripts: BTreeMap<String, String>,
    /// What the server's recipe was called with.
    pub args: Map<String, Value>,
}

impl Job {
    /// # Errors
    /// `node.job`: paths that would lead out of a folder, or no recipe.
    pub fn new(
        recipe: &str,
        lib: Vec<String>,
        scripts: BTreeMap<String, String>,
        args: Map<String, Value>,
    ) -> Result<Job> {
        let job = Job { form: FORM, recipe: recipe.into(), lib, scripts, args };
        let fault = |why| Fault::new("node.job", format!("cannot make a job of `{}`: {why}", recipe.escape_debug()));
        job.check().map_err(fault)?;
        Ok(job)
    }

    /// # Errors
    /// `node.job`: not one, or of another form, or one that would write somewhere else.
    pub fn parse(bytes: &[u8]) -> Result<Job> {
        if bytes.len() > MOST {
            return Err(wrong(&format!("it has {} bytes, at most {MOST} are taken", bytes.len())));
        }
        // The form first: of another one nothing else need be as it is here.
        let value: Value = serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        match value.get("form").and_then(Value::as_u64) {
            Some(form) if form != u64::from(FORM) => {
                return Err(wrong(&format!("it is of form {form}, this kar reads form {FORM}"))
                    .hint("the node's image has another kar than the server: make it anew with `kar run netboot`"));
            }
            _ => {}
        }
        let job: Job = serde_json::from_value(value).map_err(|error| wrong(&error.to_string()))?;
        job.check().map_err(|why| wrong(&why))?;
        Ok(job)
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers have a JSON form")
    }

    /// Or why it is none.
    fn check(&self) -> std::result::Result<(), String> {
        for path in self.scripts.keys().chain(&self.lib) {
            let plain = !path.is_empty() && !path.contains('\0');
            if !plain || !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(format!("`{}` is no path inside a folder", path.escape_debug()));
            }
        }
        match self.scripts.contains_key(&self.recipe) {
            true => Ok(()),
            false => Err(format!("the recipe `{}` is not among its scripts", self.recipe.escape_debug())),
        }
    }

    /// Writes the scripts below `dir`; gives the recipe's path there, and the folders of the library.
    ///
    /// # Errors
    /// `node.job`: they cannot be written.
    pub fn unpack(&self, dir: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
        for (path, text) in &self.scripts {
            let path = dir.join(path);
            let fail = |error| Fault::io("node.job", format_args!("write `{}`", path.display()), error);
            std::fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(fail)?;
            std::fs::write(&path, text).map_err(fail)?;
        }
        Ok((dir.join(&self.recipe), self.lib.iter().map(|path| dir.join(path)).collect()))
    }
}

fn wrong(why: &str) -> Fault {
    Fault::new("node.job", format!("no job for a node: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(path: &str) -> Result<Job> {
        let scripts = BTreeMap::from([(path.to_string(), "fn main(args) {}".to_string())]);
        Job::new(path, vec!["std".into()], scripts, Map::new())
    }

    #[test]
    fn a_job_arrives_as_it_was_sent_and_lies_in_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let sent = job("srv/site/room").unwrap();
        let got = Job::parse(sent.text().as_bytes()).unwrap();
        assert_eq!(got, sent);
        let (recipe, lib) = got.unpack(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(recipe).unwrap(), "fn main(args) {}");
        assert_eq!(lib, [dir.path().join("std")]);
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a/./b/..", "."] {
            let fault = job(path).unwrap_err();
            assert!(fault.kind == "node.job" && fault.message.starts_with("cannot make a job"), "{fault}");
        }
        let text = job("a").unwrap().text().replace("\"form\":1", "\"form\":2");
        assert!(Job::parse(text.as_bytes()).unwrap_err().message.contains("form 2"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Job::parse(&bytes);
        }

        #[test]
        fn whatever_is_read_stays_inside(path in "[a-z./]{0,12}") {
            if let Ok(job) = job(&path) {
                prop_assert!(!job.recipe.starts_with('/') && !job.recipe.split('/').any(|part| part == ".."));
            }
        }
    }
}
