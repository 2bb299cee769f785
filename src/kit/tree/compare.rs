//! What two trees differ in, in words for people.

use std::collections::BTreeMap;

use super::{Entry, Kind, Manifest, show};

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Relative to the roots, as [`show`] writes it.
    pub path: String,
    /// `mode 0755 here, 0644 there`.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// All differences of two trees, sorted by path: `here` is the first, `there` the second. Times are compared when
/// both manifests hold them, but not those of directories that something was left out of on either side.
pub fn compare(here: &Manifest, there: &Manifest) -> Vec<Difference> {
    let times = here.times && there.times;
    let mut pairs: BTreeMap<&[u8], (Option<&Entry>, Option<&Entry>)> = BTreeMap::new();
    for entry in &here.entries {
        pairs.entry(&entry.path).or_default().0 = Some(entry);
    }
    for entry in &there.entries {
        pairs.entry(&entry.path).or_default().1 = Some(entry);
    }
    let mut differences = Vec::new();
    for (path, pair) in pairs {
        let mut add = |what: String| differences.push(Difference { path: show(path).into_owned(), what });
        match pair {
            (Some(a), Some(b)) => entries(a, b, times, &mut add),
            (Some(a), None) => add(format!("{} here, missing there", a.kind.name())),
            (None, Some(b)) => add(format!("missing here, {} there", b.kind.name())),
            (None, None) => {}
        }
    }
    differences
}

fn entries(a: &Entry, b: &Entry, times: bool, add: &mut impl FnMut(String)) {
    if a.kind != b.kind {
        return add(format!("{} here, {} there", a.kind.name(), b.kind.name()));
    }
    let mut pair = |what: &str, a: String, b: String| {
        if a != b {
            add(format!("{what} {a} here, {b} there"));
        }
    };
    pair("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode));
    pair("owner", a.uid.to_string(), b.uid.to_string());
    pair("group", a.gid.to_string(), b.gid.to_string());
    pair("size", a.size.to_string(), b.size.to_string());
    pair("target", format!("`{}`", show(&a.target)), format!("`{}`", show(&b.target)));
    pair("device", format!("{}:{}", a.device.0, a.device.1), format!("{}:{}", b.device.0, b.device.1));
    if times && !a.partial && !b.partial {
        pair("modified", time(a.mtime), time(b.mtime));
    }
    let link = |entry: &Entry| match &entry.hard_link {
        Some(first) => format!("is the same file as `{}`", show(first)),
        None => "is a file of its own".to_string(),
    };
    pair("hard link:", link(a), link(b));
    // Where one is a hard link and the other is not, the contents of the one were not read.
    let alike = a.kind == Kind::File && a.size == b.size && a.hard_link.is_some() == b.hard_link.is_some();
    if alike && a.content != b.content {
        let hex = |digest: Option<[u8; 32]>| match digest {
            Some(digest) => blake3::Hash::from(digest).to_hex()[..16].to_string(),
            None => "unread".to_string(),
        };
        pair("contents", hex(a.content), hex(b.content));
    }
    if a.hard_link.is_some() == b.hard_link.is_some() {
        attributes(a, b, &mut pair);
    }
}

fn attributes(a: &Entry, b: &Entry, pair: &mut impl FnMut(&str, String, String)) {
    let find = |entry: &Entry, name: &[u8]| {
        entry
            .xattrs
            .iter()
            .find(|(known, _)| known == name)
            .map_or_else(|| "missing".to_string(), |(_, value)| hex(value))
    };
    let mut names: Vec<&[u8]> = a.xattrs.iter().chain(&b.xattrs).map(|(name, _)| name.as_slice()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        pair(&format!("attribute {}", show(name)), find(a, name), find(b, name));
    }
}

fn time((seconds, nanos): (i64, u32)) -> String {
    let since = std::time::Duration::new(seconds.unsigned_abs(), 0);
    let at = match seconds {
        0.. => std::time::UNIX_EPOCH.checked_add(since),
        _ => std::time::UNIX_EPOCH.checked_sub(since),
    };
    match at.filter(|_| (0..253_402_300_800).contains(&seconds)) {
        Some(at) => humantime::format_rfc3339_nanos(at + std::time::Duration::from_nanos(nanos.into())).to_string(),
        None => format!("{seconds}.{nanos:09}"),
    }
}

/// Values are told in full: two long ones may differ in their last byte only.
fn hex(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => format!("`{text}`"),
        _ => value.iter().fold("0x".to_string(), |text, byte| text + format!("{byte:02x}").as_str()),
    }
}
