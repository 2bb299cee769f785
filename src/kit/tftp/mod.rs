//! TFTP (RFC 1350, 2347, 2348, 2349, 7440): a server with a thread and a connected socket for each transfer, and a client.
//!
//! The server is our own because boot ROMs end a question for the size with ERROR 8, and one that asks again from the same
//! port is left waiting by async-tftp: `tests/servers/async_tftp.rs` shows it, with such a ROM's packets on both.

mod agree;
pub mod client;
mod line;
mod listen;
mod netascii;
mod pace;
pub mod packet;
mod receive;
mod send;
mod server;
mod table;
mod transfer;

pub use crate::kit::served::{Body, Event, Read, Reads, Request, Write, Writes, clean};
pub use agree::{Agreed, agree};
pub use server::{Server, Settings};

#[cfg(test)]
mod tests;
