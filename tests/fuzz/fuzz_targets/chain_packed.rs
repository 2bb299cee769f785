//! Compressed payloads: any bytes are expanded to what they claim, or refused, in bounded memory.
#![no_main]

use kar::kit::chain::{frame, unpack};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((claim, payload)) = data.split_first_chunk::<4>() else { return };
    let span = u32::from_be_bytes(*claim) as usize % (2 * frame::CHUNK);
    if let Ok(expanded) = unpack::expand(payload, span) {
        assert_eq!(expanded.len(), span);
    }
});
