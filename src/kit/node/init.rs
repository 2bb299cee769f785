//! What the first process owes the kernel: every orphan is waited for, and signals are answered. The work itself is
//! done by a child, so that whatever happens to it the machine goes on, and says what happened.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Power;
use crate::host::{Fault, Result};

/// As busybox has it, so that its `reboot` and `poweroff` work in a shell of the node.
const ASKS: [(Signal, Power); 3] =
    [(Signal::SIGTERM, Power::Reboot), (Signal::SIGINT, Power::Reboot), (Signal::SIGUSR2, Power::Off)];

/// How the first process is asked to end the boot.
pub(super) fn signal_for(what: Power) -> Signal {
    if what == Power::Reboot { Signal::SIGTERM } else { Signal::SIGUSR2 }
}

/// What ended the wait of the first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The child that it waited for ended: exit status, 128 and the signal's number for a signal.
    Ended(i32),
    Asked(Power),
}

/// Answers for all processes. Made before any thread is.
pub struct Init {
    signals: SigSet,
}

impl Init {
    /// Holds the signals back that [`Init::wait`] takes.
    ///
    /// # Errors
    /// `node.init`: the kernel refuses.
    pub fn new() -> Result<Init> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        ASKS.iter().for_each(|(signal, _)| signals.add(*signal));
        signals.thread_block().map_err(|error| Fault::io("node.init", "hold signals back", error))?;
        Ok(Init { signals })
    }

    /// Starts a child, which gets its signals again.
    ///
    /// # Errors
    /// `node.start`
    pub fn start(&self, command: &mut Command) -> Result<u32> {
        // SAFETY: one system call on an empty set.
        unsafe {
            command.pre_exec(|| Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?));
        }
        let program = command.get_program().to_string_lossy().into_owned();
        // Waited for by number, among all the others.
        let child =
            command.spawn().map_err(|error| Fault::io("node.start", format_args!("start `{program}`"), error))?;
        Ok(child.id())
    }

    /// Waits for this child, or for somebody who asks for the end; for ever with none. Reaps all others meanwhile.
    pub fn wait(&self, child: Option<u32>) -> Event {
        loop {
            if let Some(status) = reap(child) {
                return Event::Ended(status);
            }
            let signal = self.signals.wait().unwrap_or(Signal::SIGCHLD);
            if let Some((_, what)) = ASKS.iter().find(|(asks, _)| *asks == signal) {
                return Event::Asked(*what);
            }
        }
    }
}

/// Takes every process that has ended; the status of the one that is waited for.
fn reap(child: Option<u32>) -> Option<i32> {
    loop {
        let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => (pid, status),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
            Err(Errno::EINTR) => continue,
            _ => return None,
        };
        if child.is_some_and(|child| pid == Pid::from_raw(child.cast_signed())) {
            return Some(status);
        }
    }
}
