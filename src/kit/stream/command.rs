//! What a program prints, as a source.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::process::{ChildStderr, ChildStdout};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Source;
use crate::host::{Cancel, Fault, Result};
use crate::kit::process::{self, Group, Kept, Options, Wiring};

/// How late a cancel is noticed, in milliseconds.
pub(super) const TURN: u16 = 50;
/// What is kept of stderr for a fault.
pub(super) const STDERR: usize = 64 << 10;

/// A program's stdout. The clean end comes only after exit status 0; dropped before, the program is killed.
pub struct Command {
    group: Group,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    said: Kept,
    cancel: Cancel,
    /// Ended well.
    over: bool,
}

/// Starts a program whose stdout is the stream. No shell: each argument arrives as it stands.
///
/// # Errors
/// `proc.missing`, `proc.start`. Later, from reading: `proc.failed` with the end of stderr.
pub fn command<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Result<Command> {
    let mut group = Group::start(program, args, &Options::default(), Wiring { stdin: false, stdout: true })?;
    let (out, err) = (group.take_stdout(), group.take_stderr());
    let command = Command { group, out, err, said: Kept::new(STDERR), cancel: Cancel::new(), over: false };
    let pipes = [command.out.as_ref().map(AsFd::as_fd), command.err.as_ref().map(AsFd::as_fd)];
    pipes.into_iter().flatten().try_for_each(process::unblock).map_err(|error| command.broken(error))?;
    Ok(command)
}

impl Command {
    fn broken(&self, error: std::io::Error) -> Fault {
        Fault::io("stream.read", format_args!("read from `{}`", self.group.line()), error)
    }

    /// Waits a moment for output, for complaints, or for the end.
    fn wait(&mut self) -> Result<()> {
        if self.cancel.is_set() {
            self.group.kill();
            return Err(Fault::stopped());
        }
        let mut fds: Vec<PollFd> = Vec::with_capacity(3);
        fds.extend(self.out.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.err.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        if self.out.is_none() {
            fds.extend(self.group.pidfd().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        }
        match poll(&mut fds, PollTimeout::from(TURN)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(self.broken(error.into())),
        }
        process::take(&mut self.err, &mut self.said).map_err(|error| self.broken(error))
    }

    /// Everything is read: the exit status decides whether it was all there is.
    fn end(&mut self) -> Result<usize> {
        while !self.group.has_ended() {
            self.wait()?;
        }
        process::take(&mut self.err, &mut self.said).map_err(|error| self.broken(error))?;
        self.over = true;
        match self.group.wait()? {
            0 => Ok(0),
            code => Err(process::failed(&self.group.line(), code, &self.said.text())),
        }
    }
}

impl Source for Command {
    fn describe(&self) -> String {
        self.group.line()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while let Some(pipe) = &mut self.out {
            match pipe.read(buffer) {
                Ok(0) => self.out = None,
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(self.broken(error)),
            }
        }
        if self.over { Ok(0) } else { self.end() }
    }
}
