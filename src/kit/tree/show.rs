//! Names for people.

use std::borrow::Cow;
use std::fmt::Write;

/// A name as text: control characters and bytes that are not UTF-8 become `\xNN`; the root's empty path is `.`.
pub fn show(path: &[u8]) -> Cow<'_, str> {
    if path.is_empty() {
        return ".".into();
    }
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.into(),
        _ => {
            let mut text = String::with_capacity(path.len() + 8);
            for chunk in path.utf8_chunks() {
                for c in chunk.valid().chars() {
                    match c.is_control() {
                        true => text.extend(c.escape_default()),
                        false => text.push(c),
                    }
                }
                for byte in chunk.invalid() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        assert_eq!(show(b""), ".");
        assert_eq!(show("käse".as_bytes()), "käse");
        assert_eq!(show(b"a\xff\nb"), "a\\xff\\nb");
    }
}
