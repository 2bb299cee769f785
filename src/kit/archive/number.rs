//! Numbers in header fields: octal text, or binary where octal has no room (GNU, star, libarchive).

/// The value of a field; `None`: it is neither octal nor fits 64 bits.
pub(super) fn read(field: &[u8]) -> Option<i64> {
    match field.first()? {
        0x80 | 0xff => read_binary(field),
        first if first & 0x80 != 0 => None,
        _ => read_octal(field),
    }
}

/// Big-endian two's complement, the first byte being the mark 0x80 or, for negative numbers, 0xff.
fn read_binary(field: &[u8]) -> Option<i64> {
    let negative = field[0] == 0xff;
    let mut value: i128 = if negative { -1 } else { 0 };
    for byte in &field[1..] {
        value = value.checked_mul(256)? + i128::from(*byte);
        if i64::try_from(value).is_err() {
            return None;
        }
    }
    i64::try_from(value).ok()
}

/// Blanks before, a blank or NUL behind; all blank is 0.
fn read_octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0i64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

/// Writes octal digits and a NUL, or zeros where the number has no room: a pax record holds it then.
///
/// Returns whether it had room.
pub(super) fn write(field: &mut [u8], value: i64) -> bool {
    let digits = field.len() - 1;
    let fits = value >= 0 && (digits * 3 >= 63 || value < 1i64 << (digits * 3));
    let text = format!("{:0digits$o}", if fits { value } else { 0 });
    field[..digits].copy_from_slice(text.as_bytes());
    field[digits] = 0;
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        assert_eq!(read(b"0000644\0"), Some(0o644));
        assert_eq!(read(b"   644 \0"), Some(0o644));
        assert_eq!(read(b"77777777"), Some(0o77777777));
        assert_eq!(read(&[0; 8]), Some(0));
        assert_eq!(read(b"0000648\0"), None);
        assert_eq!(read(b"-000001\0"), None);
        assert_eq!(read(&[0x80, 0, 0, 0, 0xb2, 0xd0, 0x5e, 0]), Some(3_000_000_000));
        assert_eq!(read(&[0xff; 12]), Some(-1));
        assert_eq!(read(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read(&[0x90, 0, 0, 0]), None);
    }

    #[test]
    fn what_has_no_room_is_said() {
        let mut field = [1; 8];
        assert!(write(&mut field, 0o7777777));
        assert_eq!(&field, b"7777777\0");
        assert!(!write(&mut field, 0o10000000));
        assert_eq!(&field, b"0000000\0");
        assert!(!write(&mut field, -1));
    }
}
