//! The machine kar runs on: what it is, how it was booted, how it is switched off. And what kar does where it is the
//! first process: mounts, consoles, drivers, the network.

mod cmdline;
mod console;
mod eject;
mod facts;
mod hardware;
mod init;
mod job;
mod memory;
mod modules;
mod mounts;
mod network;
mod power;
mod settings;

pub use cmdline::{Cmdline, cmdline};
pub use console::{Consoles, consoles};
pub use eject::eject;
pub use facts::{Facts, Interface, facts};
pub use hardware::{Hardware, Say};
pub use init::{Event, Init};
pub use job::{Job, MOST as JOB_MOST};
pub use memory::move_to_memory;
pub use modules::modprobe;
pub use mounts::{mount_usual, unmount_devices};
pub use network::{Network, bring_up};
pub use power::{Power, guard, power};
pub use settings::{Address, NAMES, Settings, Then, settings};
