//! A node's first filesystem and its first process: images read back by cpio, bsdtar, depmod and the kernel itself, and
//! virtual machines that boot them.

#[path = "../harness/mod.rs"]
mod harness;
mod image;
mod kernel;
mod machine;
mod netboot;
mod vm;
