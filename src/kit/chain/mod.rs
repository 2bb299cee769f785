//! One stream from one machine to many, node by node.
//!
//! The server ([`Offer`]) gathers nodes over control connections, puts them in order, and tells each of them who comes
//! behind it. Data then flows over connections of its own: the server feeds the first node (or the first few, see
//! `arity`), each node feeds its sink and those behind it at once. Every frame says where in the stream it belongs and
//! carries a checksum; every node hashes the whole stream and ends its sink cleanly only when its digest is the
//! server's. Positions flow back: to the server for reports, to the node in front as a sign of life.
//!
//! Ground for what a later version heals: frames and handshakes bear a version, a link begins with the position that
//! its receiving end wants, [`frame::Kind::Want`] is reserved for asking again, and what a node holds is bounded by
//! one budget ([`chunk::Budget`]).

mod chunk;
pub mod discovery;
pub mod frame;
mod gate;
mod gathering;
mod handshake;
mod knock;
mod link;
mod member;
pub mod message;
mod node;
mod offer;
mod peer;
mod place;
mod plan;
mod proof;
mod receive;
mod report;
mod session;
mod sink;
mod socket;
mod source;
mod upstream;
mod verdict;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use knock::{KnockOptions, decline, start};
pub use offer::{Offer, OfferOptions, Order};
pub use place::parse_bind;
pub use receive::{ReceiveOptions, Target, receive};
pub use report::{Failure, NodeProgress, NodeReport, Phase, Progress, Report};

use crate::host::Level;

/// UDP discovery always uses this port; TCP too, unless `bind` says otherwise or another server has it.
pub const PORT: u16 = 30765;

/// Bytes that a node or the server holds of the stream, unless told otherwise.
pub const BUFFER: u64 = 32 << 20;

/// How long a peer may be silent before it counts as gone. Both sides of every connection say something far more often.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How long a connection may take to say who it is.
pub const HELLO: Duration = Duration::from_secs(5);

/// Where a chain says what happens beside its result: who joined, who was refused, who vanished.
pub type Notes = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Notes for which nobody is there.
pub fn no_notes() -> Notes {
    Arc::new(|_, _| {})
}
