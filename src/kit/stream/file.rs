//! A file as a source.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Again, Source};
use crate::host::{Fault, Result};

/// A regular file, a disk, or a character device that ends or is read for ever.
pub struct File {
    path: PathBuf,
    file: std::fs::File,
    /// Known for regular files: one that ends before was cut short while it was read.
    size: Option<u64>,
    done: u64,
}

/// # Errors
/// `stream.open`: it cannot be read, or is a folder, a FIFO or a socket.
pub fn file(path: &Path) -> Result<File> {
    let fail = |error| Fault::io("stream.open", format_args!("open `{}`", path.display()), error);
    let refuse = |what| Fault::new("stream.open", format!("cannot open `{}`: it is {what}", path.display()));
    let kind = std::fs::metadata(path).map_err(fail)?.file_type();
    if kind.is_dir() {
        return Err(refuse("a folder").hint("a folder goes as an archive: tar::from(dir)"));
    }
    if kind.is_fifo() || kind.is_socket() {
        // Opening it could wait for ever.
        return Err(refuse("no file").hint("read it by a program: stream::command(\"cat\", [path])"));
    }
    let file = std::fs::File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    Ok(File { path: path.into(), file, size: meta.is_file().then_some(meta.len()), done: 0 })
}

impl Source for File {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn again(&self) -> Option<Again> {
        let path = self.path.clone();
        self.size.map(|_| -> Again { Arc::new(move || Ok(Box::new(file(&path)?))) })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            return match self.file.read(buffer) {
                // What /proc and /sys say of their sizes is not meant.
                Ok(0) if self.size.is_some_and(|size| size > 4096 && self.done < size) => Err(Fault::new(
                    "stream.read",
                    format!(
                        "cannot read `{}`: it ended at {} of {} bytes, somebody cut it meanwhile",
                        self.path.display(),
                        self.done,
                        self.size.unwrap_or(0)
                    ),
                )),
                Ok(count) => {
                    self.done += count as u64;
                    Ok(count)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(Fault::io(
                    "stream.read",
                    format_args!("read `{}` at byte {}", self.path.display(), self.done),
                    error,
                )),
            };
        }
    }
}
