//! The machine kar runs on: what it is, how it was booted, how it is switched off.

mod cmdline;
mod eject;
mod facts;
mod modules;
mod power;

pub use cmdline::{Cmdline, cmdline};
pub use eject::eject;
pub use facts::{Facts, Interface, facts};
pub use modules::modprobe;
pub use power::{Power, guard, power};
