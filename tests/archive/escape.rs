//! Archives that want out of the folder they are unpacked into.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use super::craft::*;
use super::harness::{folder, sub, unpack};

/// A folder to unpack into, beside one that must stay as it is.
struct Ground {
    _folder: tempfile::TempDir,
    inside: PathBuf,
    outside: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let folder = folder();
        let (inside, outside) = (sub(&folder, "inside"), sub(&folder, "outside"));
        fs::write(outside.join("victim"), "untouched").unwrap();
        fs::set_permissions(outside.join("victim"), fs::Permissions::from_mode(0o600)).unwrap();
        Ground { _folder: folder, inside, outside }
    }

    fn victim(&self) -> String {
        self.outside.join("victim").to_str().unwrap().to_string()
    }

    /// Unpacks and says how it ended; nothing outside may have changed, whatever came out.
    fn unpack(&self, members: &[Vec<u8>]) -> String {
        let before = fs::metadata(&self.outside).unwrap();
        let victim = fs::metadata(self.victim()).unwrap();
        let result = unpack(&archive(members), &self.inside);
        let after = fs::metadata(&self.outside).unwrap();
        assert_eq!((before.mtime_nsec(), before.mode(), before.uid()), (after.mtime_nsec(), after.mode(), after.uid()));
        let names: Vec<_> = fs::read_dir(&self.outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["victim"]);
        let now = fs::metadata(self.victim()).unwrap();
        assert_eq!(fs::read_to_string(self.victim()).unwrap(), "untouched");
        assert_eq!((victim.mode(), victim.nlink(), victim.ino()), (now.mode(), now.nlink(), now.ino()));
        let beside = fs::read_dir(self.inside.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 2, "something was made beside the folder");
        result.map_or_else(|fault| fault.kind.into_owned(), |_| "ok".to_string())
    }
}

#[test]
fn dots_are_refused_in_names_and_in_targets() {
    for path in ["../evil", "a/../../evil", "a/..", "..", "./../evil", "/../evil"] {
        let ground = Ground::new();
        assert_eq!(ground.unpack(&[file(path, "evil")]), "tar.escape", "{path}");
        assert_eq!(ground.unpack(&[directory(&format!("{path}/"))]), "tar.escape", "{path}");
    }
    let ground = Ground::new();
    assert_eq!(ground.unpack(&[link(b'1', "hard", "../outside/victim")]), "tar.escape");
    let long = pax(b'x', &[("path", "../evil")]);
    assert_eq!(ground.unpack(&[long, file("good", "evil")]), "tar.escape");
    let global = pax(b'g', &[("path", "../evil")]);
    assert_eq!(ground.unpack(&[global, file("good", "evil")]), "tar.escape");
    let gnu = member("././@LongLink", b'L', "", b"../evil\0");
    assert_eq!(ground.unpack(&[gnu, file("good", "evil")]), "tar.escape");
    let sparse = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "../evil"),
        ("GNU.sparse.realsize", "0"),
    ];
    let data = [&b"0\n"[..], &[0; 510]].concat();
    assert_eq!(ground.unpack(&[pax(b'x', &sparse), member("good", b'0', "", &data)]), "tar.escape");
}

#[test]
fn absolute_names_start_at_the_folder() {
    let ground = Ground::new();
    let path = format!("{}/new", ground.outside.display());
    assert_eq!(ground.unpack(&[file(&path, "data"), link(b'1', "hard", &path)]), "ok");
    assert_eq!(fs::read_to_string(ground.inside.join(&path[1..])).unwrap(), "data");
    assert_eq!(fs::read_to_string(ground.inside.join("hard")).unwrap(), "data");
    assert_ne!(ground.unpack(&[link(b'1', "hard", &ground.victim())]), "ok");
}

#[test]
fn no_path_leads_through_a_link() {
    for kind in [b'0', b'1', b'2', b'3', b'4', b'5', b'6'] {
        let ground = Ground::new();
        let outside = ground.outside.to_str().unwrap();
        let target = if kind == b'1' { "first" } else { "x" };
        let members = [file("first", "1"), link(b'2', "way", outside), member("way/evil", kind, target, b"")];
        assert_eq!(ground.unpack(&members), "tar.escape", "type {}", char::from(kind));
        // One that stood there before is no better.
        let ground = Ground::new();
        symlink(&ground.outside, ground.inside.join("way")).unwrap();
        assert_eq!(ground.unpack(&[file("first", "1"), member("way/evil", kind, target, b"")]), "tar.escape");
    }
    let ground = Ground::new();
    let outside = ground.outside.to_str().unwrap();
    let members = [link(b'2', "a", "."), link(b'2', "a/b", outside), file("a/b/evil", "evil")];
    assert_eq!(ground.unpack(&members), "tar.escape");
    assert_eq!(ground.unpack(&[link(b'2', "c", outside), link(b'1', "hard", "c/victim")]), "tar.escape");
}

#[test]
fn a_link_is_replaced_and_never_written_through() {
    let ground = Ground::new();
    assert_eq!(ground.unpack(&[link(b'2', "x", &ground.victim()), file("x", "evil")]), "ok");
    assert_eq!(fs::read_to_string(ground.inside.join("x")).unwrap(), "evil");
    assert!(fs::symlink_metadata(ground.inside.join("x")).unwrap().is_file());
    // A hard link to a link is a link, which is replaced as well.
    let members = [link(b'2', "y", &ground.victim()), link(b'1', "z", "y"), file("z", "evil"), file("y", "evil")];
    assert_eq!(ground.unpack(&members), "ok");
    // A hard link that stood there before keeps its other name's contents.
    fs::write(ground.inside.join("one"), "one").unwrap();
    fs::hard_link(ground.inside.join("one"), ground.inside.join("two")).unwrap();
    assert_eq!(ground.unpack(&[file("two", "new")]), "ok");
    assert_eq!(fs::read_to_string(ground.inside.join("one")).unwrap(), "one");
}

#[test]
fn a_directory_that_becomes_a_link_passes_nothing_on() {
    // Mode, owner and time of the directory are set at the end: not on what the link means.
    let ground = Ground::new();
    let outside = ground.outside.to_str().unwrap().to_string();
    let mut dir = header("d/", b'5', 0, "");
    dir[100..108].copy_from_slice(b"0000001\0");
    dir[108..116].copy_from_slice(b"0000007\0");
    seal(&mut dir);
    assert_eq!(ground.unpack(&[dir.to_vec(), link(b'2', "d", &outside)]), "ok");
    // A link stands where a directory comes: the link goes.
    assert_eq!(ground.unpack(&[link(b'2', "e", &outside), directory("e/"), file("e/new", "data")]), "ok");
    assert!(fs::symlink_metadata(ground.inside.join("e")).unwrap().is_dir());
    // The directory used last is replaced while it is still open.
    let members = [directory("f/"), link(b'2', "f", &outside), file("f/evil", "evil")];
    assert_eq!(ground.unpack(&members), "tar.escape");
}

#[test]
fn the_root_is_a_directory_and_nothing_else() {
    for kind in [b'0', b'1', b'2', b'6'] {
        let ground = Ground::new();
        assert_eq!(ground.unpack(&[member("./", kind, "x", b"")]), if kind == b'0' { "ok" } else { "tar.format" });
        assert_eq!(ground.unpack(&[link(b'1', "x", ".")]), "tar.write");
    }
}
