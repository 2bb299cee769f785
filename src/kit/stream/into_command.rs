//! What a program reads, as a sink.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::{ChildStderr, ChildStdin};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command::{STDERR, TURN};
use super::{Delivered, Sink};
use crate::host::{Cancel, Fault, Result};
use crate::kit::process::{self, Group, Kept, Options, Wiring};

/// What a program that reads no more gets to end by itself and say why.
const FAREWELL: Duration = Duration::from_secs(5);

/// A program's stdin; what it prints goes nowhere, what it complains of goes into the fault.
pub struct IntoCommand {
    group: Group,
    stdin: Option<ChildStdin>,
    err: Option<ChildStderr>,
    said: Kept,
    cancel: Cancel,
    bytes: u64,
}

/// Starts a program that takes the stream on its stdin. No shell: each argument arrives as it stands.
///
/// # Errors
/// `proc.missing`, `proc.start`. Later: `proc.failed` with the end of stderr, `stream.write` when it stops reading
/// before the stream ends.
pub fn into_command<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Result<IntoCommand> {
    let mut group = Group::start(program, args, &Options::default(), Wiring { stdin: true, stdout: false })?;
    let (stdin, err) = (group.take_stdin(), group.take_stderr());
    let sink = IntoCommand { group, stdin, err, said: Kept::new(STDERR), cancel: Cancel::new(), bytes: 0 };
    let pipes = [sink.stdin.as_ref().map(AsFd::as_fd), sink.err.as_ref().map(AsFd::as_fd)];
    pipes.into_iter().flatten().try_for_each(process::unblock).map_err(|error| sink.broken(error))?;
    Ok(sink)
}

impl IntoCommand {
    fn broken(&self, error: std::io::Error) -> Fault {
        Fault::io("stream.write", format_args!("write to `{}` at byte {}", self.group.line(), self.bytes), error)
    }

    /// Waits a moment for room, for complaints, or for the end.
    fn wait(&mut self) -> Result<()> {
        if self.cancel.is_set() {
            return Err(Fault::stopped());
        }
        let mut fds: Vec<PollFd> = Vec::with_capacity(3);
        fds.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
        fds.extend(self.err.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        if self.stdin.is_none() {
            fds.extend(self.group.pidfd().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        }
        match poll(&mut fds, PollTimeout::from(TURN)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(self.broken(error.into())),
        }
        process::take(&mut self.err, &mut self.said).map_err(|error| self.broken(error))
    }

    /// Waits for the end; a program that is given up is killed here.
    fn status(&mut self, until: Option<Instant>) -> Result<i32> {
        while !self.group.has_ended() {
            if until.is_some_and(|until| Instant::now() >= until) {
                self.group.kill();
                return Ok(0);
            }
            if let Err(fault) = self.wait() {
                self.group.kill();
                return Err(fault);
            }
        }
        process::take(&mut self.err, &mut self.said).map_err(|error| self.broken(error))?;
        self.group.wait()
    }

    /// It closed its stdin: most likely it failed, and its own words are the cause.
    fn deaf(&mut self) -> Fault {
        self.stdin = None;
        match self.status(Some(Instant::now() + FAREWELL)) {
            Err(fault) => fault,
            Ok(0) => Fault::new(
                "stream.write",
                format!("cannot write to `{}`: it stopped reading near byte {}", self.group.line(), self.bytes),
            ),
            Ok(code) => process::failed(&self.group.line(), code, &self.said.text()),
        }
    }
}

impl Sink for IntoCommand {
    fn describe(&self) -> String {
        self.group.line()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    fn write(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let Some(pipe) = &mut self.stdin else { return Err(self.deaf()) };
            match pipe.write(data) {
                Ok(count) => {
                    self.bytes += count as u64;
                    data = &data[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(self.deaf()),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered> {
        self.stdin = None;
        match self.status(None)? {
            0 => Ok(Delivered { bytes: self.bytes, ..Delivered::default() }),
            code => Err(process::failed(&self.group.line(), code, &self.said.text())),
        }
    }

    /// Killed while its stdin is still open: a closed one would look like the clean end.
    fn abort(&mut self, _: &Fault) {
        self.group.kill();
        self.stdin = None;
    }
}

impl Drop for IntoCommand {
    fn drop(&mut self) {
        self.group.kill();
    }
}
