//! Programs run to their end, without a shell, each in a process group of its own.
//!
//! A child sees `/dev/null` or the given input as its stdin, never ours; what it prints is collected up to a bound;
//! on cancel, timeout or the deadline of the calling worker its whole group ends with it.

mod group;
mod kept;
mod package;
mod pump;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::host::{Cancel, Fault, Planned, Result, Worker, format_duration};

pub use group::{GRACE, end_all};
pub(crate) use group::{Group, Wiring};
pub(crate) use kept::Kept;
pub(crate) use package::of as package_of;
pub(crate) use pump::{take, unblock};

/// How a program is run. The default: environment inherited, no input, no time limit, a non-zero exit is a fault.
#[derive(Debug, Clone)]
pub struct Options {
    /// Runs the program inside this tree: chroot and chdir in the child. `/dev`, `/proc` and `/sys` there are the
    /// caller's business.
    pub chroot: Option<PathBuf>,
    /// Set on top of what kar itself was given.
    pub env: Vec<(OsString, OsString)>,
    /// Written to the program's stdin, which is then closed. A program that does not read all of it is no error.
    pub input: Option<Vec<u8>>,
    pub timeout: Option<Duration>,
    /// Working directory; with `chroot`, inside of it (`/` unless said).
    pub dir: Option<PathBuf>,
    /// An exit status other than 0 is a fault.
    pub check: bool,
    /// What it prints goes where kar's own goes, and nothing is kept of it.
    pub show: bool,
    /// Bytes kept of stdout and of stderr each; beyond it the middle is left out, and the text says so.
    pub limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            chroot: None,
            env: Vec::new(),
            input: None,
            timeout: None,
            dir: None,
            check: true,
            show: false,
            limit: 8 << 20,
        }
    }
}

/// What a program left. Texts are UTF-8, with a replacement character for bytes that are not.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Output {
    /// Exit status; 128 and the signal's number for a program that a signal ended, as shells say it.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Planned for Output {}

/// Runs a program to its end and collects what it prints.
///
/// # Errors
/// - `proc.missing`: no such program, with the Debian package that has it where that is known
/// - `proc.start`: it is there and cannot be run, or `chroot` or `dir` is no directory
/// - `proc.failed`: with [`Options::check`], the exit status or signal and the last lines of stderr
/// - `proc.timeout`: [`Options::timeout`] passed; the program's group was killed
/// - `host.stopped`, `host.late`: cancelled, or past the worker's deadline; killed likewise
pub fn run<A: AsRef<OsStr>>(program: &str, args: &[A], options: &Options, cancel: &Cancel) -> Result<Output> {
    let wiring = Wiring { stdin: options.input.is_some(), stdout: true };
    let mut group = Group::start(program, args, options, wiring)?;
    let late = Worker::current().deadline;
    let timeout = options.timeout.map(|limit| Instant::now() + limit);
    let mut pump = pump::Pump::new(&mut group, options)?;
    while !pump.turn(&group)? {
        let now = Instant::now();
        let end = if cancel.is_set() {
            Fault::stopped()
        } else if late.is_some_and(|at| now >= at) {
            Fault::late()
        } else if timeout.is_some_and(|at| now >= at) {
            let limit = format_duration(options.timeout.unwrap_or_default());
            let message = format!("`{}` did not end within {limit} and was killed", group.line());
            with_tail(Fault::new("proc.timeout", message), &pump.err.text())
        } else {
            continue;
        };
        group.kill();
        return Err(end);
    }
    let (out, err) = (pump.out.text(), pump.err.text());
    let code = group.wait()?;
    if options.check && code != 0 { Err(failed(&group.line(), code, &err)) } else { Ok(Output { code, out, err }) }
}

/// `proc.failed` of a program that ended with `code`, told with the end of its stderr.
pub(crate) fn failed(line: &str, code: i32, err: &str) -> Fault {
    let how = match code {
        signal @ 129.. => format!("was ended by signal {} ({})", signal - 128, group::signal_name(signal - 128)),
        code => format!("failed with exit status {code}"),
    };
    with_tail(Fault::new("proc.failed", format!("`{line}` {how}")), err)
}

/// The last lines of what a program said are the likeliest to name the cause.
fn with_tail(mut fault: Fault, err: &str) -> Fault {
    const LINES: usize = 5;
    let lines: Vec<&str> = err.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(LINES)..];
    if !tail.is_empty() {
        let separator = if tail.len() == 1 { ": " } else { ":\n" };
        fault.message = format!("{}{separator}{}", fault.message, tail.join("\n"));
    }
    fault
}

#[cfg(test)]
mod tests;
