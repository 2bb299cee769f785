//! A tree with every kind of entry that a system may have.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;

use super::harness::{run, text};

fn file(path: &Path, data: impl AsRef<[u8]>) {
    fs::write(path, data).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn time(path: &Path, seconds: i64, nanos: i64) {
    let time = TimeSpec::new(seconds, nanos);
    utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
}

fn node(path: &Path, kind: SFlag, major: u64, minor: u64) {
    mknod(path, kind, Mode::from_bits_truncate(0o640), makedev(major, minor)).unwrap();
}

/// What v7 and ustar have room for: files, links, modes, owners, whole seconds.
pub fn plain(root: &Path) {
    for dir in ["bin", "etc", "etc/deep/deeper", "empty", "tmp"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for size in [0, 1, 511, 512, 513, 70_000] {
        file(&root.join(format!("etc/size-{size}")), vec![b'x'; size]);
    }
    file(&root.join("bin/su"), "program");
    fs::hard_link(root.join("bin/su"), root.join("etc/deep/also-su")).unwrap();
    symlink("../bin/su", root.join("etc/link")).unwrap();
    symlink("/nowhere/at all", root.join("etc/dangling")).unwrap();
    chown(root.join("etc/size-1"), Some(1234), Some(5678)).unwrap();
    lchown(root.join("etc/link"), Some(77), Some(88)).unwrap();
    mode(&root.join("bin/su"), 0o4755);
    mode(&root.join("etc/size-512"), 0o2711);
    mode(&root.join("etc/size-513"), 0o000);
    mode(&root.join("tmp"), 0o1777);
    mode(&root.join("empty"), 0o555);
    settle(root, 0);
}

/// Gives everything a time of its own, the root last.
pub fn settle(root: &Path, nanos: i64) {
    let mut at = 1_000_000_000;
    let mut stack = vec![root.to_path_buf()];
    while let Some(path) = stack.pop() {
        if path.symlink_metadata().unwrap().is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 12_345;
        time(&path, at, if nanos == 0 { 0 } else { nanos + at % 1000 });
    }
}

/// Everything else.
pub fn nasty(root: &Path) {
    plain(root);
    names(root);
    attributes(root);
    sparse(root);
    fs::create_dir(root.join("dev")).unwrap();
    node(&root.join("dev/null"), SFlag::S_IFCHR, 1, 3);
    node(&root.join("dev/loop200"), SFlag::S_IFBLK, 7, 200);
    node(&root.join("dev/most"), SFlag::S_IFBLK, 4095, 1_048_575);
    node(&root.join("dev/fifo"), SFlag::S_IFIFO, 0, 0);
    mode(&root.join("dev/null"), 0o666);
    fs::hard_link(root.join("dev/fifo"), root.join("tmp/fifo")).unwrap();
    fs::hard_link(root.join("etc/dangling"), root.join("tmp/same-link")).unwrap();
    for (name, uid, gid) in [("uid-2m", 2_097_152, 5), ("uid-3g", 3_000_000_000, 4_294_967_294)] {
        let path = root.join(name);
        fs::create_dir(&path).unwrap();
        file(&path.join("file"), name);
        symlink("file", path.join("link")).unwrap();
        for path in [&path, &path.join("file"), &path.join("link")] {
            lchown(path, Some(uid), Some(gid)).unwrap();
        }
    }
    fs::create_dir(root.join("time")).unwrap();
    settle(root, 123_456_000);
    for (name, seconds, nanos) in
        [("epoch", 0, 0), ("before", -2, 500_000_000), ("whole-before", -86_400, 0), ("late", 8_589_934_593, 1)]
    {
        let path = root.join("time").join(name);
        file(&path, name);
        time(&path, seconds, nanos);
    }
    time(&root.join("time"), 999, 999_999_999);
    mode(root, 0o2751);
    chown(root, Some(11), Some(22)).unwrap();
    mode(root, 0o2751);
    time(root, 1_234_567_890, 987_654_321);
}

fn names(root: &Path) {
    let dir = root.join("names");
    fs::create_dir(&dir).unwrap();
    for length in [92, 93, 94, 100, 101, 156, 255] {
        file(&dir.join("n".repeat(length)), length.to_string());
        symlink("t".repeat(length), dir.join(format!("link-{length}"))).unwrap();
    }
    symlink("long/".repeat(200), dir.join("link-1000")).unwrap();
    let names: [&[u8]; 11] = [
        b"with space",
        b"-rf",
        b"new\nline",
        b"tab\there",
        b"back\\slash",
        b"quote'\"",
        b"star*?[",
        "k\u{e4}se \u{1f9c0}".as_bytes(),
        b"\xff\xfe not utf-8",
        b"...",
        b"a=b",
    ];
    for name in names {
        file(&dir.join(OsStr::from_bytes(name)), name);
    }
    let long = [&[0xe9; 30][..], &[b'x'; 100]].concat();
    file(&dir.join(OsStr::from_bytes(&long)), "latin-1");
    symlink(OsStr::from_bytes(&long), dir.join("to latin-1")).unwrap();
    fs::hard_link(dir.join(OsStr::from_bytes(&long)), dir.join("same latin-1")).unwrap();
    file(&dir.join(format!("{}\u{e9}", "u".repeat(120))), "long and utf-8");
    // 300 bytes in two names, and more than 700 in three.
    let deep = dir.join("d".repeat(150)).join("e".repeat(140));
    fs::create_dir_all(&deep).unwrap();
    file(&deep.join("f".repeat(200)), "long");
    fs::hard_link(deep.join("f".repeat(200)), deep.join("g".repeat(210))).unwrap();
    fs::create_dir_all(deep.join("h".repeat(200)).join("i".repeat(250))).unwrap();
}

fn attributes(root: &Path) {
    let dir = root.join("attributes");
    fs::create_dir(&dir).unwrap();
    let of = |name: &str| dir.join(name);
    for name in ["plain", "caps", "acl", "acl-big", "acl-exec", "many"] {
        file(&of(name), name);
    }
    xattr::set(of("plain"), "user.text", b"text").unwrap();
    xattr::set(of("plain"), "user.binary", &[0, 255, b'\n', b'=', 0]).unwrap();
    xattr::set(of("plain"), "trusted.secret", b"root only").unwrap();
    xattr::set(of("many"), "user.long", &vec![b'v'; 2000]).unwrap();
    for number in 0..20 {
        xattr::set(of("many"), format!("user.number-{number}"), format!("{number}").as_bytes()).unwrap();
    }
    xattr::set(&dir, "user.of-directory", b"yes").unwrap();
    symlink("plain", of("link")).unwrap();
    run("setcap", &["cap_net_raw,cap_net_bind_service+ep", text(&of("caps"))]);
    run("chown", &["5:6", text(&of("acl-exec"))]);
    run("setfacl", &["-m", "u:1:rw,u:300000:r,g:12:rwx,m::rw", text(&of("acl"))]);
    run("setfacl", &["-m", "u:3000000000:r", text(&of("acl-big"))]);
    run("setfacl", &["-m", "u:daemon:x", text(&of("acl-exec"))]);
    fs::create_dir(of("acl-dir")).unwrap();
    run("setfacl", &["-m", "u:7:rwx,d:u:8:r-x,d:g:9:---", text(&of("acl-dir"))]);
    // Made in a directory with a default ACL, and freed of what it inherited.
    file(&of("acl-dir/free"), "free");
    run("setfacl", &["-b", text(&of("acl-dir/free"))]);
    mode(&of("acl-dir/free"), 0o640);
    file(&of("acl-dir/heir"), "heir");
}

fn sparse(root: &Path) {
    let dir = root.join("sparse");
    fs::create_dir(&dir).unwrap();
    let make = |name: &str, size: u64, pieces: &[(u64, usize)]| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(dir.join(name)).unwrap();
        file.set_len(size).unwrap();
        for (at, length) in pieces {
            file.write_all_at(&vec![b'd'; *length], *at).unwrap();
        }
    };
    make("10-gib", 10 << 30, &[(1 << 20, 5000), (5 << 30, 4096), ((10 << 30) - 9000, 100)]);
    make("hole-only", 3 << 20, &[]);
    make("data-first", 1 << 20, &[(0, 10)]);
    make("data-last", 1 << 20, &[((1 << 20) - 10, 10)]);
    let many: Vec<(u64, usize)> = (0..60).map(|at| (at << 16, 4096)).collect();
    make("many", 60 << 16, &many);
    File::create(dir.join("none")).unwrap();
}
