#![no_main]

use libfuzzer_sys::fuzz_target;

// Texts from people and from other programs: sfdisk dumps and Ka-deploy's descriptions.
fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let _ = kar::kit::disk::parse_dump(&text);
    let _ = kar::kit::disk::parse_description(&text);
});
