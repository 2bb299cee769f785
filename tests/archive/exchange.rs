//! To and from GNU tar and bsdtar: what arrives is what was sent.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use kar::kit::tree::Options;

use super::harness::*;
use super::nasty::{nasty, plain};

const GNU: [&str; 5] = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "--same-permissions"];

/// GNU tar never sees that two names are one FIFO.
const GNU_CANNOT: [&str; 1] = ["tmp/fifo: hard link: is the same file as `dev/fifo` here"];
/// bsdtar 3.6 misreads and miswrites broken seconds before 1970 and ids in ACLs past 2^31.
const BSD_CANNOT: [&str; 2] = ["time/before: modified", "attributes/acl-big: attribute system.posix_acl_access"];

/// A tree made by `make` in a folder of its own, and an empty one to unpack into.
fn pair(make: impl Fn(&Path)) -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let folder = folder();
    let (from, to) = (sub(&folder, "from"), sub(&folder, "to"));
    make(&from);
    (folder, from, to)
}

/// Holes are still holes: 10 GiB take no room.
fn assert_sparse(to: &Path) {
    let found = fs::metadata(to.join("sparse/10-gib")).unwrap();
    assert_eq!(found.len(), 10 << 30);
    assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
}

/// The same by the eyes of other programs than ours.
fn assert_same_to_others(from: &Path, to: &Path) {
    let seen = |root: &Path, script: &str| run("sh", &["-c", &format!("cd '{}' && {script}", text(root))]);
    for script in [
        "find . ! -type d -exec stat -c '%N %f %u %g %s %y %t:%T' {} + | sort",
        "find . -type d -exec stat -c '%N %f %u %g %y' {} + | sort",
        "getfattr -R -h -d -m - -e hex . 2>&1 | sort",
        "getfacl -R -n -P . | sort",
        "getcap -r . | sort",
        // Numbers of inodes differ, names that share one do not.
        "find . ! -type d -links +1 -printf '%n %p\\n' | sort",
    ] {
        assert_eq!(seen(from, script), seen(to, script), "{script}");
    }
}

#[test]
fn ours_to_ours() {
    let (_folder, from, to) = pair(nasty);
    let archive = pack(&from, &Options::default()).unwrap();
    let delivered = unpack(&archive, &to).unwrap();
    assert_eq!(delivered.warnings, Vec::<String>::new());
    assert_eq!(delivered.bytes, archive.len() as u64);
    assert_eq!(delivered.entries as usize, digest(&from).entries.len());
    assert_same(&from, &to);
    assert_sparse(&to);
    assert_same_to_others(&from, &to);
    assert_eq!(archive, pack(&to, &Options::default()).unwrap(), "the same tree is the same archive");
    // Once more over what stands there.
    unpack(&archive, &to).unwrap();
    assert_same(&from, &to);
}

#[test]
fn ours_to_gnu_tar() {
    let (folder, from, to) = pair(nasty);
    let path = folder.path().join("a.tar");
    fs::write(&path, pack(&from, &Options::default()).unwrap()).unwrap();
    run("tar", &[&GNU[..], &["-xf", text(&path), "-C", text(&to)]].concat());
    assert_same(&from, &to);
    assert_sparse(&to);
}

#[test]
fn ours_to_bsdtar() {
    let (folder, from, to) = pair(nasty);
    let path = folder.path().join("a.tar");
    fs::write(&path, pack(&from, &Options::default()).unwrap()).unwrap();
    run("bsdtar", &["--numeric-owner", "--acls", "--xattrs", "-xpf", text(&path), "-C", text(&to)]);
    // Nor does it keep the time of the root, its own archives' either.
    assert_same_but(&from, &to, &[&BSD_CANNOT[..], &[".: modified"]].concat());
    assert_sparse(&to);
}

#[test]
fn gnu_tar_posix_to_ours() {
    for version in ["0.0", "0.1", "1.0"] {
        let (folder, from, to) = pair(nasty);
        let path = folder.path().join("a.tar");
        let sparse = format!("--sparse-version={version}");
        let args = ["--format=posix", "--sparse", &sparse, "-cf", text(&path), "-C", text(&from), "."];
        run("tar", &[&GNU[..], &args].concat());
        unpack(&fs::read(&path).unwrap(), &to).unwrap();
        assert_same_but(&from, &to, &GNU_CANNOT);
        assert_sparse(&to);
    }
}

#[test]
fn gnu_tar_with_names_in_acls_to_ours() {
    let (folder, from, to) = pair(nasty);
    let path = folder.path().join("a.tar");
    let args = ["--format=posix", "--sparse", "--acls", "--xattrs", "--xattrs-include=*"];
    run("tar", &[&args[..], &["-cf", text(&path), "-C", text(&from), "."]].concat());
    unpack(&fs::read(&path).unwrap(), &to).unwrap();
    assert_same_but(&from, &to, &GNU_CANNOT);
}

#[test]
fn gnu_format_to_ours() {
    let (folder, from, to) = pair(nasty);
    let path = folder.path().join("a.tar");
    run("tar", &["--format=gnu", "--sparse", "--numeric-owner", "-cf", text(&path), "-C", text(&from), "."]);
    unpack(&fs::read(&path).unwrap(), &to).unwrap();
    // This format has no attributes and whole seconds.
    let found = differences(&from, &to, &GNU_CANNOT);
    let other = |text: &&String| !text.contains(": attribute ") && !text.contains(": modified ");
    assert_eq!(found.iter().filter(other).collect::<Vec<_>>(), Vec::<&String>::new());
    for name in ["bin/su", "names/link-1000", "uid-3g"] {
        let seconds = |root: &Path| fs::symlink_metadata(root.join(name)).unwrap().mtime();
        assert_eq!(seconds(&from), seconds(&to), "{name}");
    }
    assert_sparse(&to);
}

#[test]
fn old_formats_to_ours() {
    for format in ["--format=v7", "--format=ustar", "--format=oldgnu", "--format=gnu"] {
        let (folder, from, to) = pair(plain);
        let path = folder.path().join("a.tar");
        run("tar", &[format, "-cf", text(&path), "-C", text(&from), "."]);
        unpack(&fs::read(&path).unwrap(), &to).unwrap();
        assert_same(&from, &to);
    }
    let (folder, from, to) = pair(plain);
    let path = folder.path().join("a.tar");
    run("bsdtar", &["--format=ustar", "-cf", text(&path), "-C", text(&from), "."]);
    unpack(&fs::read(&path).unwrap(), &to).unwrap();
    assert_same(&from, &to);
}

#[test]
fn bsdtar_to_ours() {
    let (folder, from, to) = pair(nasty);
    let path = folder.path().join("a.tar");
    let args = ["--format=pax", "--numeric-owner", "--acls", "--xattrs", "--no-fflags"];
    run("bsdtar", &[&args[..], &["-cf", text(&path), "-C", text(&from), "."]].concat());
    unpack(&fs::read(&path).unwrap(), &to).unwrap();
    assert_same_but(&from, &to, &BSD_CANNOT);
    assert_sparse(&to);
}

/// Programs and libraries of this machine, whatever they are.
#[test]
fn a_real_tree_there_and_back() {
    let folder = folder();
    let (ours, gnu) = (sub(&folder, "ours"), sub(&folder, "gnu"));
    let from = Path::new("/usr/bin");
    let archive = pack(from, &Options::default()).unwrap();
    unpack(&archive, &ours).unwrap();
    assert_same(from, &ours);
    let path = folder.path().join("a.tar");
    fs::write(&path, &archive).unwrap();
    run("tar", &[&GNU[..], &["-xf", text(&path), "-C", text(&gnu)]].concat());
    assert_same(from, &gnu);
    run("tar", &[&GNU[..], &["--format=posix", "--compare", "-f", text(&path), "-C", text(from)]].concat());
}
