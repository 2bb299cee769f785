//! The digest of a file's contents.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::host::Cancel;

/// What is counted instead of hashed when it is all zero.
pub(super) const BLOCK: usize = 1 << 20;

/// Says that the digest is not of the plain contents; the number is arbitrary and must never change.
const MARK: &[u8; 16] = b"kar zero blocks\0";

/// Hashes `size` bytes of `file`: zero blocks are skipped and, if there are any, their places appended.
///
/// # Errors
/// `UnexpectedEof`: the file is shorter than `size`; `Interrupted`: `cancel` was set.
pub(super) fn digest(file: &File, size: u64, buffer: &mut [u8], cancel: &Cancel) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut zeros: Vec<(u64, u64)> = Vec::new();
    let mut at = 0;
    while at < size {
        if cancel.is_set() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // A hole need not be read; only whole blocks count, whatever the file's layout is.
        let data = next_data(file, at, size)?;
        let skip = (data - at) / BLOCK as u64 * BLOCK as u64;
        if skip > 0 {
            add(&mut zeros, at, skip);
            at += skip;
            continue;
        }
        let length = (size - at).min(BLOCK as u64) as usize;
        let block = &mut buffer[..length];
        file.read_exact_at(block, at)?;
        if length == BLOCK && is_zero(block) {
            add(&mut zeros, at, BLOCK as u64);
        } else {
            hasher.update(block);
        }
        at += length as u64;
    }
    if !zeros.is_empty() {
        hasher.update(MARK);
        for (start, length) in zeros {
            hasher.update(&start.to_le_bytes());
            hasher.update(&length.to_le_bytes());
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

fn add(zeros: &mut Vec<(u64, u64)>, start: u64, length: u64) {
    match zeros.last_mut() {
        Some((from, before)) if *from + *before == start => *before += length,
        _ => zeros.push((start, length)),
    }
}

/// Where data stands at or after `at`; `size` when only a hole follows.
fn next_data(file: &File, at: u64, size: u64) -> io::Result<u64> {
    if size - at < BLOCK as u64 {
        return Ok(at);
    }
    match lseek(file, at as i64, Whence::SeekData) {
        Ok(data) => Ok((data as u64).clamp(at, size)),
        Err(Errno::ENXIO) => Ok(size),
        // A filesystem that knows no holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(at),
        Err(error) => Err(error.into()),
    }
}

fn is_zero(block: &[u8]) -> bool {
    block[0] == 0 && block[..block.len() - 1] == block[1..]
}
