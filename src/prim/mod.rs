//! The primitives: one file is one script module, thin. It checks arguments, calls kit, shapes the answer.
//!
//! A new primitive: write its file beside the others (`log.rs` is the shortest, `task.rs` shows closures), name it
//! in [`MODULES`], and run the tests: they name what is missing.

pub mod doc;
pub mod errors;
pub mod ground;
pub mod prelude;

mod callback;
mod disks;
mod ends;
mod served;
mod words;

mod boot;
mod chain;
mod dd;
mod dhcp;
mod disk;
mod fs;
mod http;
mod initramfs;
mod log;
mod net;
mod node;
mod proc;
mod step;
mod stores;
mod stream;
mod table;
mod tar;
mod task;
mod tftp;
mod tree;
mod watch;

pub use callback::STACK;
pub use ground::{Ground, Scripts, Sources};

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
    http: "boot files and reports: a server, and a client",
    net: "the network interfaces of this machine",
    disk: "disks and image files: found, opened, attached",
    table: "partition tables: planned, read, written",
    fs: "filesystems and the files in them",
    tar: "trees as archives, with every attribute a system has",
    tree: "digests of trees, and what two trees differ in",
    dd: "raw disks, partitions and images",
    stream: "bytes from a source to a sink",
    chain: "one stream from one machine to many, node by node",
    step: "where each node stands, in a folder of small files",
    boot: "what a node is told at a network boot",
    initramfs: "the first filesystem of a node: modules, programs, kar",
    watch: "what nodes do, as they tell it",
    node: "the machine kar runs on: facts, command line, reboot",
    proc: "programs, run without a shell",
    task: "work side by side, waits, second tries",
    log: "what a person reads while it runs",
}
