use std::os::fd::AsRawFd;

use super::*;

fn sh(script: &str, options: &Options) -> Result<Output> {
    run("sh", &["-c", script], options, &Cancel::new())
}

/// Whether a process is there and not a zombie.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn output_status_environment_and_directory() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        env: vec![("COLOUR".into(), "green".into())],
        dir: Some(dir.path().into()),
        check: false,
        ..Options::default()
    };
    let done = sh("echo $COLOUR; pwd; echo oh >&2; exit 7", &options).unwrap();
    let here = dir.path().canonicalize().unwrap();
    assert_eq!(done, Output { code: 7, out: format!("green\n{}\n", here.display()), err: "oh\n".into() });
}

#[test]
fn a_failure_tells_its_status_and_the_end_of_stderr() {
    let fault = sh("seq 9 >&2; exit 3", &Options::default()).unwrap_err();
    assert_eq!(fault.kind, "proc.failed");
    assert_eq!(fault.message, "`sh -c seq 9 >&2; exit 3` failed with exit status 3:\n5\n6\n7\n8\n9");
    let fault = sh("kill -9 $$", &Options::default()).unwrap_err();
    assert_eq!(fault.message, "`sh -c kill -9 $$` was ended by signal 9 (SIGKILL)");
    let unchecked = Options { check: false, ..Options::default() };
    assert_eq!(sh("kill -15 $$", &unchecked).unwrap().code, 143);
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let none: [&str; 0] = [];
    let fault = run("no-such-program", &none, &Options::default(), &Cancel::new()).unwrap_err();
    assert_eq!((&*fault.kind, fault.hints.len()), ("proc.missing", 0));
    let root = tempfile::tempdir().unwrap();
    let options = Options { chroot: Some(root.path().into()), ..Options::default() };
    let fault = run("mkfs.xfs", &["/dev/null"], &options, &Cancel::new()).unwrap_err();
    assert_eq!(fault.kind, "proc.missing");
    assert!(fault.message.contains(&*root.path().to_string_lossy()), "{fault}");
    assert!(fault.hints[0].contains("xfsprogs"), "{:?}", fault.hints);
    let options = Options { dir: Some("/no/such/dir".into()), ..Options::default() };
    assert_eq!(sh("true", &options).unwrap_err().kind, "proc.start");
    let script = root.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    for mode in [0o644, 0o755] {
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let fault = run(&script.to_string_lossy(), &none, &Options::default(), &Cancel::new()).unwrap_err();
        assert_eq!(fault.kind, "proc.start", "{mode:o} {fault}");
    }
}

#[test]
fn input_arrives_whole_and_one_that_nobody_reads_is_no_error() {
    let input = "0123456789".repeat(100_000);
    let options = Options { input: Some(input.clone().into()), ..Options::default() };
    assert_eq!(sh("cat", &options).unwrap().out, input);
    assert_eq!(sh("exit 0", &options).unwrap().out, "");
    assert_eq!(sh("wc -c", &Options::default()).unwrap().out.trim(), "0");
}

#[test]
fn endless_output_is_cut_in_the_middle() {
    let options = Options { limit: 4096, ..Options::default() };
    let done = sh("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last", &options).unwrap();
    assert!(done.out.starts_with("first\nxxx") && done.out.ends_with("xxxlast\n"));
    let left_out = 3_000_000 + "first\nlast\n".len() - 4096;
    assert!(done.out.contains(&format!("\n[.. {left_out} bytes left out ..]\n")), "{}", &done.out[2000..2100]);
}

#[test]
fn cancel_and_timeout_end_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("pid");
    // The grandchild ignores SIGTERM, so that only SIGKILL to the group ends it.
    let script = format!(
        "(trap '' TERM; sh -c 'echo $PPID' > {0}.new; mv {0}.new {0}; while :; do sleep 1; done) & wait",
        note.display()
    );
    let cancel = Cancel::new();
    let fault = std::thread::scope(|scope| {
        let running = scope.spawn(|| run("sh", &["-c", &script], &Options::default(), &cancel));
        wait_until("the grandchild writes its number", || note.exists());
        cancel.set();
        running.join().unwrap().unwrap_err()
    });
    assert!(fault.is_stopped());
    let pid = std::fs::read_to_string(&note).unwrap();
    wait_until("the grandchild is gone", || !lives(&pid));

    let options = Options { timeout: Some(Duration::from_millis(100)), ..Options::default() };
    let fault = sh("echo stuck >&2; exec sleep 1000", &options).unwrap_err();
    assert_eq!(fault.kind, "proc.timeout");
    assert!(fault.message.contains("within 100ms"), "{fault}");
}

#[test]
fn a_daemon_left_behind_does_not_keep_us() {
    let done = sh("sleep 1000 & echo $!", &Options::default()).unwrap();
    assert!(lives(&done.out));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(done.out.trim().parse().unwrap()), nix::sys::signal::SIGKILL)
        .unwrap();
}

#[test]
fn a_program_that_closes_its_output_is_still_waited_for() {
    let options = Options { check: false, ..Options::default() };
    assert_eq!(sh("exec >&- 2>&-; sleep 0.2; exit 5", &options).unwrap().code, 5);
}

#[test]
fn no_descriptor_of_ours_reaches_the_child() {
    let ours = std::fs::File::open("/etc/hostname").unwrap();
    let done = run("ls", &["/proc/self/fd"], &Options::default(), &Cancel::new()).unwrap();
    let open: Vec<&str> = done.out.split_whitespace().collect();
    // 3 is the folder that ls reads.
    assert_eq!(open, ["0", "1", "2", "3"], "ours is {}", ours.as_raw_fd());
}

#[test]
fn chroot_starts_at_its_root_or_in_dir() {
    let options = Options { chroot: Some("/".into()), ..Options::default() };
    assert_eq!(sh("pwd", &options).unwrap().out, "/\n");
    let options = Options { chroot: Some("/".into()), dir: Some("usr/bin".into()), ..Options::default() };
    assert_eq!(sh("pwd", &options).unwrap().out, "/usr/bin\n");
}
