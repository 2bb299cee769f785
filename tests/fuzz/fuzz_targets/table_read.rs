#![no_main]

use std::io;
use std::os::unix::fs::FileExt;

use kar::kit::disk::{Geometry, read_table};
use libfuzzer_sys::fuzz_target;

/// A disk of given bytes that is never written.
struct Bytes<'a>(&'a [u8]);

impl FileExt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

// The first byte says how large its sectors are, the rest is the disk.
fuzz_target!(|data: &[u8]| {
    let Some((first, disk)) = data.split_first() else { return };
    let sector_size = if first % 2 == 0 { 512 } else { 4096 };
    let sectors = disk.len() as u64 / u64::from(sector_size);
    let _ = read_table(&Bytes(disk), Geometry { sectors, sector_size });
});
