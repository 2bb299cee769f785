//! Extended records: `LENGTH KEY=VALUE\n` (POSIX.1-2017 pax, "pax Extended Header").

use super::acl;
use super::sparse::{self, Extents, decimal};
use crate::kit::tree::xattrs::Xattrs;

/// The kernel lists 64 KiB of names at most, ext4 far less.
const MOST_XATTRS: usize = 1024;

/// Appends one record; the length counts itself.
pub(super) fn push(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// A time with as many digits as it needs: `-1.5` is a second and a half before 1970.
pub(super) fn time((seconds, nanos): (i64, u32)) -> String {
    let (sign, seconds, nanos) = match (seconds, nanos) {
        (0.., _) => ("", seconds.unsigned_abs(), nanos),
        (_, 0) => ("-", seconds.unsigned_abs(), 0),
        _ => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanos),
    };
    let text = format!("{sign}{seconds}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    match (sign, nanos) {
        (1, _) => Some((seconds, nanos)),
        (_, 0) => Some((-seconds, 0)),
        _ => Some((-seconds - 1, 1_000_000_000 - nanos)),
    }
}

/// What the records before a member say of it, global ones first.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub target: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<(i64, u32)>,
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub xattrs: Xattrs,
    /// GNU sparse: the true name and size, the map, and whether the map stands in the data (version 1.0).
    pub sparse_name: Option<Vec<u8>>,
    pub sparse_size: Option<u64>,
    pub sparse_map: Option<Extents>,
    pub sparse_major: Option<u64>,
    /// Offset of a version 0.0 piece whose length is still to come.
    sparse_offset: Option<u64>,
    /// Values that were left out, and why.
    pub warnings: Vec<String>,
}

impl Pax {
    /// Takes in one header's records; `Err`: what is wrong with them.
    pub(super) fn apply(&mut self, mut data: &[u8]) -> Result<(), String> {
        while !data.is_empty() {
            let bad = || "an extended header is not made of records".to_string();
            let blank = data.iter().take(20).position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length = decimal(&data[..blank])? as usize;
            let record = data.get(blank + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            self.record(&record[..equals], &record[equals + 1..])?;
            data = &data[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number =
            || -> Result<Option<u64>, String> { if value.is_empty() { Ok(None) } else { decimal(value).map(Some) } };
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.target = text(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => {
                let bad = || format!("`{}` is not a time", value.escape_ascii());
                self.mtime = Some(parse_time(value).ok_or_else(bad)?);
            }
            b"SCHILY.devmajor" => self.major = number()?,
            b"SCHILY.devminor" => self.minor = number()?,
            b"SCHILY.acl.access" => self.acl(acl::ACCESS, value)?,
            b"SCHILY.acl.default" => self.acl(acl::DEFAULT, value)?,
            b"RHT.security.selinux" => self.set_xattr(b"security.selinux", value)?,
            b"GNU.sparse.name" => self.sparse_name = text(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = number()?,
            b"GNU.sparse.major" => self.sparse_major = number()?,
            b"GNU.sparse.map" => self.sparse_map = Some(sparse::from_commas(value)?),
            b"GNU.sparse.numblocks" => self.sparse_map = Some(Vec::new()),
            b"GNU.sparse.offset" => self.sparse_offset = number()?,
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse_offset.take().ok_or("a sparse map has a length without an offset")?;
                self.sparse_map.get_or_insert_default().push((offset, number()?.unwrap_or(0)));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.set_xattr(&unescape(name), value)?;
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    // libarchive writes both; the plain one is not changed by this.
                    if let Some(value) = base64(value) {
                        self.set_xattr(&unescape(name), &value)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn acl(&mut self, name: &[u8], text: &[u8]) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        match acl::from_text(text) {
            Ok(xattr) => self.set_xattr(name, &xattr)?,
            Err(why) => self.warnings.push(format!("an ACL was left out: {why}")),
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        if self.xattrs.len() >= MOST_XATTRS {
            return Err(format!("a member has more than {MOST_XATTRS} attributes"));
        }
        self.xattrs.retain(|(known, _)| known != name);
        self.xattrs.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

/// The name of an extended attribute as a key: `=` would end it. As GNU tar 1.35 does.
pub(super) fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'%' => escaped.extend_from_slice(b"%25"),
            b'=' => escaped.extend_from_slice(b"%3D"),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                plain.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().filter(|byte| **byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for length in [0, 1, 80, 88, 89, 90, 91, 92, 980, 990, 9980] {
            let mut records = Vec::new();
            push(&mut records, b"path", &vec![b'x'; length]);
            push(&mut records, b"uid", b"5");
            let mut pax = Pax::default();
            pax.apply(&records).unwrap();
            assert_eq!(pax.path.unwrap_or_default().len(), length);
            assert_eq!(pax.uid, Some(5));
        }
    }

    #[test]
    fn times_before_1970_and_with_fractions() {
        for (value, text) in [
            ((0, 0), "0"),
            ((5, 500_000_000), "5.5"),
            ((-2, 500_000_000), "-1.5"),
            ((-1, 1), "-0.999999999"),
            ((10, 1), "10.000000001"),
        ] {
            assert_eq!(time(value), text);
            assert_eq!(parse_time(text.as_bytes()), Some(value));
        }
        assert_eq!(parse_time(b"1.1234567899"), Some((1, 123_456_789)));
        for text in ["", "-", ".5", "1e5", "99999999999999999999", "+1"] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn attribute_names_and_values_survive() {
        assert_eq!(escape(b"user.a=b%"), b"user.a%3Db%25");
        assert_eq!(unescape(b"user.a%3Db%25%"), b"user.a=b%%");
        assert_eq!(base64(b"AP8Q").unwrap(), [0, 255, 16]);
        assert_eq!(base64(b"AQ==").unwrap(), [1]);
    }

    #[test]
    fn broken_records_are_refused() {
        for data in
            ["5", "99 a=b\n", "6 ab=\nx", "x a=b\n", "3 \n", "0 a=b\n", "18446744073709551615 a=b\n", "9 uid=-1\n"]
        {
            assert!(Pax::default().apply(data.as_bytes()).is_err(), "{data}");
        }
    }
}
