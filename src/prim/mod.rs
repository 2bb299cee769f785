//! The primitives: one file is one script module, thin. It checks arguments, calls kit, shapes the answer.
//!
//! A new primitive: write its file beside the others (`log.rs` is the shortest, `task.rs` shows closures), name it
//! in [`MODULES`], and run the tests: they name what is missing.

pub mod ground;
pub mod prelude;

mod callback;
pub mod doc;
mod ends;

mod boot;
mod dhcp;
mod log;
mod net;
mod step;
mod task;
mod tftp;

pub use ground::{Ground, Scripts};

/// One script module, as `import`-less scripts see it: `name::function(..)`.
pub struct Module {
    pub name: &'static str,
    /// One line, for `kar doc` and the reference.
    pub about: &'static str,
    pub make: fn() -> rhai::Module,
    /// Names the module's own types to the engine.
    pub types: fn(&mut rhai::Engine),
}

macro_rules! modules {
    ($($name:ident: $about:literal,)*) => {
        /// Everything a script can call, in the order the reference shows it. Engine, checks, `kar doc` and the
        /// reference are made from this list alone.
        pub const MODULES: &[Module] = &[$(Module {
            name: stringify!($name),
            about: $about,
            make: || rhai::exported_module!($name::module),
            types: $name::types,
        },)*];
    };
}

modules! {
    dhcp: "addresses and boot settings for machines: a server, and a client",
    tftp: "boot files: a server, and a client",
    boot: "what a node is told at a network boot",
    step: "where each node stands, in a folder of small files",
    net: "the network interfaces of this machine",
    task: "work side by side, waits, second tries",
    log: "what a person reads while it runs",
}
