#![no_main]

use libfuzzer_sys::fuzz_target;

// The parser alone: what it yields may be anything, but it must end, and not by a panic.
fuzz_target!(|data: &[u8]| {
    for entry in kar::kit::archive::list(data) {
        if entry.is_err() {
            break;
        }
    }
});
