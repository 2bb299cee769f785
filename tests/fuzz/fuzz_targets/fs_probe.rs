#![no_main]

use libfuzzer_sys::fuzz_target;

// A disk whose bytes may be anything: no superblock may be believed further than the disk goes.
fuzz_target!(|data: &[u8]| {
    let _ = kar::kit::fs::probe_bytes(data);
});
