//! Image files.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::lock;
use crate::host::{Fault, Result, format_size};

/// Makes a sparse image file of `size` bytes, all zeros, which takes no space until it is written. `force` empties one
/// that is there, unless it is open for writing or attached somewhere.
///
/// # Errors
/// `disk.exists`, `disk.size` (not whole sectors, or more than the filesystem there takes), `disk.busy`,
/// `disk.locked`, `disk.create`.
pub fn create(path: &Path, size: u64, force: bool) -> Result<()> {
    if size == 0 || !size.is_multiple_of(512) {
        let message = format!("image `{}` of {size} bytes: a disk has whole sectors of 512 bytes", path.display());
        return Err(Fault::new("disk.size", message));
    }
    let fail = |error: std::io::Error| {
        let what = format!("create image `{}` of {}", path.display(), format_size(size));
        match error.raw_os_error() {
            Some(nix::libc::EFBIG) => {
                Fault::io("disk.size", what, error).hint("the filesystem there has no room for it")
            }
            _ => Fault::io("disk.create", what, error),
        }
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let (file, fresh) = match options.clone().create_new(true).open(path) {
        Ok(file) => (file, true),
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(fail(error)),
        Err(_) if !force => {
            return Err(Fault::new("disk.exists", format!("cannot create image `{}`: it exists", path.display()))
                .hint("`force: true` replaces it, `disk::open` opens it"));
        }
        Err(_) => (existing(&options, path)?, false),
    };
    let written = if fresh { Ok(()) } else { file.set_len(0) }.and_then(|()| grow(&file, size));
    written.map_err(|error| {
        if fresh {
            // Nothing half-made stays; that it cannot be removed would change nothing about the fault.
            let _ = std::fs::remove_file(path);
        }
        fail(error)
    })
}

fn existing(options: &OpenOptions, path: &Path) -> Result<File> {
    let fail = |error| Fault::io("disk.create", format_args!("open image `{}`", path.display()), error);
    let file = options.open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(Fault::new("disk.exists", format!("`{}` is no image file and is not replaced", path.display())));
    }
    lock::lock(&file, path)?;
    super::refuse_used(path, false)?;
    if let Some(device) = super::holder_of_loop(path).first() {
        return Err(Fault::new("disk.busy", format!("image `{}` is attached as /dev/{device}", path.display())));
    }
    Ok(file)
}

/// Sets the length, and reads the last byte: some filesystems take a length that they cannot address.
fn grow(file: &File, size: u64) -> std::io::Result<()> {
    file.set_len(size)?;
    file.read_exact_at(&mut [0], size - 1)
}
