//! The chain with real sockets: exact bytes, failures that are failures, strangers without effect.
//!
//! Nodes are tasks of this process with loopback addresses of their own, or child processes where one is killed.

mod children;
mod corrupt;
mod exact;
mod failure;
mod faults;
mod gather;
#[path = "../harness/mod.rs"]
mod harness;
mod net;
mod parts;
mod rest;
mod sealed;
mod strangers;
