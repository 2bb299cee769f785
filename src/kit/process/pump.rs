//! Moves bytes to and from a running program until it has ended.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Group, Kept, Options};
use crate::host::{Fault, Result};

/// How long one turn waits at most: how late a cancel is noticed.
const TURN: u16 = 50;
/// Without a pidfd nothing wakes the poll when a program ends that had closed its output before.
const BLIND_TURN: u16 = 10;
/// What a program started and left behind may hold our pipes open for ever; it is heard this long.
const AFTERWARDS: Duration = Duration::from_millis(200);

pub(super) struct Pump {
    stdin: Option<(ChildStdin, Vec<u8>, usize)>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    pub(super) out: Kept,
    pub(super) err: Kept,
    ended: Option<Instant>,
}

impl Pump {
    pub(super) fn new(group: &mut Group, options: &Options) -> Result<Pump> {
        let stdin = group.take_stdin().zip(options.input.clone()).map(|(pipe, input)| (pipe, input, 0));
        let (stdout, stderr) = (group.take_stdout(), group.take_stderr());
        let pipes = [
            stdin.as_ref().map(|(pipe, ..)| pipe.as_fd()),
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ];
        for pipe in pipes.into_iter().flatten() {
            unblock(pipe)
                .map_err(|error| Fault::io("proc.start", format_args!("listen to `{}`", group.line()), error))?;
        }
        Ok(Pump { stdin, stdout, stderr, out: Kept::new(options.limit), err: Kept::new(options.limit), ended: None })
    }

    /// Waits a moment for something to happen and moves what can be moved. True once the program has ended and all
    /// it printed is here.
    pub(super) fn turn(&mut self, group: &Group) -> Result<bool> {
        self.wait(group)
            .and_then(|()| self.feed())
            .and_then(|()| take(&mut self.stdout, &mut self.out))
            .and_then(|()| take(&mut self.stderr, &mut self.err))
            .map_err(|error| Fault::io("proc.failed", format_args!("listen to `{}`", group.line()), error))?;
        if self.ended.is_none() && group.has_ended() {
            self.ended = Some(Instant::now());
            return Ok(false);
        }
        let silent = self.stdout.is_none() && self.stderr.is_none();
        Ok(self.ended.is_some_and(|at| silent || at.elapsed() >= AFTERWARDS))
    }

    fn wait(&self, group: &Group) -> io::Result<()> {
        let mut fds: Vec<PollFd> = Vec::with_capacity(4);
        fds.extend(self.stdin.as_ref().map(|(pipe, ..)| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
        fds.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        if self.ended.is_none() {
            fds.extend(group.pidfd().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        }
        let turn = if group.pidfd().is_some() { TURN } else { BLIND_TURN };
        match poll(&mut fds, PollTimeout::from(turn)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn feed(&mut self) -> io::Result<()> {
        let Some((pipe, input, done)) = &mut self.stdin else { return Ok(()) };
        while *done < input.len() {
            match pipe.write(&input[*done..]) {
                Ok(count) => *done += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It wants no more: its exit status says whether that is well.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        self.stdin = None;
        Ok(())
    }
}

/// From now on, reads and writes of this pipe do not wait.
pub(crate) fn unblock(pipe: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).map_err(io::Error::from)
}

/// Reads what is there; closes the pipe at its end.
pub(crate) fn take(pipe: &mut Option<impl Read>, kept: &mut Kept) -> io::Result<()> {
    let mut buffer = [0; 64 << 10];
    while let Some(open) = pipe {
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                kept.add(&buffer[..count]);
                // A program that prints without end must not keep us from looking at the clock.
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
