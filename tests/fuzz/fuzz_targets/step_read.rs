#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(word) = kar::kit::step::parse(&String::from_utf8_lossy(data)) {
        assert!(kar::kit::step::check_word(&word).is_ok());
    }
});
