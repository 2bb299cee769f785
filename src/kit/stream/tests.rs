use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::host::{Console, Meter, Silent, Worker};

fn meter() -> Meter {
    Silent.meter(None, "", None)
}

fn run(source: &mut dyn Source, sink: &mut dyn Sink) -> Result<Report> {
    copy(source, sink, &meter(), &Cancel::new())
}

fn all(source: &mut dyn Source, step: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = vec![0; step];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"seed").finalize_xof().fill(&mut bytes);
    bytes
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        dir.read_dir().unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Fails after its first bytes.
struct Failing(usize);

impl Source for Failing {
    fn describe(&self) -> String {
        "failing".into()
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.0 {
            0 => Err(Fault::new("test.source", "gone")),
            left => {
                let count = left.min(buffer.len());
                self.0 -= count;
                Ok(count)
            }
        }
    }
}

/// Remembers how it ended.
#[derive(Default)]
struct Watching {
    bytes: Vec<u8>,
    finished: bool,
    aborted: Option<String>,
    room: Option<usize>,
}

impl Sink for Watching {
    fn describe(&self) -> String {
        "watching".into()
    }
    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(data);
        match self.room {
            Some(room) if self.bytes.len() > room => Err(Fault::new("test.full", "full")),
            _ => Ok(()),
        }
    }
    fn finish(&mut self) -> Result<Delivered> {
        self.finished = true;
        Ok(Delivered::default())
    }
    fn abort(&mut self, why: &Fault) {
        self.aborted = Some(why.kind.to_string());
    }
}

#[test]
fn a_copy_is_whole_and_tells_its_digest() {
    for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17] {
        let data = noise(len);
        let mut sink = Watching::default();
        let report = run(&mut blob(data.clone()), &mut sink).unwrap();
        assert!(sink.bytes == data && sink.finished && sink.aborted.is_none());
        assert_eq!((report.bytes, report.digest), (len as u64, blake3::hash(&data).to_hex().to_string()));
    }
}

#[test]
fn a_failing_end_aborts_and_is_the_fault() {
    let mut sink = Watching::default();
    assert_eq!(run(&mut Failing(3 * BLOCK), &mut sink).unwrap_err().kind, "test.source");
    assert!(!sink.finished && sink.aborted.as_deref() == Some("test.source"));
    let mut sink = Watching { room: Some(BLOCK), ..Watching::default() };
    assert_eq!(run(&mut blob(noise(9 * BLOCK)), &mut sink).unwrap_err().kind, "test.full");
    assert!(!sink.finished && sink.aborted.as_deref() == Some("test.full"));
}

#[test]
fn cancel_and_deadline_end_a_copy_whose_source_waits() {
    let cancel = Cancel::new();
    let mut source = command("sleep", &["1000"]).unwrap();
    let mut sink = Watching::default();
    let fault = std::thread::scope(|scope| {
        let copying = scope.spawn(|| copy(&mut source, &mut sink, &meter(), &cancel));
        cancel.set();
        copying.join().unwrap().unwrap_err()
    });
    assert!(fault.is_stopped() && sink.aborted.as_deref() == Some("host.stopped"));

    let worker = Worker { deadline: Some(Instant::now() + Duration::from_millis(50)), ..Worker::default() };
    let fault = worker.run(|| run(&mut command("sleep", &["1000"]).unwrap(), &mut Watching::default())).unwrap_err();
    assert_eq!(fault.kind, "host.late");
}

#[test]
fn a_sink_that_waits_ends_too() {
    let cancel = Cancel::new();
    let mut sink = into_command("sleep", &["1000"]).unwrap();
    let fault = std::thread::scope(|scope| {
        let copying = scope.spawn(|| copy(&mut blob(noise(4 * BLOCK)), &mut sink, &meter(), &cancel));
        cancel.set();
        copying.join().unwrap().unwrap_err()
    });
    assert!(fault.is_stopped());
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let data = noise(2 * BLOCK + 5);
    run(&mut blob(data.clone()), &mut into_file(&path).unwrap()).unwrap();
    assert!(std::fs::read(&path).unwrap() == data);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("image", dir.path().join("link")).unwrap();

    assert!(run(&mut Failing(BLOCK), &mut into_file(&path).unwrap()).is_err());
    drop(into_file(&path).unwrap());
    assert!(std::fs::read(&path).unwrap() == data, "the old one stays");
    run(&mut blob(b"new".into()), &mut into_file(&dir.path().join("link")).unwrap()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(names(dir.path()), ["image", "link"], "no temporary name is left");

    assert_eq!(into_file(dir.path()).err().unwrap().kind, "stream.open");
    assert_eq!(into_file(Path::new("/dev/null")).err().unwrap().kind, "stream.open");
    assert_eq!(into_file(&dir.path().join("no/file")).err().unwrap().kind, "stream.open");
}

#[test]
fn a_file_source_reads_and_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let data = noise(100_000);
    std::fs::write(&path, &data).unwrap();
    let mut source = file(&path).unwrap();
    assert_eq!(source.size(), Some(100_000));
    assert!(all(&mut source, 777).unwrap() == data);
    assert!(!all(&mut file(Path::new("/proc/version")).unwrap(), 777).unwrap().is_empty());
    let mut source = file(&path).unwrap();
    source.read(&mut [0; 10]).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(50).unwrap();
    assert_eq!(all(&mut source, 777).unwrap_err().kind, "stream.read");
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [dir.path(), &fifo, Path::new("/no/such/file")] {
        assert_eq!(file(path).err().unwrap().kind, "stream.open", "{}", path.display());
    }
}

#[test]
fn a_command_source_ends_well_only_with_status_0() {
    let mut source = command("printf", &["%s", "a b; $HOME"]).unwrap();
    assert_eq!(all(&mut source, 3).unwrap(), b"a b; $HOME");
    assert_eq!(source.read(&mut [0; 4]).unwrap(), 0, "the end stays the end");
    let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; echo broken >&2; exit 4";
    let mut source = command("sh", &["-c", script]).unwrap();
    let fault = all(&mut source, 4096).unwrap_err();
    assert_eq!(fault.kind, "proc.failed");
    assert!(fault.message.contains("exit status 4") && fault.message.ends_with("broken"), "{}", fault.message.len());
    let fault = all(&mut command("sh", &["-c", "echo x; kill -9 $$"]).unwrap(), 64).unwrap_err();
    assert!(fault.message.contains("SIGKILL"), "{fault}");
}

#[test]
fn a_command_sink_takes_all_or_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let data = noise(3 * BLOCK + 1);
    let script = format!("cat > {}", out.display());
    let report = run(&mut blob(data.clone()), &mut into_command("sh", &["-c", &script]).unwrap()).unwrap();
    assert!(std::fs::read(&out).unwrap() == data && report.delivered.bytes == data.len() as u64);

    let run_sh = |script: &str| run(&mut blob(data.clone()), &mut into_command("sh", &["-c", script]).unwrap());
    let fault = run_sh("cat > /dev/null; echo no room >&2; exit 2").unwrap_err();
    assert_eq!(fault.message, "`sh -c cat > /dev/null; echo no room >&2; exit 2` failed with exit status 2: no room");
    let fault = run_sh("head -c 10 > /dev/null; echo enough >&2; exit 9").unwrap_err();
    assert!(fault.kind == "proc.failed" && fault.message.ends_with("enough"), "{fault}");
    let fault = run_sh("head -c 10 > /dev/null").unwrap_err();
    assert!(fault.kind == "stream.write" && fault.message.contains("stopped reading"), "{fault}");
}

#[test]
fn an_aborted_command_sink_never_sees_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("cat > /dev/null && touch {}", dir.path().join("done").display());
    let mut sink = into_command("sh", &["-c", &script]).unwrap();
    assert!(run(&mut Failing(BLOCK), &mut sink).is_err());
    let mut dropped = into_command("sh", &["-c", &script]).unwrap();
    dropped.write(b"some").unwrap();
    drop(dropped);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn zstd_there_and_back_whatever_the_steps() {
    let mut data = noise(700_000);
    data.extend(vec![7; 900_000]);
    for (level, step) in [(-7, 1 << 20), (1, 1000), (3, 4096), (12, 1 << 20)] {
        let packed = all(&mut zstd(Box::new(blob(data.clone())), level).unwrap(), step).unwrap();
        assert!(packed.len() < 710_000, "{level}: {}", packed.len());
        assert!(all(&mut unzstd(Box::new(blob(packed))).unwrap(), step).unwrap() == data);
    }
    assert!(zstd(Box::new(blob(vec![])), 23).is_err_and(|fault| fault.message.contains("from -7 to 22")));
}

#[test]
fn zstd_takes_frames_in_a_row_and_refuses_what_is_cut_or_damaged() {
    let data = noise(300_000);
    let one = all(&mut zstd(Box::new(blob(data.clone())), 3).unwrap(), 4096).unwrap();
    let plain = |bytes: Vec<u8>| all(&mut unzstd(Box::new(blob(bytes))).unwrap(), 5000);
    assert!(plain([&one[..], &one[..]].concat()).unwrap() == data.repeat(2));
    let empty = all(&mut zstd(Box::new(blob(vec![])), 3).unwrap(), 4096).unwrap();
    assert!(plain(empty).unwrap().is_empty());
    for cut in [0, 1, 4, 5, 100, one.len() / 2, one.len() - 5, one.len() - 1] {
        assert_eq!(plain(one[..cut].to_vec()).unwrap_err().kind, "stream.zstd", "cut at {cut}");
    }
    for at in (0..one.len()).step_by(one.len() / 97) {
        let mut bad = one.clone();
        bad[at] ^= 0x55;
        // The checksum catches what the format lets pass.
        assert!(plain(bad).is_err(), "damaged at {at}");
    }
    assert!(plain([&one[..], b"and text"].concat()).is_err());
    // A frame that asks for a window of 2 GiB.
    let greedy = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8, 0x01, 0x00, 0x00];
    let fault = plain(greedy.to_vec()).unwrap_err();
    assert!(fault.hints.iter().any(|hint| hint.contains("--long")), "{fault} {:?}", fault.hints);
    // The source's own fault is not hidden behind zstd's.
    assert_eq!(all(&mut zstd(Box::new(Failing(10)), 3).unwrap(), 64).unwrap_err().kind, "test.source");
}
