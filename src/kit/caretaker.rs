//! A process that outlives kar by a moment, and undoes the mounts of a kar that was killed.
//!
//! kar names each mount that it makes and unmakes, over a pipe. When the pipe ends, in whatever way kar ended, what is
//! left is unmounted, the last first; the images below are then freed by the kernel, whose loop devices end with their
//! last user. (A mount namespace of kar's own would do it without a process, but would keep every filesystem of the
//! machine busy that was mounted when it was made.)

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SigHandler, Signal, signal};

use super::disk;

/// What kar is called with to be the caretaker.
pub const WORD: &str = "caretaker";

enum Line {
    /// Nobody is told: for programs that are not kar, whose own binary is no caretaker.
    Off,
    /// Starts with the first mount.
    Ready,
    Open(ChildStdin),
}

static LINE: Mutex<Line> = Mutex::new(Line::Off);

/// From now on mounts are told to a caretaker, which starts with the first of them. Only for kar itself.
pub fn enable() {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*line, Line::Off) {
        *line = Line::Ready;
    }
}

/// Names what was just mounted on `dir`.
pub(super) fn mounted(dir: &Path) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*line, Line::Ready) {
        // A mount is good without a caretaker, too.
        *line = start().map_or(Line::Off, Line::Open);
    }
    tell(&mut line, b'+', dir);
}

/// Names what was just unmounted from `dir`.
pub(super) fn unmounted(dir: &Path) {
    tell(&mut LINE.lock().unwrap_or_else(PoisonError::into_inner), b'-', dir);
}

fn tell(line: &mut Line, sign: u8, dir: &Path) {
    if let Line::Open(pipe) = line {
        let word = [&[sign], dir.as_os_str().as_bytes(), &[0]].concat();
        let _ = pipe.write_all(&word);
    }
}

fn start() -> Option<ChildStdin> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(WORD).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C and what else is meant for kar's group does not reach it.
    command.process_group(0).current_dir("/").spawn().ok()?.stdin
}

/// The caretaker's own work: returns when `input` has ended and all is undone.
pub fn run(mut input: impl BufRead) {
    for word in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code of ours.
        let _ = unsafe { signal(word, SigHandler::SigIgn) };
    }
    let mut order: Vec<PathBuf> = Vec::new();
    let mut sources: HashMap<PathBuf, Option<String>> = HashMap::new();
    let mut word = Vec::new();
    while input.read_until(0, &mut word).is_ok_and(|read| read > 0) {
        if let [sign, path @ .., 0] = word.as_slice() {
            let dir = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            order.retain(|known| *known != dir);
            if *sign == b'+' {
                sources.insert(dir.clone(), source(&dir));
                order.push(dir);
            }
        }
        word.clear();
    }
    for dir in order.iter().rev() {
        // Somebody else may have unmounted it by hand, and mounted another.
        if source(dir).is_some() && Some(&source(dir)) == sources.get(dir) {
            let _ = umount2(dir, MntFlags::MNT_DETACH);
        }
    }
}

fn source(dir: &Path) -> Option<String> {
    disk::mounted_at(dir).map(|(source, _)| source)
}
