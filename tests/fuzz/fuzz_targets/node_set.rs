#![no_main]
use kar::kit::nodeset::{expand, fold};

// Any text is a node set or refused; the names of one fold to a set of the same names.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(mut names) = expand(&String::from_utf8_lossy(data)) {
        if let Ok(mut again) = expand(&fold(names.iter().map(String::as_str))) {
            names.sort();
            again.sort();
            assert_eq!(names, again);
        }
    }
});
