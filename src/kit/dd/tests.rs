use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::host::{Cancel, Console, Fault, Meter, Result, Silent};
use crate::kit::stream::{Report, Sink, Source, blob, copy};

fn meter() -> Meter {
    Silent.meter(None, "", None)
}

fn send(source: &mut dyn Source, to: &Path, options: &IntoOptions) -> Result<Report> {
    copy(source, &mut into(to, options)?, &meter(), &Cancel::new())
}

/// Bytes that no block repeats, with holes of zeros in between.
fn pattern(len: usize) -> Vec<u8> {
    let mut seed = 1u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8 | 1
    };
    (0..len).map(|at| if (at >> 17) % 3 == 1 { 0 } else { next() }).collect()
}

fn image(dir: &Path, len: usize, fill: u8) -> PathBuf {
    let path = dir.join("disk.img");
    std::fs::write(&path, vec![fill; len]).unwrap();
    path
}

#[test]
fn a_new_image_is_sparse_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("new.img");
    let mut data = pattern(3_000_001);
    data.extend(vec![0; 5 << 20]);
    let report = send(&mut blob(data.clone()), &to, &IntoOptions { offset: 0, verify: true }).unwrap();
    assert_eq!(report.digest, blake3::hash(&data).to_hex().to_string());
    assert!(std::fs::read(&to).unwrap() == data);
    assert!(to.metadata().unwrap().blocks() * 512 < 4 << 20, "the zeros at the end take no room");
}

#[test]
fn an_image_keeps_its_size_and_what_lies_around() {
    let dir = tempfile::tempdir().unwrap();
    let to = image(dir.path(), 4 << 20, 0xEE);
    let data = pattern(2_500_000);
    let report = send(&mut blob(data.clone()), &to, &IntoOptions { offset: 12_345, verify: true }).unwrap();
    assert_eq!(report.bytes, 2_500_000);
    let held = std::fs::read(&to).unwrap();
    assert_eq!(held.len(), 4 << 20);
    assert!(held[..12_345].iter().all(|b| *b == 0xEE) && held[12_345 + data.len()..].iter().all(|b| *b == 0xEE));
    assert!(held[12_345..12_345 + data.len()] == data);
    // 446 bytes of boot code leave the table behind them alone.
    send(&mut blob(vec![7; 446]), &to, &IntoOptions::default()).unwrap();
    let held = std::fs::read(&to).unwrap();
    assert!(held[..446] == [7; 446] && held[446..12_345].iter().all(|b| *b == 0xEE));
}

/// Says nothing of its size.
struct Unknown(crate::kit::stream::Blob);

impl Source for Unknown {
    fn describe(&self) -> String {
        "unknown".into()
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

#[test]
fn a_target_that_is_too_small_is_refused_before_the_first_byte() {
    let dir = tempfile::tempdir().unwrap();
    let to = image(dir.path(), 2 << 20, 0xEE);
    let fault = send(&mut blob(vec![1; (2 << 20) + 1]), &to, &IntoOptions::default()).unwrap_err();
    assert_eq!(fault.kind, "dd.small");
    let name = to.display();
    let wanted = format!("cannot write 2097153 bytes: `{name}` has 2097152 bytes (2 MiB), room for 2097152");
    assert_eq!(fault.message, wanted);
    assert!(std::fs::read(&to).unwrap().iter().all(|b| *b == 0xEE), "nothing was written");
    let options = IntoOptions { offset: (2 << 20) + 1, verify: false };
    assert_eq!(into(&to, &options).err().unwrap().kind, "dd.small");
    assert_eq!(into(&to, &IntoOptions { offset: u64::MAX, verify: false }).err().unwrap().kind, "dd.small");

    let mut unknown = Unknown(blob(vec![1; 3 << 20]));
    let fault = send(&mut unknown, &to, &IntoOptions::default()).unwrap_err();
    assert_eq!(fault.kind, "dd.small");
    assert!(fault.message.contains("at byte 2097152: the stream goes on past its end"), "{fault}");
    let held = std::fs::read(&to).unwrap();
    assert!(held[..1 << 20].iter().all(|b| *b == 0), "the head does not pass for whole");
}

#[test]
fn a_stream_cut_short_leaves_no_head_and_no_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let why = Fault::new("test.cut", "cut");
    let to = image(dir.path(), 4 << 20, 0xEE);
    let mut sink = into(&to, &IntoOptions::default()).unwrap();
    sink.write(&vec![1; 3 << 20]).unwrap();
    sink.abort(&why);
    drop(sink);
    let held = std::fs::read(&to).unwrap();
    assert!(held[..1 << 20].iter().all(|b| *b == 0) && held[1 << 20..3 << 20].iter().all(|b| *b == 1));
    assert!(held[3 << 20..].iter().all(|b| *b == 0xEE));
    let new = dir.path().join("new.img");
    let mut sink = into(&new, &IntoOptions::default()).unwrap();
    sink.write(&[1; 100]).unwrap();
    drop(sink);
    assert!(!new.exists());
}

#[test]
fn verify_finds_a_byte_that_is_not_what_was_written() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let to = image(dir.path(), 4 << 20, 0);
    let mut sink = into(&to, &IntoOptions { offset: 4096, verify: true }).unwrap();
    sink.write(&vec![1; 3 << 20]).unwrap();
    // A disk that lies, played by a second writer.
    std::fs::OpenOptions::new().write(true).open(&to).unwrap().write_all_at(b"x", 2_500_000).unwrap();
    let fault = sink.finish().unwrap_err();
    assert_eq!(fault.kind, "dd.verify");
    assert!(fault.message.contains("bytes 2101248 to 3149824"), "{fault}");
    assert!(std::fs::read(&to).unwrap()[4096..4096 + 100].iter().all(|b| *b == 0), "it does not pass for whole");
}

#[test]
fn ranges_of_a_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let data = pattern(300_000);
    std::fs::write(&path, &data).unwrap();
    let read = |offset, size| {
        let mut source = from(&path, &FromOptions { offset, size, ..FromOptions::default() })?;
        let announced = source.size().unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 7000];
        loop {
            match source.read(&mut buffer)? {
                0 => break,
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
        assert_eq!(announced, all.len() as u64);
        Ok::<_, Fault>(all)
    };
    assert!(read(0, None).unwrap() == data);
    assert!(read(1000, Some(200_000)).unwrap() == data[1000..201_000]);
    assert!(read(300_000, None).unwrap().is_empty());
    for (offset, size) in [(300_001, None), (1, Some(300_000)), (u64::MAX, Some(2)), (0, Some(u64::MAX))] {
        let fault = read(offset, size).unwrap_err();
        assert_eq!(fault.kind, "dd.range", "{offset} {size:?}");
        assert!(fault.message.contains("has 300000 bytes"), "{fault}");
    }
}

#[test]
fn a_source_cut_while_it_is_read_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = image(dir.path(), 1 << 20, 1);
    let mut source = from(&path, &FromOptions::default()).unwrap();
    let mut buffer = vec![0; 1000];
    source.read(&mut buffer).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let fault = source.read(&mut buffer).unwrap_err();
    assert_eq!(fault.kind, "dd.read");
    assert!(fault.message.ends_with("at byte 1000: it ends here, 1047576 bytes early"), "{fault}");
}

#[test]
fn what_is_no_place_for_raw_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path(), Path::new("/dev/null"), Path::new("/dev/no-such-disk"), Path::new("/no/such/dir/x")] {
        assert_eq!(into(path, &IntoOptions::default()).err().unwrap().kind, "dd.open", "{}", path.display());
        assert_eq!(from(path, &FromOptions::default()).err().unwrap().kind, "dd.open", "{}", path.display());
    }
}
