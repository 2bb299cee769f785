//! Texts that might be tables: `disk::Table::parse`; what fits a disk has to keep the rules and print and read back.
#![no_main]

use kar::kit::disk::{Geometry, Table};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(table) = Table::parse(text) else { return };
    let _ = (table.sfdisk(), table.description(), table.draw());
    for sectors in [1 << 16, 1 << 24] {
        if let Ok(layout) = table.refit(Geometry { sectors, sector_size: 512 }, None) {
            layout.check().expect("what was made to fit keeps the rules");
        }
    }
    if let Ok(layout) = table.fit(Geometry { sectors: 1 << 21, sector_size: 512 }) {
        layout.check().expect("what fits keeps the rules");
        let again = Table::parse(&layout.sfdisk()).and_then(|table| table.fit(layout.geometry)).expect("it reads back");
        assert_eq!(again.partitions.len(), layout.partitions.len());
    }
});
