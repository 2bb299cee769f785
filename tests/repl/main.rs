//! Sessions typed into a real terminal, fed by a pipe, and single lines.

#[path = "../harness/mod.rs"]
mod harness;

mod guide;
mod keys;
mod live;
mod piped;
mod pty;
