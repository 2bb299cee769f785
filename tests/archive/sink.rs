//! Archives that are cut short, damaged or too large, and sinks that are given up.

use std::fs;

use kar::host::Fault;
use kar::kit::archive::{Kind, TarSink, list};
use kar::kit::stream::Sink;
use kar::kit::tree::Options;

use super::craft::*;
use super::harness::*;
use super::nasty::plain;

fn fault(bytes: &[u8]) -> Fault {
    let folder = folder();
    unpack(bytes, folder.path()).unwrap_err()
}

#[test]
fn an_archive_cut_anywhere_is_no_archive() {
    let whole = archive(&[file("a", "some data"), pax(b'x', &[("path", "b")]), file("x", ""), file("c", "more")]);
    for length in (0..whole.len() - 1024).step_by(37).chain((0..=whole.len() - 1024).step_by(512)) {
        assert_eq!(fault(&whole[..length]).kind, "tar.truncated", "{length}");
    }
    let folder = folder();
    let padded = [whole.as_slice(), &[0; 9000], b"rubbish behind the end"].concat();
    let delivered = unpack(&padded, folder.path()).unwrap();
    assert_eq!((delivered.entries, delivered.bytes), (3, padded.len() as u64));
    let one = &whole[..whole.len() - 512];
    assert_eq!(unpack(one, folder.path()).unwrap().warnings.len(), 1);
}

#[test]
fn damage_is_told_with_its_place() {
    assert_eq!(fault(&[7; 4096]).message, "cannot read the archive at byte 0: this is not a tar archive");
    let mut bytes = archive(&[file("a", "data"), file("b", "data")]);
    bytes[1024] ^= 1;
    assert_eq!(fault(&bytes).message, "cannot read the archive at byte 1024: the header's checksum is wrong");
    bytes[1024..1536].fill(0);
    assert_eq!(fault(&bytes).kind, "tar.format");
}

#[test]
fn hostile_numbers_are_refused() {
    let with = |at: usize, bytes: &[u8]| {
        let mut block = header("a", b'0', 0, "").to_vec();
        block[at..at + bytes.len()].copy_from_slice(bytes);
        seal(&mut block);
        fault(&archive(&[block]))
    };
    assert_eq!(with(124, &[0xff; 12]).kind, "tar.format");
    assert_eq!(with(124, b"99999999999\0").kind, "tar.format");
    assert_eq!(with(108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).kind, "tar.format");
    assert_eq!(with(108, &[0x80, 0, 0, 1, 0, 0, 0, 0]).kind, "tar.format");
    assert_eq!(with(108, b"-000001\0").kind, "tar.format");
    // The size is believed only as far as there are bytes.
    assert_eq!(with(124, &[0x80, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0]).kind, "tar.truncated");
    for records in [
        [("uid", "4294967295")],
        [("gid", "18446744073709551616")],
        [("size", "-1")],
        [("mtime", "soon")],
        [("GNU.sparse.map", "0,9223372036854775807")],
        [("GNU.sparse.offset", "x")],
        [("GNU.sparse.major", "1")],
    ] {
        let kind = fault(&archive(&[pax(b'x', &records), file("a", "data")])).kind;
        assert_eq!(kind, "tar.format", "{records:?}");
    }
    let huge = header("x", b'x', 1 << 32, "").to_vec();
    assert_eq!(fault(&archive(&[huge])).kind, "tar.format");
    let nul = member("././@LongLink", b'L', "", &[b'n'; 300]);
    assert_eq!(fault(&archive(&[nul, file("x", "")])).kind, "tar.write", "no file has a name of 300 bytes");
}

#[test]
fn what_stands_there_is_replaced_and_directories_are_kept() {
    let folder = folder();
    let root = folder.path();
    fs::create_dir_all(root.join("kept/more")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("kept/mine"), "mine").unwrap();
    fs::write(root.join("file"), "old").unwrap();
    let bytes =
        archive(&[directory("kept"), file("file", "new"), file("empty", "a file now"), file("new/er/est", "x")]);
    unpack(&bytes, root).unwrap();
    assert_eq!(fs::read_to_string(root.join("kept/mine")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "new");
    assert_eq!(fs::read_to_string(root.join("empty")).unwrap(), "a file now");
    assert_eq!(fs::read_to_string(root.join("new/er/est")).unwrap(), "x");
    let fault = unpack(&archive(&[file("kept", "x")]), root).unwrap_err();
    assert_eq!(fault.kind, "tar.write");
    assert!(fault.message.contains("`kept`"), "{}", fault.message);
}

/// A filesystem in memory, gone when this is dropped.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(dir: std::path::PathBuf, kind: &str, options: &str) -> Self {
        run("mount", &["-t", kind, "-o", options, kind, text(&dir)]);
        Mount(dir)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &["-l", text(&self.0)]);
    }
}

#[test]
fn what_a_filesystem_has_no_place_for_is_a_warning() {
    let folder = folder();
    let mount = Mount::new(sub(&folder, "plain"), "ramfs", "mode=755");
    let records =
        [("SCHILY.xattr.user.x", "y"), ("SCHILY.acl.access", "user::rw-,user:5:r--,group::r--,mask::r--,other::---")];
    let delivered = unpack(&archive(&[directory("d"), pax(b'x', &records), file("d/f", "data")]), &mount.0).unwrap();
    let told = ["the attribute user.x of `d/f` could not be set: ", "the ACL of `d/f` could not be set: "];
    assert_eq!(delivered.warnings.len(), 2, "{:?}", delivered.warnings);
    for (warning, told) in delivered.warnings.iter().zip(told) {
        assert!(warning.starts_with(told), "{warning}");
    }
    assert_eq!(fs::read_to_string(mount.0.join("d/f")).unwrap(), "data");
}

#[test]
fn a_full_disk_names_the_file_and_how_far_it_came() {
    let folder = folder();
    let mount = Mount::new(sub(&folder, "small"), "tmpfs", "size=1m");
    let big = "x".repeat(3 << 20);
    let fault = unpack(&archive(&[directory("dir"), file("dir/big", &big)]), &mount.0).unwrap_err();
    assert_eq!(fault.kind, "tar.write");
    let told = &fault.message;
    assert!(
        told.starts_with("cannot write `dir/big` past ") && told.contains("of its 3145728 bytes: No space left"),
        "{told}"
    );
}

#[test]
fn a_sink_that_failed_or_was_given_up_stays_so() {
    let folder = folder();
    let bytes = archive(&[file("first", "data"), file("second", "data")]);
    let mut sink = TarSink::new(folder.path()).unwrap();
    sink.write(&bytes[..1600]).unwrap();
    sink.abort(&Fault::new("test.cut", "the cable was pulled"));
    assert_eq!(fs::read_to_string(folder.path().join("first")).unwrap(), "data");
    assert_eq!(sink.write(b"x").unwrap_err().kind, "test.cut");
    assert_eq!(sink.finish().unwrap_err().kind, "test.cut");

    let mut sink = TarSink::new(folder.path()).unwrap();
    let rubbish = vec![7; 1 << 20];
    let failed = (0..64).find_map(|_| sink.write(&rubbish).err()).expect("a thread that has ended takes no more");
    assert_eq!(failed.kind, "tar.format");
    assert_eq!(sink.finish().unwrap_err().kind, "tar.format");

    let mut sink = TarSink::new(folder.path()).unwrap();
    sink.write(&bytes).unwrap();
    assert_eq!(sink.finish().unwrap().entries, 2);
    assert!(sink.finish().is_err() && sink.write(b"x").is_err());
    assert_eq!(TarSink::new(&folder.path().join("missing")).err().unwrap().kind, "tar.open");
}

#[test]
fn a_listing_tells_what_is_there() {
    let folder = folder();
    let root = sub(&folder, "root");
    plain(&root);
    xattr::set(root.join("bin/su"), "user.a=b%", b"\0\xff").unwrap();
    let bytes = pack(&root, &Options::default()).unwrap();
    let entries: Vec<_> = list(bytes.as_slice()).map(Result::unwrap).collect();
    let find = |path: &str| entries.iter().find(|entry| entry.path == path.as_bytes()).unwrap();
    assert_eq!(entries[0].path, b"./");
    assert_eq!((find("./bin/su").mode, find("./bin/su").size), (0o4755, 7));
    assert_eq!(find("./bin/su").xattrs, [(b"user.a=b%".to_vec(), b"\0\xff".to_vec())]);
    assert_eq!((find("./etc/size-1").uid, find("./etc/size-1").gid), (1234, 5678));
    assert_eq!((find("./etc/link").kind, find("./etc/link").target.as_slice()), (Kind::Symlink, &b"../bin/su"[..]));
    assert_eq!(find("./etc/deep/also-su").kind, Kind::HardLink);
    let cut = &bytes[..bytes.len() - 1024];
    assert_eq!(list(cut).last().unwrap().unwrap_err().kind, "tar.truncated");
}
