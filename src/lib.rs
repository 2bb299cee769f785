//! kar: a scripting host for installing machines over the network.
//!
//! The rooms and their directions stand in docs/architecture.md.

pub mod cli;
pub mod host;
pub mod kit;
pub mod prim;
pub mod script;
