//! The client: for the node, the REPL and the tests.

mod get;
mod link;
mod put;

use std::time::Duration;

use serde::Serialize;

pub use get::{fetch, get, get_bytes};
pub use put::put;

/// What is asked of the server; one that knows no options is served as RFC 1350 has it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes in a block, 8 to 65464 (RFC 2348).
    pub blksize: u16,
    /// Blocks sent without waiting, 1 to 65535 (RFC 7440).
    pub windowsize: u16,
    /// Before a packet is sent again.
    pub timeout: Duration,
    /// How often in a row.
    pub retries: u32,
    /// The longest file taken, bytes.
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        // 1468: with the headers of TFTP, UDP and IP an Ethernet frame.
        Options { blksize: 1468, windowsize: 8, timeout: Duration::from_secs(1), retries: 6, limit: u64::MAX }
    }
}

/// What came of a transfer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub bytes: u64,
    pub seconds: f64,
    /// As agreed with the server.
    pub blksize: u16,
    pub windowsize: u16,
}
