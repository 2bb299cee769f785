//! The first filesystem of a node: kernel modules with what they need, programs with their libraries, firmware, kar
//! itself, in one archive that the kernel unpacks.

mod build;
mod compress;
mod cpio;
mod firmware;
mod image;
mod libraries;
mod modules;
mod programs;
mod tables;
mod unpack;

pub use build::{Built, Content, Plan, build};
pub use compress::Compression;
pub use cpio::{Entry, Node, Writer};
pub use firmware::Missing;
