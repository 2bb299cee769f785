//! A store of step files as a script value: made by `step`, told to closures by servers.

use std::path::Path;

use super::prelude::*;
use crate::kit::step::{self, Form, Steps};

/// A folder of step files, here or on a server. Copies are the same folder.
#[derive(Clone)]
pub struct Store(pub(super) Steps);

impl Planned for Store {
    fn planned(effect: &Effect<'_>) -> Result<Self> {
        // Nothing is written to a folder that is not there yet, so looking into it is enough.
        let dir = Path::new(&effect.object);
        let dir = if dir.is_dir() { dir } else { Path::new(".") };
        Ok(Store(Steps::Folder(step::Store::open(dir, Form::Word, false)?)))
    }
}
