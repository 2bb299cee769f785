//! Plain Rust and tokio: what the primitives are made of. Knows no script engine, prints nothing, exits never.

pub mod archive;
pub mod boot;
pub mod caretaker;
pub mod chain;
pub mod dd;
pub mod dhcp;
pub mod disk;
pub mod elf;
pub mod fs;
pub mod http;
pub mod initramfs;
pub mod kmod;
pub mod namespace;
pub mod net;
pub mod node;
pub mod nodeset;
pub mod process;
pub mod served;
pub mod step;
pub mod stream;
pub mod tftp;
pub mod tree;
pub mod watch;
