//! What a session was, and what it is while it runs.

use serde::{Deserialize, Serialize};

use crate::host::Fault;

/// A session after its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub session: String,
    /// What was sent: `tar of /usr`.
    pub source: String,
    /// Bytes of the stream, as far as it was read.
    pub bytes: u64,
    /// From the start of the stream to the last node's result.
    pub seconds: f64,
    /// Bytes / 10^6 / seconds.
    pub mb_per_s: f64,
    /// BLAKE3 of the whole stream, hexadecimal; `None` when it was not read to its end.
    pub digest: Option<String>,
    /// How many nodes each one feeds.
    pub arity: usize,
    /// Nodes with a complete copy.
    pub complete: usize,
    /// Where the chain closed up around somebody, in this order.
    pub repairs: Vec<Repair>,
    /// In the order of the chain.
    pub nodes: Vec<NodeReport>,
}

/// A node that was fed by one that is gone, and by another one since.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    pub node: String,
    /// Who fed it before, and who since.
    pub from: String,
    pub to: String,
    /// Seconds after the start.
    pub at: f64,
    /// Seconds from then until more arrived, as the server saw it (nodes tell four times a second).
    pub seconds: f64,
}

/// One node after its end, as the server tells it or as the node itself does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    pub name: String,
    pub address: String,
    /// From 1.
    pub position: usize,
    /// 1; 2 and more for those who came after the start.
    pub round: usize,
    /// Seconds from the opening of the session until it joined.
    pub joined: f64,
    /// Bytes safely in its sink.
    pub bytes: u64,
    pub seconds: f64,
    pub mb_per_s: f64,
    /// Seconds in which others waited for its sink.
    pub stalled: f64,
    /// What its sink took, MB/s, when it was moved out of the chain to be served afterwards.
    #[serde(default)]
    pub evicted: Option<f64>,
    /// The longest time in which nothing came though it had room, seconds.
    pub pause: f64,
    pub digest: Option<String>,
    /// Entries unpacked, for an archive.
    pub entries: u64,
    pub warnings: Vec<String>,
    pub failure: Option<Failure>,
}

/// The kind of what stands in the report for a node that left and comes back, until it has.
pub const AWAY: &str = "chain.away";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: String,
    pub message: String,
}

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        Failure { kind: fault.kind.to_string(), message: fault.message.clone() }
    }
}

/// Bytes / 10^6 / seconds; 0 for no time at all.
pub fn speed(bytes: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { bytes as f64 / 1e6 / seconds } else { 0.0 }
}

/// A session at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    pub phase: Phase,
    /// Bytes read from the source.
    pub sent: u64,
    /// Bytes to come in all, where that is known.
    pub total: Option<u64>,
    /// In the order of joining, then, from the start on, of the chain.
    pub nodes: Vec<NodeProgress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nodes may join.
    Gathering,
    Streaming,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeProgress {
    pub name: String,
    pub address: String,
    /// Bytes safely in its sink.
    pub bytes: u64,
    /// Its sink's speed, as long as others wait for it.
    pub slow: Option<f64>,
    pub done: bool,
    pub failure: Option<Failure>,
}
