//! A file as a sink: there as a whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Delivered, Sink};
use crate::host::{Fault, Result};
use crate::kit::disk::{Use, uses};

/// Writes beside its target under a name of its own and renames at the end, so that nobody sees half a file.
pub struct IntoFile {
    target: PathBuf,
    temporary: PathBuf,
    /// None once ended.
    file: Option<File>,
    bytes: u64,
}

/// A file that is there is replaced at the end and keeps its mode; a symbolic link is followed.
///
/// # Errors
/// `stream.open`: the folder cannot be written to, or the target is no regular file, or an image in use.
pub fn into_file(path: &Path) -> Result<IntoFile> {
    let fail = |error| Fault::io("stream.open", format_args!("write `{}`", path.display()), error);
    let refuse = |what: &str| Fault::new("stream.open", format!("cannot write `{}`: {what}", path.display()));
    let target = path.canonicalize().unwrap_or_else(|_| path.into());
    let before = match target.metadata() {
        Ok(meta) if meta.is_file() => {
            if let Some(Use(what)) = uses(&target).first() {
                return Err(refuse(what).hint("unmount it first"));
            }
            Some(meta.permissions())
        }
        Ok(meta) if meta.is_dir() => return Err(refuse("it is a folder")),
        Ok(_) => return Err(refuse("it is no regular file").hint("disks and partitions are written by dd::into(path)")),
        Err(_) => None,
    };
    let name = target.file_name().ok_or_else(|| refuse("it has no name"))?.to_string_lossy().into_owned();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = target.with_file_name(format!(".{name}.{}-{count}.part", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(fail)?;
    let sink = IntoFile { target, temporary, file: Some(file), bytes: 0 };
    if let (Some(mode), Some(file)) = (before, &sink.file) {
        file.set_permissions(mode).map_err(fail)?;
    }
    Ok(sink)
}

impl IntoFile {
    fn fault(&self, error: std::io::Error) -> Fault {
        let what = format!("write `{}` at byte {}", self.target.display(), self.bytes);
        Fault::io("stream.write", what, error)
    }

    fn give_up(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }

    fn settle(&mut self) -> std::io::Result<()> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        std::fs::rename(&self.temporary, &self.target)?;
        self.file = None;
        // The new name itself has to reach the disk.
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()
    }
}

impl Sink for IntoFile {
    fn describe(&self) -> String {
        self.target.display().to_string()
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(Fault::new("stream.write", format!("cannot write `{}`: it was ended", self.target.display())));
        };
        file.write_all(data).map_err(|error| self.fault(error))?;
        self.bytes += data.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered> {
        if let Err(error) = self.settle() {
            self.give_up();
            return Err(self.fault(error));
        }
        Ok(Delivered { bytes: self.bytes, ..Delivered::default() })
    }

    fn abort(&mut self, _: &Fault) {
        self.give_up();
    }
}

impl Drop for IntoFile {
    fn drop(&mut self) {
        self.give_up();
    }
}
