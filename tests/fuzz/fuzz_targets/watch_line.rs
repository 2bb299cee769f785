#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = kar::kit::watch::parse_from_node(data);
});
