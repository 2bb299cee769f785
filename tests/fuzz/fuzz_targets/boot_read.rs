#![no_main]
use kar::kit::boot::{Flavour, read, render};

// What reads either renders to something that reads the same, or is refused.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(decision) = read(&String::from_utf8_lossy(data)) {
        if let Ok(text) = render(&decision, Flavour::Ipxe) {
            assert_eq!(read(&text).ok(), Some(decision));
        }
    }
});
