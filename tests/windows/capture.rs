//! Golden disks saved in a folder, and cloned from there.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::golden::{Label, failed, golden, good, node, nothing_left, raw, recipe, rehearse};
use crate::harness::{eventually, kar, run, scratch};
use crate::refused::assert_not_bootable;

fn capture(folder: &Path, words: &[&str]) -> Output {
    let mut all = vec!["--source", "golden.img", "--to", "saved"];
    all.extend(words);
    recipe(folder, "capture.rhai", &all)
}

fn description(folder: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("saved/golden.json")).unwrap()).unwrap()
}

/// All files below `saved`, without the lock of a folder.
fn names(folder: &Path) -> Vec<String> {
    let list = run(Command::new("sh").args(["-c", "cd saved && find . -mindepth 1 | sort"]).current_dir(folder));
    list.lines().map(str::to_string).collect()
}

#[test]
fn what_was_saved_is_cloned_to_the_byte() {
    let folder = scratch();
    let image = golden(folder.path(), Label::Mbr, true);
    let table = good(&capture(folder.path(), &[]));
    assert!(table.contains("partition 2 (ntfs \"Windows\")") && table.contains("files5"), "{table}");
    let files = ["table.sfdisk", "table.zst", "partition1.zst", "partition2.zst", "partition3.zst", "files5.zst"];
    let mut wanted: Vec<String> = files.iter().map(|name| format!("./1/{name}")).collect();
    wanted.extend(["./1".to_string(), "./golden.json".into()]);
    wanted.sort();
    assert_eq!(names(folder.path()), wanted);
    // The streams are plain zstd, of the bytes that the partition has, with the digest that b3sum would print.
    let saved = description(folder.path());
    let part = saved["partitions"].as_array().unwrap().iter().find(|part| part["number"] == 3).unwrap();
    let packed = folder.path().join("saved").join(part["file"].as_str().unwrap());
    assert_eq!(blake3::hash(&std::fs::read(&packed).unwrap()).to_hex().as_str(), part["digest"].as_str().unwrap());
    let plain = Command::new("zstd").args(["-dc"]).arg(&packed).output().unwrap().stdout;
    let start = 239616 * 512;
    assert!(plain == std::fs::read(&image).unwrap()[start..start + 16384 * 512]);

    std::fs::rename(&image, folder.path().join("away.img")).unwrap();
    let stdout = good(&rehearse(folder.path(), "saved", &[]));
    assert!(stdout.contains("named NODE1") && stdout.contains("named NODE2"), "{stdout}");
    good(&rehearse(folder.path(), "saved", &["--computer-name", "", "--loader", "none", "--nodes", "1"]));
    let (old, new) =
        (std::fs::read(folder.path().join("away.img")).unwrap(), std::fs::read(node(folder.path(), 1)).unwrap());
    let linux = 258048 * 512;
    assert!(
        old[..linux] == new[..linux],
        "all that lies before the Linux half: table, boot code, gaps and three partitions"
    );
    nothing_left(folder.path());
}

#[test]
fn an_earlier_capture_is_replaced_only_when_told() {
    let folder = scratch();
    golden(folder.path(), Label::Gpt, false);
    good(&capture(folder.path(), &["--level", "1", "--used-only"]));
    let before = std::fs::read(folder.path().join("saved/golden.json")).unwrap();
    failed(&capture(folder.path(), &[]), &["error[capture.exists]", "saved holds a capture already", "--replace"]);
    assert_eq!(std::fs::read(folder.path().join("saved/golden.json")).unwrap(), before);

    // Interrupted while it replaces: the earlier one is whole, and nothing that was begun passes for a file.
    let slow = ["--source", "golden.img", "--to", "saved", "--replace", "--level", "22"];
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/capture.rhai");
    let mut child = Command::new(kar())
        .arg("run")
        .arg(recipe)
        .args(slow)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually(Duration::from_secs(60), "the second capture has begun", || {
        folder.path().join("saved/2/table.zst").exists()
    });
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read(folder.path().join("saved/golden.json")).unwrap(), before);
    let streams = ["table.sfdisk", "table.zst", "partition1.zst", "partition2.zst", "partition3.zst", "partition4.zst"];
    for name in names(folder.path()).iter().filter_map(|name| name.strip_prefix("./2/")) {
        assert!(streams.contains(&name) || name.starts_with("description"), "{name} is half written");
    }
    good(&rehearse(folder.path(), "saved", &["--nodes", "1", "--computer-name", ""]));
    good(&capture(folder.path(), &["--replace", "--level", "1"]));
    assert_eq!(description(folder.path())["take"], 2);
    assert!(names(folder.path()).iter().all(|name| !name.starts_with("./1")), "{:?}", names(folder.path()));
    nothing_left(folder.path());
}

/// A stream that is not what it was reaches no node whole: their disks have no table.
#[test]
fn a_damaged_capture() {
    let folder = scratch();
    golden(folder.path(), Label::Gpt, false);
    good(&capture(folder.path(), &["--level", "1"]));
    let stream = folder.path().join(format!("saved/1/partition{}.zst", raw(Label::Gpt).1));
    let whole = std::fs::read(&stream).unwrap();

    // Cut: seen before a node is told anything.
    std::fs::write(&stream, &whole[..whole.len() - 100]).unwrap();
    failed(
        &rehearse(folder.path(), "saved", &[]),
        &["error[golden.truncated]", "partition3.zst has", "it was saved with"],
    );
    assert!(!node(folder.path(), 1).exists());

    // A bit that fell over.
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    std::fs::write(&stream, &other).unwrap();
    let output = rehearse(folder.path(), "saved", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("partition3.zst") || stderr.contains("decompress"), "{stderr}");
    for number in 1..=2 {
        assert_not_bootable(&node(folder.path(), number));
    }

    // Packed anew, with other bytes: sound for every decoder, and as long as it was.
    let sound = sound_stream_of(whole.len());
    std::fs::write(&stream, &sound).unwrap();
    let output = rehearse(folder.path(), "saved", &["--nodes", "1"]);
    failed(&output, &["is not what it was", "partition3.zst"]);
    assert_not_bootable(&node(folder.path(), 1));
    nothing_left(folder.path());
}

/// A zstd stream of exactly `length` bytes: a frame of zeros, and one that a decoder skips.
fn sound_stream_of(length: usize) -> Vec<u8> {
    let mut stream = zstd::encode_all(std::io::repeat(0).take(100 << 20), 1).unwrap();
    let skipped = length - stream.len() - 8;
    stream.extend(0x184d_2a50u32.to_le_bytes());
    stream.extend(u32::try_from(skipped).unwrap().to_le_bytes());
    stream.resize(length, 0);
    stream
}

#[test]
fn a_hibernated_disk_is_not_saved() {
    let folder = scratch();
    golden(folder.path(), Label::Mbr, false);
    let script = "set -e; loop=$(losetup --find --show --offset $((34816 * 512)) --sizelimit 104857600 golden.img); \
                  trap 'losetup -d $loop' EXIT; ntfsfix $loop >/dev/null";
    run(Command::new("sh").args(["-c", script]).current_dir(&folder));
    failed(&capture(folder.path(), &[]), &["error[golden.dirty]", "--force"]);
    assert_eq!(names(folder.path()), Vec::<String>::new(), "nothing is left of it");
    failed(&rehearse(folder.path(), "saved", &[]), &["error[disk."]);
}
