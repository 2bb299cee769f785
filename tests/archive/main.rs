//! Archives exchanged with GNU tar and bsdtar, hostile archives, and trees that change while they are read.
//!
//! Needs root and the Debian packages tar, libarchive-tools, acl, attr, libcap2-bin.

mod craft;
mod escape;
mod exchange;
mod harness;
mod live;
mod mutate;
mod nasty;
mod random;
mod sink;
