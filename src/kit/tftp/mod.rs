//! TFTP (RFC 1350, 2347, 2348, 2349, 7440): a server on async-tftp behind an interface of our own, and a client.

mod body;
pub mod client;
mod handler;
pub mod packet;
mod root;
mod server;
mod upload;

pub use body::Body;
pub use handler::{Event, Read, Reads, Request, Write, Writes};
pub use root::{Root, clean};
pub use server::{Server, Settings};

#[cfg(test)]
mod tests;
