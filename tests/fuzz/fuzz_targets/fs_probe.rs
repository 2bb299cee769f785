//! Superblocks of any kind: `fs::probe_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = kar::kit::fs::probe_bytes(data);
});
