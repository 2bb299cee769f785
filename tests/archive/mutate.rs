//! Damaged archives by the ten thousand: never a panic, and nothing lands outside.

use std::fs;
use std::path::Path;

use kar::kit::archive::{extract, list};
use kar::kit::tree::Options;

use super::craft::seal;
use super::harness::*;

/// Random numbers that are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides.max(1) as u64) as usize
    }
}

/// Small archives in all dialects, so that each part of the parser is met.
fn seeds(folder: &tempfile::TempDir) -> Vec<Vec<u8>> {
    let root = sub(folder, "seed");
    let script = "mkdir -p a/b; printf data > a/file; ln a/file a/b/hard; ln -s ../file a/b/sym; mkfifo a/fifo; \
        truncate -s 300k a/sparse; printf x | dd of=a/sparse bs=1 seek=100000 conv=notrunc status=none; \
        mknod a/dev c 1 3; printf y > a/$(printf 'n%.0s' $(seq 180)); setfacl -m u:5:r a/file; \
        setfattr -n user.x -v y a/file; chown 3000000000 a/b/hard; touch -d @5.5 a";
    run("sh", &["-c", &format!("cd '{}' && {script}", text(&root))]);
    let mut seeds = vec![pack(&root, &Options::default()).unwrap()];
    for (program, format) in [
        ("tar", &["--format=gnu", "--sparse"][..]),
        ("tar", &["--format=posix", "--sparse", "--sparse-version=0.0", "--xattrs", "--acls"]),
        ("tar", &["--format=posix", "--sparse", "--sparse-version=0.1"]),
        ("bsdtar", &["--format=pax", "--acls", "--xattrs"]),
    ] {
        let path = folder.path().join("seed.tar");
        run(program, &[format, &["-cf", text(&path), "-C", text(&root), "."]].concat());
        seeds.push(fs::read(&path).unwrap());
    }
    seeds
}

fn mutate(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let blocks = bytes.len() / 512;
    for _ in 0..1 + dice.roll(4) {
        let block = dice.roll(blocks) * 512;
        match dice.roll(8) {
            0 => bytes[block + dice.roll(512)] ^= 1 << dice.roll(8),
            1 => bytes[block + dice.roll(512)] = dice.roll(256) as u8,
            // A field of the header, filled with what may mean something.
            2 | 3 => {
                let (at, length) = [
                    (0, 100),
                    (100, 8),
                    (108, 8),
                    (124, 12),
                    (136, 12),
                    (156, 1),
                    (157, 100),
                    (329, 16),
                    (386, 24),
                    (483, 12),
                ][dice.roll(10)];
                let fill = [0xff, 0x80, b'7', b'.', b'/', 0][dice.roll(6)];
                bytes[block + at..block + at + length].fill(fill);
            }
            4 => bytes[block + 156] = b"0123456759LKxgSDVMN7X\0"[dice.roll(22)],
            5 => {
                let from = dice.roll(blocks) * 512;
                bytes.copy_within(from..from + 512, block);
            }
            6 => {
                let text =
                    [&b"../../evil"[..], b"/evil", b"a/..", b"99999999999", b"-1", b"\xff\xff\xff\xff\xff\xff\xff\xff"]
                        [dice.roll(6)];
                let at = block + dice.roll(500);
                bytes[at..at + text.len()].copy_from_slice(text);
            }
            _ => bytes.truncate(dice.roll(bytes.len()).max(512)),
        }
        // A wrong checksum would hide what else is wrong.
        if block + 512 <= bytes.len() && bytes[block + 257..].starts_with(b"ustar") {
            seal(&mut bytes[block..block + 512]);
        }
        if bytes.len() / 512 < blocks {
            break;
        }
    }
    bytes
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

fn run_dice(start: u64, rounds: usize) -> (usize, usize) {
    let folder = folder();
    let seeds = seeds(&folder);
    fs::write(folder.path().join("victim"), "untouched").unwrap();
    let (mut whole, mut refused) = (0, 0);
    let mut dice = Dice(start);
    for round in 0..rounds {
        let bytes = mutate(&seeds[round % seeds.len()], &mut dice);
        if round % 3 > 0 {
            let outcome: Result<Vec<_>, _> = list(bytes.as_slice()).collect();
            *if outcome.is_ok() { &mut whole } else { &mut refused } += 1;
            continue;
        }
        let inside = sub(&folder, "inside");
        match extract(bytes.as_slice(), &inside) {
            Ok(_) => whole += 1,
            Err(fault) => {
                assert!(fault.kind.starts_with("tar."), "{fault}");
                refused += 1;
            }
        }
        assert_eq!(names(folder.path()), ["inside", "seed", "seed.tar", "victim"]);
        assert_eq!(fs::read_to_string(folder.path().join("victim")).unwrap(), "untouched");
        fs::remove_dir_all(&inside).unwrap();
    }
    assert!(names(Path::new("/")).iter().all(|name| name != "evil"));
    (whole, refused)
}

#[test]
fn damaged_archives_do_no_harm() {
    let (whole, refused) = run_dice(1, 15_000);
    assert!(whole > 1000 && refused > 1000, "the mutations are neither all harmless nor all fatal: {whole} {refused}");
}

#[test]
fn other_damaged_archives_do_no_harm() {
    run_dice(2, 15_000);
}
