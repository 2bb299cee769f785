//! What stands between the method and the version: the name of a file, and a query.

use std::collections::BTreeMap;

use crate::kit::served::clean;

/// A request's target, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Relative and clean, empty for the root itself.
    pub name: String,
    /// Of a name that comes twice the last value.
    pub query: BTreeMap<String, String>,
}

/// Decodes percent signs once (RFC 3986, 2.1) and cleans what then stands there, so that no coding hides a `..`.
///
/// `None` for what must not be served, and for what is no UTF-8.
pub fn target(path: &str, query: Option<&str>) -> Option<Target> {
    let decoded = decode(path, false)?;
    let name = if decoded.chars().all(|c| c == '/') { String::new() } else { clean(&decoded)? };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name, true)?, decode(value, true)?))
    };
    let pairs = query.unwrap_or_default().split('&').filter(|text| !text.is_empty());
    Some(Target { name, query: pairs.map(pair).collect::<Option<_>>()? })
}

/// `plus`: a `+` is a space, as in queries.
fn decode(text: &str, plus: bool) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                (digit(rest.next())? * 16 + digit(rest.next())?) as u8
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_coding_hides_a_way_out() {
        for (path, name) in [
            ("/boot.ipxe", Some("boot.ipxe")),
            ("//a//b%20c", Some("a/b c")),
            ("/%5CBoot%5cBCD", Some("Boot/BCD")),
            ("/", Some("")),
            ("/a/../b", None),
            ("/%2e%2e/b", None),
            ("/a%2f..%2fb", None),
            ("/..%5c..%5cb", None),
            ("/%00", None),
            ("/%ff", None),
            ("/%2", None),
            ("/%zz", None),
            // Decoded once only: this is a file of that odd name.
            ("/%252e%252e/b", Some("%2e%2e/b")),
        ] {
            assert_eq!(target(path, None).map(|target| target.name).as_deref(), name, "{path}");
        }
        let query = target("/x", Some("mac=52%3a54&name=a+b&empty&mac=last")).unwrap().query;
        let pairs: Vec<_> = query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("empty", ""), ("mac", "last"), ("name", "a b")]);
    }

    proptest! {
        #[test]
        fn a_name_stays_below(path in "(/|%2e|%2F|\\.|%5c|%|a|\\\\){0,12}", query in "[a%=&+0-9]{0,12}") {
            if let Some(target) = target(&path, Some(&query)) {
                prop_assert!(target.name.is_empty() || clean(&target.name).as_deref() == Some(&target.name));
            }
        }
    }
}
