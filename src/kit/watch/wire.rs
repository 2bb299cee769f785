//! The lines: JSON, each ended by a newline, at most [`LINE`] bytes long.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use crate::host::{Fault, Result};

/// The longest line. What a node says beyond is cut there.
pub const LINE: usize = 64 << 10;
/// The form of these lines.
pub const VERSION: u32 = 1;

/// What a node says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromNode {
    /// First on every connection. `run` tells the tries of one boot apart: their numbers begin anew.
    Hello {
        version: u32,
        token: String,
        run: String,
    },
    Event(Event),
    /// Nothing new but that it lives, and how far its work is.
    Alive {
        bytes: u64,
    },
}

/// Something that happened on the node, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without a gap.
    pub number: u64,
    /// Seconds after the kernel's start.
    pub at: f64,
    pub kind: Kind,
    pub text: String,
    /// What the work gave back, at the end.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub report: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Info,
    Step,
    Warn,
    Error,
    /// The work is over, and went well.
    Done,
    /// The work is over; the text says why.
    Failed,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromServer {
    /// All up to this number has arrived; the node may forget it.
    Have { number: u64 },
    /// It wants nothing of this node: of another boot, or of another server.
    Refused { why: String },
}

/// # Errors
/// `watch.line`: not a line of a node.
pub fn parse_from_node(line: &[u8]) -> Result<FromNode> {
    serde_json::from_slice(line).map_err(|error| Fault::new("watch.line", format!("no line of a node: {error}")))
}

/// The next line without its end; none at the end of the connection.
///
/// # Errors
/// `watch.line`: longer than [`LINE`], or a connection that broke.
pub async fn read_line(from: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> Result<bool> {
    let broken = |error| Fault::io("watch.line", "read from the connection", error);
    loop {
        let buffer = from.fill_buf().await.map_err(broken)?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |at| at + 1);
        line.extend_from_slice(&buffer[..taken]);
        from.consume(taken);
        if line.len() > LINE {
            return Err(Fault::new("watch.line", format!("a line of more than {LINE} bytes")));
        }
        if end.is_some() {
            line.pop();
            return Ok(true);
        }
    }
}

/// # Errors
/// `watch.line`: a connection that broke.
pub async fn write_line(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value).expect("texts and numbers have a JSON form");
    line.push(b'\n');
    to.write_all(&line).await.map_err(|error| Fault::io("watch.line", "write to the connection", error))
}
