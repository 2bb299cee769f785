//! Streams and raw disks against real peers: GNU dd, cmp and sha256sum, the zstd program, loop devices, full disks.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kar::host::{Cancel, Console, Fault, Result, Silent};
use kar::kit::dd::{self, FromOptions, IntoOptions};
use kar::kit::stream::{self, Report, Sink, Source};

fn copy(source: &mut dyn Source, sink: &mut dyn Sink) -> Result<Report> {
    stream::copy(source, sink, &Silent.meter(None, "", None), &Cancel::new())
}

/// Runs a program that has to succeed; what it printed.
fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("kar-streams-").tempdir().unwrap()
}

/// Bytes that do not compress, with a stretch of zeros in the middle third.
fn data(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"streams").finalize_xof().fill(&mut bytes);
    bytes[len / 3..len / 3 * 2].fill(0);
    bytes
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A loop device on an image; detached when dropped.
struct Loop(String);

impl Loop {
    fn attach(image: &Path) -> Loop {
        Loop(run("losetup", &["--find", "--show", text(image)]))
    }

    fn path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["--detach", &self.0]);
    }
}

/// A small tmpfs; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &tempfile::TempDir) -> Small {
        let path = dir.path().join("small");
        std::fs::create_dir(&path).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=4m", "none", text(&path)]);
        Small(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Small {
    /// A program that another test starts just now has our open files until its exec: busy for a moment.
    fn drop(&mut self) {
        let path = self.0.clone();
        soon("unmounted", || Command::new("umount").arg(&path).output().is_ok_and(|done| done.status.success()));
    }
}

fn soon(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

#[test]
fn the_zstd_program_reads_ours_and_we_read_its() {
    let dir = folder();
    let plain = file(&dir, "plain", &data(5_000_000));
    for level in [-5, 1, 3, 19] {
        let packed = dir.path().join("ours.zst");
        let source = Box::new(stream::file(&plain).unwrap());
        copy(&mut stream::zstd(source, level).unwrap(), &mut stream::into_file(&packed).unwrap()).unwrap();
        run("zstd", &["-q", "-t", text(&packed)]);
        run("zstd", &["-q", "-d", "-f", text(&packed), "-o", text(&dir.path().join("back"))]);
        run("cmp", &[text(&plain), text(&dir.path().join("back"))]);
    }
    for options in ["-1", "-19 --long=27", "--fast=5 --no-check", "-T2 -B1MiB"] {
        let packed = dir.path().join("theirs.zst");
        let options: Vec<&str> = options.split(' ').chain(["-q", "-f", text(&plain), "-o", text(&packed)]).collect();
        run("zstd", &options);
        // Two frames in a row, as `cat a.zst b.zst` makes them.
        let twice = [std::fs::read(&packed).unwrap(), std::fs::read(&packed).unwrap()].concat();
        let back = dir.path().join("back");
        let mut source = stream::unzstd(Box::new(stream::blob(twice))).unwrap();
        copy(&mut source, &mut stream::into_file(&back).unwrap()).unwrap();
        assert!(std::fs::read(&back).unwrap() == data(5_000_000).repeat(2), "{options:?}");
    }
    let packed = dir.path().join("long.zst");
    let zeros = file(&dir, "zeros", &vec![0; 300 << 20]);
    run("zstd", &["-q", "-f", "--long=28", text(&zeros), "-o", text(&packed)]);
    let mut source = stream::unzstd(Box::new(stream::file(&packed).unwrap())).unwrap();
    let fault = copy(&mut source, &mut stream::discard()).unwrap_err();
    assert!(fault.kind == "stream.zstd" && fault.hints[0].contains("--long"), "{fault}");
}

#[test]
fn a_disk_is_written_and_read_as_dd_does_it() {
    let dir = folder();
    let content = data(9_000_000 / 512 * 512);
    let image = file(&dir, "image", &content);
    let backing = file(&dir, "backing", &vec![0xFF; 16 << 20]);
    let disk = Loop::attach(&backing);
    let mut sink = dd::into(disk.path(), &IntoOptions { offset: 4096, verify: true }).unwrap();
    let report = copy(&mut dd::from(&image, &FromOptions::default()).unwrap(), &mut sink).unwrap();
    assert_eq!((report.bytes, report.delivered.bytes), (content.len() as u64, content.len() as u64));

    // GNU dd finds the range, and what lies around it untouched; the zeros really are there.
    let (skip, count) = ("skip=4096", format!("count={}", content.len()));
    let out = dir.path().join("out");
    run(
        "dd",
        &[
            &format!("if={}", disk.0),
            &format!("of={}", text(&out)),
            "iflag=skip_bytes,count_bytes",
            skip,
            &count,
            "bs=1M",
            "status=none",
        ],
    );
    run("cmp", &[text(&image), text(&out)]);
    run("sync", &[]);
    let held = std::fs::read(&backing).unwrap();
    assert!(held[..4096].iter().chain(&held[4096 + content.len()..]).all(|byte| *byte == 0xFF));

    let mut source = dd::from(
        disk.path(),
        &FromOptions { offset: 4096, size: Some(content.len() as u64), ..FromOptions::default() },
    )
    .unwrap();
    let read = dir.path().join("read");
    copy(&mut source, &mut stream::into_file(&read).unwrap()).unwrap();
    let sum = |path: &Path| run("sha256sum", &[text(path)]).split(' ').next().unwrap().to_string();
    assert_eq!(sum(&read), sum(&image));
    assert_eq!(dd::from(disk.path(), &FromOptions::default()).unwrap().size(), Some(16 << 20));
}

#[test]
fn a_disk_that_is_too_small_keeps_what_it_has() {
    let dir = folder();
    let disk = Loop::attach(&file(&dir, "backing", &vec![0xEE; 2 << 20]));
    let into = || dd::into(disk.path(), &IntoOptions::default()).unwrap();
    let fault = copy(&mut stream::blob(vec![1; 3 << 20]), &mut into()).unwrap_err();
    assert_eq!(fault.kind, "dd.small");
    assert!(fault.message.contains(&disk.0) && fault.message.contains("3145728"), "{fault}");
    let held = || {
        let mut all = Vec::new();
        let mut source = dd::from(disk.path(), &FromOptions::default()).unwrap();
        let mut buffer = vec![0; 1 << 20];
        while let count @ 1.. = source.read(&mut buffer).unwrap() {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    };
    assert!(held().iter().all(|byte| *byte == 0xEE), "nothing was written");
    // Where the size is not known before, the first byte past the end is refused, and the disk does not boot.
    let mut source = stream::command("head", &["-c", "3145728", "/dev/urandom"]).unwrap();
    let fault = copy(&mut source, &mut into()).unwrap_err();
    assert!(fault.kind == "dd.small" && fault.message.contains("at byte 2097152"), "{fault}");
    assert!(held()[..1 << 20].iter().all(|byte| *byte == 0));
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left_on_it() {
    let dir = folder();
    let small = Small::mount(&dir);
    let target = small.0.join("image");
    let fault = copy(&mut stream::blob(data(9 << 20)), &mut stream::into_file(&target).unwrap()).unwrap_err();
    assert!(fault.kind == "stream.write" && fault.message.contains("No space left"), "{fault}");
    assert!(fault.message.contains(text(&target)), "{fault}");
    let mut sink = dd::into(&target, &IntoOptions::default()).unwrap();
    let fault = copy(&mut stream::blob(data(20 << 20)), &mut sink).unwrap_err();
    drop(sink);
    assert!(fault.kind == "dd.write" && fault.message.contains("No space left"), "{fault}");
    let script = format!("cat > {}", text(&target));
    let mut sink = stream::into_command("sh", &["-c", &script]).unwrap();
    let fault = copy(&mut stream::blob(data(9 << 20)), &mut sink).unwrap_err();
    assert!(fault.kind == "proc.failed" && fault.message.contains("No space left"), "{fault}");
    std::fs::remove_file(&target).unwrap();
    assert_eq!(small.names(), [""; 0]);
}

/// Does something to the world once a part of the stream has passed.
struct Then<'a, F: FnMut()>(&'a mut dyn Source, u64, F);

impl<F: FnMut() + Send> Source for Then<'_, F> {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn heed(&mut self, cancel: &Cancel) {
        self.0.heed(cancel);
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.0.read(buffer)?;
        let before = self.1;
        self.1 = before.saturating_sub(count as u64);
        if before > 0 && self.1 == 0 {
            self.2();
        }
        Ok(count)
    }
}

#[test]
fn a_disk_that_vanishes_while_it_is_read_is_a_fault() {
    let dir = folder();
    let backing = file(&dir, "backing", &data(64 << 20));
    let disk = Loop::attach(&backing);
    let mut source = dd::from(disk.path(), &FromOptions::default()).unwrap();
    // What the disk lies on is cut: reads beyond are i/o errors, as on a disk that was pulled.
    let cut = || std::fs::OpenOptions::new().write(true).open(&backing).unwrap().set_len(1 << 20).unwrap();
    let target = dir.path().join("copy");
    let mut sink = stream::into_file(&target).unwrap();
    let fault = copy(&mut Then(&mut source, 1 << 20, cut), &mut sink).unwrap_err();
    assert_eq!(fault.kind, "dd.read");
    assert!(fault.message.contains(&format!("read `{}` at byte ", disk.0)), "{fault}");
    assert!(fault.message.contains("Input/output error"), "{fault}");
    assert!(!target.exists());
}

#[test]
fn a_disk_that_takes_no_more_is_named_with_the_place() {
    let dir = folder();
    // A device of 96 MiB on a filesystem of 4 MiB: the kernel takes what is written, the disk does not.
    let small = Small::mount(&dir);
    let backing = small.0.join("backing");
    run("truncate", &["-s", "96M", text(&backing)]);
    let disk = Loop::attach(&backing);
    let mut noise = vec![0; 80 << 20];
    blake3::Hasher::new().update(b"full").finalize_xof().fill(&mut noise);
    let mut sink = dd::into(disk.path(), &IntoOptions::default()).unwrap();
    let fault = copy(&mut stream::blob(noise), &mut sink).unwrap_err();
    assert_eq!(fault.kind, "dd.write");
    // The first window that came back: told long before the end of the stream.
    let told = format!("cannot write `{}` at byte 0 (somewhere up to 16777216): ", disk.0);
    assert!(fault.message.starts_with(&told), "{fault}");
}

/// Only where the kernel has device-mapper: a disk with bad sectors from 24 MiB on.
#[test]
fn bad_sectors_are_named_with_their_place() {
    if !Command::new("dmsetup").arg("version").output().is_ok_and(|done| done.status.success()) {
        eprintln!("not run: this kernel has no device-mapper");
        return;
    }
    let dir = folder();
    let disk = Loop::attach(&file(&dir, "backing", &data(64 << 20)));
    let (name, good) = (format!("kar-bad-{}", std::process::id()), 24 << 11);
    let table = dir.path().join("table");
    let lines = format!("0 {good} linear {} 0\n{good} {} error\n", disk.0, (64 << 11) - good);
    std::fs::write(&table, lines).unwrap();
    run("dmsetup", &["create", &name, text(&table)]);
    let mapped = PathBuf::from(format!("/dev/mapper/{name}"));
    let mut source = dd::from(&mapped, &FromOptions::default()).unwrap();
    let read = copy(&mut source, &mut stream::discard()).unwrap_err();
    let mut sink = dd::into(&mapped, &IntoOptions::default()).unwrap();
    let written = copy(&mut stream::blob(data(64 << 20)), &mut sink).unwrap_err();
    drop((source, sink));
    run("dmsetup", &["remove", "--retry", &name]);
    assert!(read.message.starts_with(&format!("cannot read `{}` at byte 25165824: ", mapped.display())), "{read}");
    assert!(written.message.starts_with(&format!("cannot write `{}` at byte ", mapped.display())), "{written}");
}

#[test]
fn zeros_become_holes_under_a_device() {
    use std::os::unix::fs::MetadataExt;
    let dir = folder();
    let backing = file(&dir, "backing", &vec![0xEE; 32 << 20]);
    let disk = Loop::attach(&backing);
    let mut content = vec![0; 32 << 20];
    content[20 << 20..21 << 20].fill(7);
    let mut sink = dd::into(disk.path(), &IntoOptions { offset: 0, verify: true }).unwrap();
    copy(&mut stream::blob(content.clone()), &mut sink).unwrap();
    drop(sink);
    run("sync", &["-f", text(&backing)]);
    assert!(std::fs::read(&backing).unwrap() == content);
    let taken = backing.metadata().unwrap().blocks() * 512;
    assert!(taken < 4 << 20, "{taken} bytes of 32 MiB are still taken");
}

#[test]
fn a_disk_half_written_has_no_table() {
    let dir = folder();
    let backing = file(&dir, "backing", &[]);
    run("truncate", &["-s", "64M", text(&backing)]);
    run("sgdisk", &["-o", "-n", "1:0:+8M", text(&backing)]);
    let golden = std::fs::read(&backing).unwrap();
    // Cut in the middle: neither the table that was coming nor the old one, of which a copy stands at the end.
    let mut cut = stream::command("sh", &["-c", &format!("head -c 20000000 {}; exit 3", text(&backing))]).unwrap();
    let disk = Loop::attach(&backing);
    let fault = copy(&mut cut, &mut dd::into(disk.path(), &IntoOptions::default()).unwrap()).unwrap_err();
    assert_eq!(fault.kind, "proc.failed");
    drop(disk);
    assert_eq!(run("wipefs", &[text(&backing)]), "");
    assert!(!Command::new("sfdisk").args(["-d", text(&backing)]).output().unwrap().status.success());
    // Boot code alone is no table: one that fails leaves the rest.
    std::fs::write(&backing, &golden).unwrap();
    let mut sink = dd::into(&backing, &IntoOptions::default()).unwrap();
    sink.write(&[0x90; 440]).unwrap();
    sink.abort(&Fault::new("test.cut", "cut"));
    drop(sink);
    let held = std::fs::read(&backing).unwrap();
    assert!(held[..440].iter().all(|byte| *byte == 0) && held[440..] == golden[440..]);
}

#[test]
fn a_killed_program_at_either_end_is_a_fault() {
    let dir = folder();
    let note = dir.path().join("pid");
    let kill = || {
        let pid = std::fs::read_to_string(&note).unwrap();
        run("kill", &["-KILL", pid.trim()]);
    };
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec cat /dev/zero", text(&note));
    let mut source = stream::command("sh", &["-c", &script]).unwrap();
    let target = dir.path().join("copy");
    let mut sink = stream::into_file(&target).unwrap();
    let fault = copy(&mut Then(&mut source, 8 << 20, kill), &mut sink).unwrap_err();
    assert!(fault.kind == "proc.failed" && fault.message.contains("SIGKILL"), "{fault}");
    assert!(!target.exists());

    std::fs::remove_file(&note).unwrap();
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec cat > /dev/null", text(&note));
    let mut sink = stream::into_command("sh", &["-c", &script]).unwrap();
    soon("the program starts", || note.exists());
    let mut zeros = stream::file(Path::new("/dev/zero")).unwrap();
    let fault = copy(&mut Then(&mut zeros, 8 << 20, kill), &mut sink).unwrap_err();
    assert!(fault.kind == "proc.failed" && fault.message.contains("SIGKILL"), "{fault}");
}

#[test]
fn a_cancelled_copy_ends_its_programs() {
    let dir = folder();
    let note = dir.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; cat /dev/zero", text(&note));
    let mut source = stream::command("sh", &["-c", &script]).unwrap();
    let mut sink = stream::into_command("sh", &["-c", "cat > /dev/null; sleep 1000"]).unwrap();
    let cancel = Cancel::new();
    let fault: Fault = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let fault = stream::copy(&mut source, &mut sink, &Silent.meter(None, "", None), &cancel).unwrap_err();
            drop((source, sink));
            fault
        });
        soon("the program starts", || note.exists());
        cancel.set();
        copying.join().unwrap()
    });
    assert!(fault.is_stopped(), "{fault}");
    let pid = std::fs::read_to_string(&note).unwrap();
    soon("the program is gone", || !lives(&pid));
}

fn kar(dir: &tempfile::TempDir, recipe: &str) -> PathBuf {
    file(dir, "site.rhai", format!("const PARAMS = [];\n\nfn main(args) {{\n{recipe}\n}}\n").as_bytes())
}

#[test]
fn ctrl_c_ends_the_program_that_a_recipe_waits_for() {
    let dir = folder();
    let note = dir.path().join("pid");
    let recipe = kar(
        &dir,
        &format!("proc::run(\"sh\", [\"-c\", \"echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000\"])", text(&note)),
    );
    let mut running = Command::new(env!("CARGO_BIN_EXE_kar"))
        .args(["run", text(&recipe)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    soon("the recipe starts its program", || note.exists());
    run("kill", &["-INT", &running.id().to_string()]);
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let pid = std::fs::read_to_string(&note).unwrap();
    soon("the program is gone", || !lives(&pid));
}

/// In a PID namespace kar is the first process, and reboot(2) ends the namespace instead of the machine: its first
/// process is seen to die of SIGHUP for a reboot, of SIGINT for the end.
#[test]
fn a_node_that_kar_runs_alone_is_rebooted() {
    let dir = folder();
    for (call, signal) in [("reboot", 1), ("poweroff", 2)] {
        let recipe = kar(&dir, &format!("node::{call}()"));
        let done = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_kar"), "run", text(&recipe)])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let ended = done.status.signal().or(done.status.code().map(|code| code - 128));
        assert_eq!(ended, Some(signal), "{call}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_recipe_on_a_machine_with_an_init_does_not_reboot_it() {
    let dir = folder();
    let recipe = kar(&dir, "node::reboot()");
    let done =
        Command::new(env!("CARGO_BIN_EXE_kar")).args(["run", text(&recipe)]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("error[node.refused]") && said.contains("site.rhai:4"), "{said}");
}

#[test]
fn a_mounted_disk_is_refused_by_dd() {
    let dir = folder();
    let image = file(&dir, "image", &[]);
    run("truncate", &["-s", "16M", text(&image)]);
    run("mkfs.ext4", &["-q", text(&image)]);
    let disk = Loop::attach(&image);
    let point = dir.path().join("point");
    std::fs::create_dir(&point).unwrap();
    run("mount", &[&disk.0, text(&point)]);
    let into = |options: &str| {
        let recipe = kar(&dir, &format!("dd::into(\"{}\", #{{ {options} }})", disk.0));
        let done =
            Command::new(env!("CARGO_BIN_EXE_kar")).args(["run", text(&recipe)]).stdin(Stdio::null()).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (refused, forced) = (into(""), into("force: true"));
    soon("unmounted", || Command::new("umount").arg(&point).output().is_ok_and(|done| done.status.success()));
    let (code, said) = refused;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error[disk.busy]") && said.contains(text(&point)), "{said}");
    assert_eq!(forced.0, Some(0), "{}", forced.1);
    // A kar of another test, with its own copy of the mounts, may keep this one until it ends.
    soon("the disk is free", || into("").0 == Some(0));
    // Opening it wrote nothing.
    run("e2fsck", &["-fn", &disk.0]);
}
