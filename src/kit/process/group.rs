//! A child process and all it starts, ended together.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::{Options, package};
use crate::host::{Fault, Result};

/// What a program gets between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);

/// The leaders of all running groups: what nobody waits for any more is ended with kar.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Ends every program that still runs: SIGTERM, and after `grace` SIGKILL.
pub fn end_all(grace: Duration) {
    let running = || -> Vec<Pid> {
        let all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|pid| Pid::from_raw(*pid)).filter(|pid| is_alive(*pid)).collect()
    };
    for pid in running() {
        let _ = killpg(pid, Signal::SIGTERM);
    }
    let deadline = Instant::now() + grace;
    while !running().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    for pid in running() {
        let _ = killpg(pid, Signal::SIGKILL);
    }
}

/// Our child, and not ended. It stays a zombie until it is waited for, so that its number is not given away.
fn is_alive(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
}

/// Which ends of the child are pipes to us; the others are `/dev/null`. Stderr always is one.
pub(crate) struct Wiring {
    pub stdin: bool,
    pub stdout: bool,
}

/// A running program, leader of a process group. Dropped before [`Group::wait`] it is killed with its group.
pub(crate) struct Group {
    child: Child,
    /// The program and its arguments, for messages.
    line: String,
    /// Readable once the leader has ended; none on kernels before 5.3.
    pidfd: Option<OwnedFd>,
    reaped: bool,
}

impl Group {
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &str,
        args: &[A],
        options: &Options,
        wiring: Wiring,
    ) -> Result<Group> {
        let line = line(program, args);
        let pipe = |yes| if yes { Stdio::piped() } else { Stdio::null() };
        let mut command = Command::new(program);
        command
            .args(args)
            .envs(options.env.iter().map(|(name, value)| (name, value)))
            .stdin(pipe(wiring.stdin))
            .stdout(if options.show { Stdio::inherit() } else { pipe(wiring.stdout) })
            .stderr(if options.show { Stdio::inherit() } else { Stdio::piped() })
            .process_group(0);
        // SAFETY: one system call on numbers. A kernel that does not know it leaves us with what std marks anyway.
        unsafe { command.pre_exec(close_ours) };
        if let Some(root) = &options.chroot {
            enter(&mut command, root, options.dir.as_deref())?;
        } else if let Some(dir) = &options.dir {
            is_dir(dir)?;
            command.current_dir(dir);
        }
        // Held over the start: no program begins behind the back of end_all.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().map_err(|error| refused(program, &line, options, error))?;
        running.insert(child.id().cast_signed());
        drop(running);
        let pidfd = pidfd(child.id());
        Ok(Group { child, line, pidfd, reaped: false })
    }

    pub(crate) fn line(&self) -> String {
        self.line.clone()
    }

    pub(crate) fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// True once the leader has ended, waited for or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.reaped || !is_alive(self.pid())
    }

    /// Waits for the leader and returns its exit status, 128 and more for a signal.
    pub(crate) fn wait(&mut self) -> Result<i32> {
        let status = self
            .child
            .wait()
            .map_err(|error| Fault::io("proc.failed", format_args!("wait for `{}`", self.line), error))?;
        self.reaped();
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// SIGTERM to the whole group, SIGKILL to what is left of it, reaps the leader.
    pub(crate) fn kill(&mut self) {
        if self.reaped {
            return;
        }
        let _ = killpg(self.pid(), Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill_now();
    }

    /// Before the leader is reaped: afterwards the group's number could be somebody else's.
    fn kill_now(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        self.reaped();
    }

    fn reaped(&mut self) {
        self.reaped = true;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid().as_raw());
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_now();
        }
    }
}

/// `name arg arg ..`, cut where it gets long.
fn line<A: AsRef<OsStr>>(program: &str, args: &[A]) -> String {
    const LONG: usize = 120;
    let mut line = program.to_string();
    for arg in args {
        line = format!("{line} {}", arg.as_ref().to_string_lossy());
    }
    if line.chars().count() > LONG { line.chars().take(LONG).chain(" ..".chars()).collect() } else { line }
}

fn is_dir(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(Fault::new("proc.start", format!("cannot enter `{}`: not a directory", path.display()))),
        Err(error) => Err(Fault::io("proc.start", format_args!("enter `{}`", path.display()), error)),
    }
}

/// What kar itself was started with (a build server's pipes) is not for its children: only 0, 1 and 2 survive exec.
fn close_ours() -> io::Result<()> {
    // SAFETY: marks descriptors, closes none before exec.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(())
}

/// Changes root and directory in the child, between fork and exec.
fn enter(command: &mut Command, root: &Path, dir: Option<&Path>) -> Result<()> {
    is_dir(root)?;
    let text = |path: &Path| {
        CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Fault::new("proc.start", format!("cannot enter `{}`: a zero byte", path.display())))
    };
    let inside: PathBuf = Path::new("/").join(dir.unwrap_or(Path::new("/")));
    let (root, inside) = (text(root)?, text(&inside)?);
    let change = move || {
        // SAFETY: both are system calls on zero-terminated texts that the closure owns; nothing is allocated.
        let failed = unsafe { libc::chroot(root.as_ptr()) != 0 || libc::chdir(inside.as_ptr()) != 0 };
        if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: `change` only makes system calls, which is what is allowed between fork and exec.
    unsafe { command.pre_exec(change) };
    Ok(())
}

/// Why a program did not start: missing, or there and not to be run.
fn refused(program: &str, line: &str, options: &Options, error: io::Error) -> Fault {
    let within = options.chroot.as_ref().map(|root| format!(" in `{}`", root.display())).unwrap_or_default();
    let root = options.chroot.as_deref().unwrap_or(Path::new("/"));
    let beneath = |path: &str| root.join(path.trim_start_matches('/'));
    if error.kind() != io::ErrorKind::NotFound {
        return Fault::io("proc.start", format_args!("run `{line}`{within}"), error);
    }
    if let (Some(root), Some(dir)) = (&options.chroot, &options.dir)
        && !root.join(dir.strip_prefix("/").unwrap_or(dir)).is_dir()
    {
        return Fault::io("proc.start", format_args!("enter `{}`{within}", dir.display()), error);
    }
    if program.starts_with('/') && beneath(program).exists() {
        return Fault::new(
            "proc.start",
            format!("cannot run `{program}`{within}: its interpreter or loader is missing"),
        );
    }
    let fault = Fault::new("proc.missing", format!("cannot run `{program}`{within}: there is no such program"));
    match package::of(program) {
        Some(name) => fault.hint(format!("on Debian it comes with the package {name}: apt-get install {name}")),
        None => fault,
    }
}

fn pidfd(pid: u32) -> Option<OwnedFd> {
    // SAFETY: takes two numbers; the descriptor it returns (close-on-exec) is new and ours alone.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    i32::try_from(fd).ok().filter(|fd| *fd >= 0).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `SIGKILL` for 9.
pub(super) fn signal_name(number: i32) -> &'static str {
    Signal::try_from(number).map_or("unknown", Signal::as_str)
}
