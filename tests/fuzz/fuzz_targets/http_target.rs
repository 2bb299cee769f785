#![no_main]
use kar::kit::http::{Range, Url, range, target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, rest) = text.split_once('?').unwrap_or((text, ""));
    if let Some(target) = target(path, Some(rest)) {
        assert!(!target.name.starts_with('/') && target.name.split('/').all(|part| part != ".."));
    }
    if let Range::Part(first, end) = range(text, 1 << 40) {
        assert!(first < end && end <= 1 << 40);
    }
    if let Ok(url) = Url::parse(text) {
        assert_eq!(Url::parse(&url.to_string()).ok().as_ref(), Some(&url));
    }
    let here = Url::parse("https://a:1/b/c?d").expect("it is one");
    if let Ok(next) = here.follow(text) {
        assert!(next.tls);
    }
});
