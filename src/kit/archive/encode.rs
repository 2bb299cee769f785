//! A member's headers: ustar, and before it the records that ustar has no room for.

use super::header::{self, Block};
use super::{Entry, Kind, acl, number, padding, pax, sparse};

/// The headers of `entry` up to where its data begins, the map of a sparse file included.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut block = header::empty();
    let mut records = Vec::new();
    let map = entry.extents.as_ref().map(|extents| sparse::map(extents, entry.size));
    match &map {
        None => path(&mut block, &mut records, &entry.path),
        Some(_) => {
            // Readers without the form find the data under this name, as with GNU tar.
            let (dir, name) = split(&entry.path);
            header::set_path(&mut block, &[dir, b"GNUSparseFile.0/", name].concat());
            push_name(&mut records, b"GNU.sparse.name", &entry.path);
            pax::push(&mut records, b"GNU.sparse.major", b"1");
            pax::push(&mut records, b"GNU.sparse.minor", b"0");
            pax::push(&mut records, b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
        }
    }
    let target = &entry.target;
    let room = target.len().min(header::LINK.len());
    block[header::LINK][..room].copy_from_slice(&target[..room]);
    if room < target.len() {
        push_name(&mut records, b"linkpath", target);
    }
    block[header::TYPE] = type_flag(entry.kind);
    number::write(&mut block[header::MODE], entry.mode.into());
    let stored = stored(entry) + map.as_ref().map_or(0, |map| map.len() as u64);
    for (field, key, value) in [
        (header::UID, "uid", i64::from(entry.uid)),
        (header::GID, "gid", i64::from(entry.gid)),
        (header::SIZE, "size", i64::try_from(stored).unwrap_or(i64::MAX)),
    ] {
        if !number::write(&mut block[field], value) {
            pax::push(&mut records, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    if !number::write(&mut block[header::MTIME], entry.mtime.0) || entry.mtime.1 > 0 {
        pax::push(&mut records, b"mtime", pax::time(entry.mtime).as_bytes());
    }
    number::write(&mut block[header::MAJOR], entry.device.0 as i64);
    number::write(&mut block[header::MINOR], entry.device.1 as i64);
    attributes(&mut records, entry);
    header::seal(&mut block);
    let mut out = Vec::with_capacity(2048);
    if !records.is_empty() {
        extended(&mut out, &entry.path, &records);
    }
    out.extend_from_slice(&block);
    out.extend_from_slice(&map.unwrap_or_default());
    out
}

/// Bytes of data that follow the headers, without the map of a sparse file.
pub(super) fn stored(entry: &Entry) -> u64 {
    match (&entry.extents, entry.kind) {
        (Some(extents), _) => extents.iter().map(|(_, length)| length).sum(),
        (None, Kind::File) => entry.size,
        _ => 0,
    }
}

fn path(block: &mut Block, records: &mut Vec<u8>, path: &[u8]) {
    if !header::set_path(block, path) {
        push_name(records, b"path", path);
    }
}

/// Values are UTF-8 by the standard. What is not is told beforehand, for bsdtar; GNU tar takes bytes as they are.
fn push_name(records: &mut Vec<u8>, key: &[u8], name: &[u8]) {
    const BINARY: &[u8] = b"21 hdrcharset=BINARY\n";
    if std::str::from_utf8(name).is_err() && !records.starts_with(BINARY) {
        records.splice(0..0, BINARY.iter().copied());
    }
    pax::push(records, key, name);
}

fn attributes(records: &mut Vec<u8>, entry: &Entry) {
    for (name, value) in &entry.xattrs {
        let key: &[u8] = match name.as_slice() {
            acl::ACCESS => b"SCHILY.acl.access",
            acl::DEFAULT => b"SCHILY.acl.default",
            _ => b"",
        };
        match acl::to_text(value).filter(|_| !key.is_empty()) {
            Some(text) => pax::push(records, key, text.as_bytes()),
            None => pax::push(records, &[b"SCHILY.xattr.", pax::escape(name).as_slice()].concat(), value),
        }
    }
}

fn extended(out: &mut Vec<u8>, path: &[u8], records: &[u8]) {
    let mut block = header::empty();
    let (dir, name) = split(path);
    header::set_path(&mut block, &[dir, b"PaxHeaders/", name].concat());
    block[header::TYPE] = b'x';
    number::write(&mut block[header::MODE], 0o644);
    for field in [header::UID, header::GID, header::MTIME, header::MAJOR, header::MINOR] {
        number::write(&mut block[field], 0);
    }
    number::write(&mut block[header::SIZE], records.len() as i64);
    header::seal(&mut block);
    out.extend_from_slice(&block);
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
}

/// Directory with its slash, and name; the slash behind a directory's own name is dropped.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    path.split_at(at)
}

fn type_flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use super::*;

    /// 9 GiB in one piece: the archive is a sparse file, so nothing of it is really there.
    #[test]
    fn a_file_past_8_gib_is_read_by_all() {
        let mut entry = Entry::new("./huge", Kind::File);
        entry.size = 9 << 30;
        let head = encode(&entry);
        let archive = tempfile::NamedTempFile::new().unwrap();
        archive.as_file().write_all_at(&head, 0).unwrap();
        archive.as_file().set_len(head.len() as u64 + entry.size + 1024).unwrap();
        for program in ["tar", "bsdtar"] {
            let listed = Command::new(program).arg("-tvf").arg(archive.path()).output().unwrap();
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert!(listed.status.success() && text.contains(" 9663676416 "), "{program}: {text}");
        }
        let ours = super::super::list(head.as_slice()).next().unwrap().unwrap();
        assert_eq!(ours, entry);
    }
}
