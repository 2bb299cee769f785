//! Patterns of modules.alias: fnmatch(3) without flags, as kmod uses it.

/// `*` any text, `?` any character, `[a-f0-9]` one of these, `[!..]` none of them, `\` takes the next as it stands.
/// Takes at most as many steps as the two lengths multiplied.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut here) = (0, 0);
    // Behind the last `*`, and where the text stood: what comes back when something later does not match.
    let mut again: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            again = Some((at, here));
            continue;
        }
        let taken = text.get(here).and_then(|byte| one(&pattern[at..], *byte));
        match taken {
            Some(length) => {
                at += length;
                here += 1;
            }
            None if here == text.len() && at == pattern.len() => return true,
            None => match again {
                Some((behind, from)) if from < text.len() => {
                    again = Some((behind, from + 1));
                    (at, here) = (behind, from + 1);
                }
                _ => return false,
            },
        }
    }
}

/// How much of the pattern stands for this byte; none where it does not match.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match set(rest, byte) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            // Without its end it is a plain character.
            None => (byte == b'[').then_some(1),
        },
        [b'\\', next, ..] => (*next == byte).then_some(2),
        [plain, ..] => (*plain == byte).then_some(1),
        [] => None,
    }
}

/// Whether the byte is in the set that begins here, and the set's length with its end.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let not = matches!(pattern.first(), Some(b'!' | b'^'));
    let start = usize::from(not);
    // An end that stands first is a member.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|byte| *byte == b']')?;
    let mut members = &pattern[start..end];
    let mut found = false;
    while let [low, rest @ ..] = members {
        (found, members) = match rest {
            [b'-', high, rest @ ..] => (found || (*low..=*high).contains(&byte), rest),
            _ => (found || *low == byte, rest),
        };
    }
    Some((found != not, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_of_real_tables() {
        let card = "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00";
        assert!(matches("pci:v00008086d0000100Esv*sd*bc*sc*i*", card));
        assert!(!matches("pci:v00008086d0000100Fsv*sd*bc*sc*i*", card));
        assert!(matches("pci:v*d*sv*sd*bc02sc00i*", card));
        assert!(matches("usb:v0525pA4A2d01[0-9]*dc*", "usb:v0525pA4A2d0107dcE0"));
        assert!(!matches("usb:v0525pA4A2d01[0-9]*dc*", "usb:v0525pA4A2d01A7dcE0"));
        assert!(matches("acpi*:PNP0501:*", "acpi:PNP0501:"));
        assert!(
            matches("a[!b-d]e", "aee") && !matches("a[!b-d]e", "ace") && matches("a[", "a[") && matches("\\*", "*")
        );
        assert!(matches("", "") && matches("*", "") && !matches("", "a") && !matches("?", ""));
    }

    proptest! {
        /// The C library's own is the peer, for sets that end: of others POSIX says nothing, and glibc takes `[` for itself in
        /// `[a` but matches nothing with `[a-`.
        #[test]
        fn as_fnmatch(pattern in "([ab*?\\]!^-]|\\[[!^]?\\]?[ab*?\\[!^-]{1,4}\\]){0,6}", text in "[ab\\[-]{0,8}") {
            let (p, t) = (std::ffi::CString::new(pattern.clone()).unwrap(), std::ffi::CString::new(text.clone()).unwrap());
            // SAFETY: both are terminated and live until the call returns.
            let theirs = unsafe { libc::fnmatch(p.as_ptr(), t.as_ptr(), 0) } == 0;
            prop_assert_eq!(matches(&pattern, &text), theirs, "{} {}", pattern, text);
        }
    }
}
