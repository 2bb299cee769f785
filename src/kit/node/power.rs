//! The end of the machine's run.

use std::time::{Duration, Instant};

use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::host::{Fault, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Reboot,
    Off,
}

impl Power {
    /// `node.reboot`, as the script writes it.
    pub fn verb(self) -> &'static str {
        match self {
            Power::Reboot => "node.reboot",
            Power::Off => "node.poweroff",
        }
    }
}

/// The first process is given so long to say goodbye to its consoles and to unmount.
const GOODBYE: Duration = Duration::from_secs(20);

/// Whether the first process is kar: this one, or the one that it works for.
fn is_node() -> bool {
    let program = |link: &str| std::fs::read_link(link).ok();
    let first = std::process::id() == 1;
    // Of an init of another user there is nothing to read.
    first || (program("/proc/1/exe").is_some() && program("/proc/1/exe") == program("/proc/self/exe"))
}

/// Whether this machine is ours to switch: kar is its first process, as on a node that booted into it.
///
/// # Errors
/// `node.refused`: another init runs here, and `force` is not set.
pub fn guard(what: Power, force: bool) -> Result<()> {
    if force || is_node() {
        return Ok(());
    }
    let verb = if what == Power::Reboot { "reboot" } else { "switch off" };
    let message =
        format!("cannot {verb} this machine: kar is not its first process, so it is not a node in its installation");
    Err(Fault::new("node.refused", message).hint("to do it nevertheless: #{ force: true }"))
}

/// Writes out what is in memory and ends this boot, without asking any init. Does not return where it works; in a PID
/// namespace the kernel ends the namespace instead (reboot(2)).
///
/// # Errors
/// `node.power`: not permitted.
pub fn power(what: Power) -> Result<()> {
    nix::unistd::sync();
    if std::process::id() != 1 && is_node() && kill(Pid::from_raw(1), super::init::signal_for(what)).is_ok() {
        let end = Instant::now() + GOODBYE;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let mode = match what {
        Power::Reboot => RebootMode::RB_AUTOBOOT,
        Power::Off => RebootMode::RB_POWER_OFF,
    };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(error) => Err(Fault::io("node.power", what.verb(), std::io::Error::from(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_another_init_is_refused() {
        assert_ne!(std::process::id(), 1, "tests do not run as init");
        for what in [Power::Reboot, Power::Off] {
            assert_eq!(guard(what, false).unwrap_err().kind, "node.refused");
            guard(what, true).unwrap();
        }
    }
}
