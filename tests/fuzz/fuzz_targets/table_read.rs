//! A disk's first and last sectors, as both labels and both sector sizes: `disk::read_table`.
#![no_main]

use std::os::unix::fs::FileExt;

use kar::kit::disk::{Geometry, Table, read_table};

struct Memory<'a>(&'a [u8]);

impl FileExt for Memory<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let length = buffer.len().min(self.0.len() - start);
        buffer[..length].copy_from_slice(&self.0[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for sector_size in [512, 4096] {
        let geometry = Geometry { sectors: data.len() as u64 / u64::from(sector_size), sector_size };
        if let Ok(Some(layout)) = read_table(&Memory(data), geometry) {
            let _ = (layout.check(), layout.sfdisk());
            if let Ok(mended) = layout.mended(&[]) {
                mended.check().expect("what was mended keeps the rules");
            }
            let table = Table::Layout(layout);
            let _ = (table.draw(), table.description());
            if let Ok(layout) = table.refit(Geometry { sectors: 1 << 20, sector_size: 512 }, None) {
                layout.check().expect("what was made to fit keeps the rules");
            }
        }
    }
});
