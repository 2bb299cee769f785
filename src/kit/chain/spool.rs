//! A file beside a source that cannot be read twice: what was read of it is read there again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::host::{Cancel, Fault, Result};
use crate::kit::stream::{Again, Source};

/// Reads a source and keeps what came in a file, which is gone when nobody needs it any more.
pub struct Spool {
    source: Box<dyn Source>,
    kept: Arc<Kept>,
    at: u64,
}

struct Kept {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    written: u64,
    /// How the source ended, once it did.
    end: Option<Result<()>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// # Errors
/// `chain.spool`: there is such a file already, or none can be made there.
pub fn spool(source: Box<dyn Source>, path: &Path) -> Result<Spool> {
    let fail = |error| Fault::io("chain.spool", format_args!("make the spool `{}`", path.display()), error);
    let file = File::options().read(true).write(true).create_new(true).open(path).map_err(fail)?;
    let kept = Kept { path: path.into(), file, state: Mutex::default(), moved: Condvar::new() };
    Ok(Spool { source, kept: Arc::new(kept), at: 0 })
}

impl Spool {
    fn keep(&mut self, data: &[u8]) -> Result<()> {
        let what = || format!("write to the spool `{}` at byte {}", self.kept.path.display(), self.at);
        self.kept.file.write_all_at(data, self.at).map_err(|error| Fault::io("chain.spool", what(), error))?;
        self.at += data.len() as u64;
        Ok(())
    }
}

impl Source for Spool {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn size(&self) -> Option<u64> {
        self.source.size()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.source.heed(cancel);
    }

    fn again(&self) -> Option<Again> {
        let (kept, name, size) = (self.kept.clone(), self.describe(), self.size());
        let again = move || -> Result<Box<dyn Source>> {
            Ok(Box::new(Reread { kept: kept.clone(), name: name.clone(), size, at: 0, cancel: Cancel::new() }))
        };
        Some(Arc::new(again))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.source.read(buffer).and_then(|length| self.keep(&buffer[..length]).map(|()| length));
        let mut state = self.kept.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &read {
            Ok(0) => state.end = Some(Ok(())),
            Ok(_) => state.written = self.at,
            Err(fault) => state.end = Some(Err(fault.clone())),
        }
        drop(state);
        self.kept.moved.notify_all();
        read
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let mut state = self.kept.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end.get_or_insert_with(|| Err(Fault::stopped()));
        drop(state);
        self.kept.moved.notify_all();
    }
}

/// What the spool has, and what it will have.
struct Reread {
    kept: Arc<Kept>,
    name: String,
    size: Option<u64>,
    at: u64,
    cancel: Cancel,
}

impl Source for Reread {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut state = self.kept.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.written == self.at {
            match &state.end {
                Some(end) => return end.clone().map(|()| 0),
                None if self.cancel.is_set() => return Err(Fault::stopped()),
                None => {}
            }
            let waited = self.kept.moved.wait_timeout(state, Duration::from_millis(100));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let there = usize::try_from(state.written - self.at).unwrap_or(usize::MAX).min(buffer.len());
        drop(state);
        let what = || format!("read the spool `{}` at byte {}", self.kept.path.display(), self.at);
        let length =
            self.kept.file.read_at(&mut buffer[..there], self.at).map_err(|e| Fault::io("chain.spool", what(), e))?;
        if length == 0 {
            return Err(Fault::new("chain.spool", format!("cannot {}: somebody cut it", what())));
        }
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::stream::blob;

    fn all(source: &mut dyn Source) -> Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(bytes),
                length => bytes.extend(&buffer[..length]),
            }
        }
    }

    #[test]
    fn it_is_read_again_while_it_is_read_and_gone_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut first = spool(Box::new(blob(b"one and two and three".to_vec())), &path).unwrap();
        let again = first.again().unwrap();
        first.read(&mut [0; 8]).unwrap();
        let mut second = again().unwrap();
        let reader = std::thread::spawn(move || all(&mut *second));
        all(&mut first).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b"one and two and three");
        drop(first);
        assert_eq!(all(&mut *again().unwrap()).unwrap(), b"one and two and three");
        assert_eq!(spool(Box::new(blob(vec![])), &path).err().unwrap().kind, "chain.spool");
        drop(again);
        assert!(!path.exists());
    }

    #[test]
    fn who_reads_again_learns_that_it_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = spool(Box::new(blob(vec![1; 100])), &folder.path().join("spool")).unwrap();
        let again = first.again().unwrap();
        first.read(&mut [0; 8]).unwrap();
        drop(first);
        assert!(all(&mut *again().unwrap()).is_err());
    }
}
