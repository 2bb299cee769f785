//! A stream of tar as a tree.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::Reader;
use super::extract::Extractor;
use super::feed::{Push, feed};
use crate::host::{Fault, Result};
use crate::kit::fs;
use crate::kit::stream::{Delivered, Sink};

/// Unpacks what is pushed into it below a directory, on a thread of its own.
///
/// Numeric owners, modes, attributes, ACLs, capabilities, holes and times become what they were. Files that stand
/// there are replaced, directories kept, nothing else is touched. See [`extract`] for the errors.
pub struct TarSink {
    root: PathBuf,
    push: Option<Push>,
    worker: Option<JoinHandle<Result<Delivered>>>,
    failed: Option<Fault>,
}

impl TarSink {
    /// # Errors
    /// `tar.open`: `dir` is missing or no directory.
    pub fn new(dir: &Path) -> Result<Self> {
        let extractor = Extractor::new(dir)?;
        let (push, pull) = feed();
        let work = move || extractor.run(Reader::new(pull));
        let worker = std::thread::Builder::new()
            .name("untar".to_string())
            .spawn(work)
            .map_err(|error| Fault::io("tar.open", "start a thread to unpack", error))?;
        Ok(TarSink { root: dir.to_path_buf(), push: Some(push), worker: Some(worker), failed: None })
    }

    /// What the thread came to, once it was told the end or has ended by itself.
    fn join(&mut self) -> Result<Delivered> {
        self.push = None;
        let result = match self.worker.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Fault::new("tar.panic", "unpacking ended by a bug in kar")),
            None => Err(self.failed.clone().unwrap_or_else(over)),
        };
        if let Err(fault) = &result {
            self.failed = Some(fault.clone());
        }
        result
    }
}

fn over() -> Fault {
    Fault::new("tar.cut", "the stream is over already")
}

impl Sink for TarSink {
    fn describe(&self) -> String {
        format!("tar into {}", self.root.display())
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let Some(push) = &mut self.push else {
            return Err(self.failed.clone().unwrap_or_else(over));
        };
        match push.write(data) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.join().err().unwrap_or_else(over)),
        }
    }

    fn finish(&mut self) -> Result<Delivered> {
        if let Some(push) = self.push.take() {
            push.end();
        }
        let result = self.join().and_then(|delivered| {
            fs::write_out(&self.root).map(|()| delivered).map_err(|error| {
                let what = format!("write out what was unpacked into `{}`", self.root.display());
                Fault::io("tar.write", what, error).hint("the disk below it is full or broken")
            })
        });
        self.failed.get_or_insert_with(over);
        result
    }

    /// What was unpacked so far stays, and the sink fails from now on.
    fn abort(&mut self, why: &Fault) {
        if let Some(push) = self.push.take() {
            push.cut(why.clone());
            let _ = self.join();
        }
        self.failed.get_or_insert_with(|| why.clone());
    }
}

impl Drop for TarSink {
    fn drop(&mut self) {
        self.abort(&Fault::new("tar.cut", "the stream was given up"));
    }
}

/// Unpacks an archive that can be read here below `dir`.
///
/// # Errors
/// `tar.open`: `dir` is missing; `tar.format`, `tar.truncated`, `tar.read`: see [`Reader`]; `tar.escape`: a member
/// wants to leave `dir`; `tar.write`: a member cannot be made (names it, the bytes written and the cause).
pub fn extract(archive: impl BufRead, dir: &Path) -> Result<Delivered> {
    Extractor::new(dir)?.run(Reader::new(archive))
}
