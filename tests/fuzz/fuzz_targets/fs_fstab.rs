//! Texts that might be an fstab: `fs::fstab`; each line keeps its text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(lines) = kar::kit::fs::fstab(text) else { return };
    assert_eq!(lines.len(), text.lines().count());
    for line in lines {
        let Some(entry) = line.entry else { continue };
        assert!(line.text.ends_with(&entry.rest) && !entry.dir.is_empty());
    }
});
