//! Exit codes: what a shell script can tell of a run.

use std::process::{ExitCode, Termination};

use crate::host::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// The recipe failed.
    Failed = 1,
    /// Wrong command line or parameters.
    Usage = 2,
    /// The script does not compile, or the check found something.
    Script = 3,
    /// This user may not do it.
    NotPermitted = 4,
    /// A bug in kar.
    Bug = 101,
    /// Ctrl-C.
    Stopped = 130,
}

impl Exit {
    /// The code for a fault that ended a run.
    pub fn of(fault: &Fault) -> Self {
        match fault.kind.as_ref() {
            "host.stopped" => Exit::Stopped,
            "host.permission" => Exit::NotPermitted,
            "kar.panic" => Exit::Bug,
            "script.missing" | "script.read" | "script.entry" | "args.value" => Exit::Usage,
            "script.syntax" | "script.params" => Exit::Script,
            _ => Exit::Failed,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}
