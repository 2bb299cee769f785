//! One stream from one machine to many, node by node.
//!
//! The server ([`Offer`]) gathers nodes over control connections, puts them in order, and tells each of them whom to
//! feed. Data then flows over connections of its own: the server feeds the first node (or the first few, see `arity`),
//! each node feeds its sink and those behind it at once. Every frame says where in the stream it belongs and
//! carries a checksum; every node hashes the whole stream and ends its sink cleanly only when its digest is the
//! server's.
//!
//! Everybody keeps what anybody behind has not received ([`ledger`]). The server decides who feeds whom ([`tree`]):
//! when a node is gone, the next one in front of it feeds those that it fed, from the position they are at.

mod absent;
pub mod channel;
mod chunk;
pub mod discovery;
mod feeder;
pub mod frame;
mod gate;
mod gathering;
mod handshake;
mod harm;
mod knock;
mod lane;
mod ledger;
mod link;
mod member;
pub mod message;
#[cfg(test)]
mod model;
mod node;
mod offer;
mod pace;
mod pack;
mod parts;
mod peer;
mod place;
mod plan;
mod pool;
mod proof;
mod reader;
mod receive;
mod record;
mod report;
mod rounds;
pub mod seal;
mod session;
mod sink;
mod socket;
mod source;
mod spool;
mod store;
mod tree;
pub mod unpack;
mod upstream;
mod verdict;
mod wedge;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use knock::{KnockOptions, decline, start};
pub use offer::{Offer, OfferOptions, Order, Slow};
pub use pack::Compress;
pub use place::parse_bind;
pub use receive::{ReceiveOptions, Target, receive};
pub use report::{Failure, NodeProgress, NodeReport, Phase, Progress, Repair, Report};
pub use rounds::Rounds;
pub use spool::{Spool, spool};

use crate::host::Level;

/// UDP discovery always uses this port; TCP too, unless `bind` says otherwise or another server has it.
pub const PORT: u16 = 30765;

/// Bytes that a node or the server holds of the stream, unless told otherwise.
pub const BUFFER: u64 = 32 << 20;

/// How long others wait for a sink that takes nothing at all, unless told otherwise.
pub const STALL: Duration = Duration::from_secs(3);

/// How long a node may be silent before it counts as gone, and a link before it counts as broken. Each side of every
/// connection says something every [`PING`].
pub const QUIET: Duration = Duration::from_millis(2500);

/// How long the server may be silent before its nodes give it up. More than [`QUIET`]: there is no other server.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How often a side with nothing to say says that it is there.
const PING: Duration = Duration::from_millis(500);

/// How often the server says so to its nodes, which are patient: all of it goes through the port that feeds the chain.
const PULSE: Duration = Duration::from_secs(2);

/// How long a connection may take to say who it is.
pub const HELLO: Duration = Duration::from_secs(5);

/// Where a chain says what happens beside its result: who joined, who was refused, who vanished.
pub type Notes = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Notes for which nobody is there.
pub fn no_notes() -> Notes {
    Arc::new(|_, _| {})
}
