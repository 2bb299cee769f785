//! Kernel modules, and the tables of depmod.
#![no_main]

use kar::kit::kmod::{Tables, matches, modinfo};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = modinfo(data).map(|info| info.soft().count());
    let text = String::from_utf8_lossy(data);
    let tables = Tables::parse(&text, &text, &text, &text);
    for line in text.lines().take(4) {
        let _ = (tables.of_alias(line), tables.file(line), tables.soft(line));
    }
    if let Some((pattern, name)) = text.split_once('\n').filter(|_| text.len() < 200) {
        let _ = matches(pattern, name);
    }
});
