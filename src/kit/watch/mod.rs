//! What nodes do, told to their server as it happens: over TCP, a line of JSON each way (`wire`), numbered, so that nothing is lost or
//! told twice when the network blinks. The node keeps what the server has not confirmed (`teller`); the server knows each
//! boot by a token of its own, and names a node that goes silent (`server`, `board`).

mod board;
mod server;
mod teller;
mod wire;

pub use board::{Happening, Node, State};
pub use server::{Options, Watch};
pub use teller::Teller;
pub use wire::{Event, FromNode, FromServer, Kind, LINE, parse_from_node};

#[cfg(test)]
mod tests;
