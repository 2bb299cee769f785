//! Random trees: each comes back as it was, through our own reader and through GNU tar's.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use kar::kit::tree::Options;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::harness::*;
use super::nasty::time;

#[derive(Debug, Clone)]
struct Node {
    /// Which of the directories made before it stands in.
    parent: usize,
    name: Vec<u8>,
    what: What,
    mode: u32,
    owner: (u32, u32),
    time: (i64, u32),
    attribute: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
enum What {
    Directory,
    File(usize),
    Sparse(u64, Vec<(u64, u16)>),
    Symlink(Vec<u8>),
    /// Another name of one of the files made before.
    Link(usize),
    Fifo,
    Device(bool, u16, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let any = prop::collection::vec(prop_oneof![1u8..b'/', b'0'..=255], 1..120);
    let long = prop::collection::vec(b'a'..=b'z', 200..255);
    prop_oneof![5 => any, 1 => long].prop_filter("reserved", |name| name != b"." && name != b"..")
}

fn what() -> impl Strategy<Value = What> {
    let size = prop_oneof![0usize..3, 510usize..515, 0usize..300_000];
    let pieces = prop::collection::vec((0u64..1 << 24, 1u16..20_000), 0..9);
    prop_oneof![
        4 => Just(What::Directory),
        6 => size.prop_map(What::File),
        2 => (1u64..1 << 25, pieces).prop_map(|(size, pieces)| What::Sparse(size, pieces)),
        2 => prop::collection::vec(1u8..=255, 1..400).prop_map(What::Symlink),
        2 => (0usize..100).prop_map(What::Link),
        1 => Just(What::Fifo),
        1 => (any::<bool>(), 0u16..4096, 0u32..1 << 20).prop_map(|(block, major, minor)| What::Device(block, major, minor)),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let owner = (prop_oneof![0u32..70_000, 0..u32::MAX], prop_oneof![0u32..70_000, 0..u32::MAX]);
    let attribute = prop::option::of(prop::collection::vec(any::<u8>(), 0..900));
    // The times that ext4 has.
    let time = (-2_000_000_000i64..15_000_000_000, prop_oneof![Just(0u32), 0u32..1_000_000_000]);
    (0usize..100, name(), what(), 0u32..0o10000, owner, time, attribute).prop_map(
        |(parent, name, what, mode, owner, time, attribute)| Node { parent, name, what, mode, owner, time, attribute },
    )
}

fn build(root: &Path, nodes: &[Node]) {
    let mut directories = vec![root.to_path_buf()];
    let mut files: Vec<PathBuf> = Vec::new();
    let mut made = Vec::new();
    for node in nodes {
        let parent = &directories[node.parent % directories.len()];
        let path = parent.join(OsString::from_vec(node.name.clone()));
        if path.symlink_metadata().is_ok() || path.as_os_str().len() > 3000 {
            continue;
        }
        match &node.what {
            What::Directory => {
                fs::create_dir(&path).unwrap();
                directories.push(path.clone());
            }
            What::File(size) => fs::write(&path, vec![node.name[0]; *size]).unwrap(),
            What::Sparse(size, pieces) => {
                let file = fs::File::create(&path).unwrap();
                pieces.iter().for_each(|(at, length)| file.write_all_at(&vec![7; (*length).into()], *at).unwrap());
                file.set_len(*size).unwrap();
            }
            What::Symlink(target) => symlink(OsString::from_vec(target.clone()), &path).unwrap(),
            What::Link(which) => match files.get(which % files.len().max(1)) {
                Some(first) => fs::hard_link(first, &path).unwrap(),
                None => continue,
            },
            What::Fifo => mknod(&path, SFlag::S_IFIFO, Mode::empty(), 0).unwrap(),
            What::Device(block, major, minor) => {
                let kind = if *block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
                mknod(&path, kind, Mode::empty(), makedev((*major).into(), (*minor).into())).unwrap();
            }
        }
        lchown(&path, Some(node.owner.0), Some(node.owner.1)).unwrap();
        if !matches!(node.what, What::Symlink(_)) {
            fs::set_permissions(&path, fs::Permissions::from_mode(node.mode)).unwrap();
        }
        let regular = matches!(node.what, What::File(_) | What::Sparse(..));
        if let Some(value) = node.attribute.as_ref().filter(|_| regular || matches!(node.what, What::Directory)) {
            xattr::set(&path, "user.kar", value).unwrap();
        }
        if regular {
            files.push(path.clone());
        }
        made.push((path, node.time));
    }
    for (path, (seconds, nanos)) in made.iter().rev() {
        time(path, *seconds, (*nanos).into());
    }
    time(root, 1, 1);
}

fn round_trip(nodes: &[Node]) -> TestCaseResult {
    let folder = folder();
    let (from, ours, gnu) = (sub(&folder, "from"), sub(&folder, "ours"), sub(&folder, "gnu"));
    build(&from, nodes);
    let archive = pack(&from, &Options::default()).unwrap();
    unpack(&archive, &ours).unwrap();
    prop_assert_eq!(differences(&from, &ours, &[]), Vec::<String>::new());
    let path = folder.path().join("a.tar");
    fs::write(&path, &archive).unwrap();
    run("tar", &["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", text(&path), "-C", text(&gnu)]);
    prop_assert_eq!(differences(&from, &gnu, &[]), Vec::<String>::new());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back_as_they_were(nodes in prop::collection::vec(node(), 0..60)) {
        round_trip(&nodes)?;
    }
}
