//! What was done, when, how long, with what result: JSON lines, one for each effect.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Fault, Result, Worker};

/// A journal line. Times are UTC, RFC 3339 with milliseconds; durations are seconds.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    time: String,
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    verb: &'a str,
    object: &'a str,
    /// `ok`, or the fault's kind.
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        time: SystemTime,
        duration: Duration,
        verb: &'a str,
        object: &'a str,
        failed: Option<&'a Fault>,
    ) -> Self {
        Entry {
            time: humantime::format_rfc3339_millis(time).to_string(),
            duration: (duration.as_secs_f64() * 1e6).round() / 1e6,
            node: Worker::current().label,
            verb,
            object,
            result: failed.map_or("ok", |fault| &fault.kind),
            message: failed.map(|fault| fault.message.as_str()),
        }
    }
}

/// Empty until [`Journal::open`]: lines before that are not kept.
#[derive(Default)]
pub struct Journal(Mutex<Vec<(PathBuf, File)>>, AtomicBool);

impl Journal {
    /// Appends to `path` from now on, beside any file already open. The same file twice is the same journal.
    pub fn open(&self, path: &Path) -> Result<()> {
        let fail = |error| Fault::io("journal.open", format_args!("open journal `{}`", path.display()), error);
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(fail)?;
        let path = path.canonicalize().map_err(fail)?;
        let mut files = self.0.lock().expect("no journal writer panics");
        if !files.iter().any(|(known, _)| *known == path) {
            files.push((path, file));
        }
        self.1.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether what is written now is kept.
    pub fn is_open(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// One `write` call a line, so that lines of several processes do not mix.
    pub(super) fn write(&self, entry: &Entry<'_>) -> Result<()> {
        let mut files = self.0.lock().expect("no journal writer panics");
        if files.is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_string(entry).expect("an entry is plain data");
        line.push('\n');
        for (path, file) in files.iter_mut() {
            file.write_all(line.as_bytes()).map_err(|error| {
                Fault::io("journal.write", format_args!("write journal `{}`", path.display()), error)
            })?;
        }
        Ok(())
    }
}
