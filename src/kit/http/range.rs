//! Which part of a file is asked for (RFC 9110, 14).

/// What a `Range` header asks of a file of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// No range, several, or none that is understood: all of it, as RFC 9110, 14.2 allows.
    Whole,
    /// From the first byte to before the second.
    Part(u64, u64),
    /// Nothing of it is there: 416.
    Beyond,
}

/// Reads `bytes=0-499`, `bytes=500-` and `bytes=-500` against a size.
pub fn range(header: &str, size: u64) -> Range {
    let Some(spec) = header.trim().strip_prefix("bytes=") else { return Range::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Range::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a number has is beyond every file.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => between(first, u64::MAX, size),
        (Some(first), Some(last)) if first <= last => between(first, last, size),
        (None, Some(0)) if first.is_empty() => Range::Beyond,
        (None, Some(suffix)) if first.is_empty() => between(size.saturating_sub(suffix), u64::MAX, size),
        _ => Range::Whole,
    }
}

fn between(first: u64, last: u64, size: u64) -> Range {
    if first < size { Range::Part(first, last.saturating_add(1).min(size)) } else { Range::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_as_clients_write_them() {
        for (header, wanted) in [
            ("bytes=0-499", Range::Part(0, 500)),
            ("bytes=500-", Range::Part(500, 1000)),
            ("bytes=-1", Range::Part(999, 1000)),
            ("bytes=-5000", Range::Part(0, 1000)),
            ("bytes=999-5000", Range::Part(999, 1000)),
            ("bytes=1000-", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=99999999999999999999999-", Range::Beyond),
            ("bytes=5-4", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(range(header, 1000), wanted, "{header}");
        }
        assert_eq!((range("bytes=0-", 0), range("bytes=-1", 0)), (Range::Beyond, Range::Beyond));
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size: u64) {
            if let Range::Part(first, end) = range(&header, size) {
                prop_assert!(first < end && end <= size);
            }
        }
    }
}
