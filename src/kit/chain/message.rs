//! What server and nodes say to each other beside the stream: JSON, one message a frame.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::frame::{self, Kind, MESSAGE};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Message {
    /// The first word on every connection, from the side that connected.
    Hello(Hello),
    /// Answer to a hello: prove that you know the token, over this nonce.
    Challenge {
        nonce: String,
    },
    Proof {
        proof: String,
    },
    /// The accepting side's own proof. On a link, `at` is the position it wants the stream from.
    Welcome {
        proof: String,
        session: String,
        at: u64,
    },
    /// Its layout stays as it is in every version, so that the reason can be read.
    Refused {
        kind: String,
        message: String,
    },
    /// Server to node: the chain is made, this is your place.
    Plan(Plan),
    /// Server to node: feed these and nobody else.
    Feed {
        seq: u64,
        next: Vec<Child>,
    },
    /// Node to server: my sink failed; I go on relaying.
    Trouble {
        kind: String,
        message: String,
    },
    /// Node to server: the link of this epoch to the node at this position broke.
    LinkDown {
        position: usize,
        epoch: u64,
        why: String,
    },
    /// Node to server: the link that feeds me, of this epoch, broke.
    FeedDown {
        epoch: u64,
        why: String,
    },
    /// Node to server, now and then.
    State(State),
    /// Node to server: the whole stream is safely in the sink.
    Done {
        bytes: u64,
        digest: String,
        entries: u64,
        warnings: Vec<String>,
    },
    /// Node to server, after [`Message::Done`]: all that I feed have it too, as of order `seq`.
    Drained {
        seq: u64,
    },
    /// Server to node: all others wait for your sink; leave, and come back for the rest.
    Evict,
    /// Node to server: it leaves the chain, and comes back for what it has not yet.
    Away,
    /// Node to server: it ends here.
    Failed {
        kind: String,
        message: String,
    },
    /// Server to node: stop.
    Abort {
        kind: String,
        message: String,
    },
    /// Server to node: your result is written down, leave.
    Bye,
    /// Server to a connection whose role is `start`.
    Started,
    /// Discovery, node to everybody.
    Query {
        session: String,
        nonce: String,
    },
    /// Discovery, server to node. Without an address, the datagram's own source is meant.
    Answer {
        session: String,
        nonce: String,
        port: u16,
        address: Option<IpAddr>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub role: Role,
    /// `None` takes whatever session the server has.
    pub session: Option<String>,
    /// What the node is called in reports.
    pub name: Option<String>,
    /// Where the node listens for data.
    pub port: u16,
    pub nonce: String,
    /// Why a node declines.
    #[serde(default)]
    pub reason: Option<String>,
    /// On a link: which one; a later one takes the place of an earlier one.
    #[serde(default)]
    pub epoch: u64,
    /// What a node wants of the stream.
    #[serde(default)]
    pub want: Want,
    /// Its sink takes a stream whose end comes first.
    #[serde(default)]
    pub seeks: bool,
    /// It left the chain and comes back, as it said.
    #[serde(default)]
    pub back: bool,
}

/// A part of the stream; unless said all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    pub from: u64,
    pub until: Option<u64>,
}

impl Hello {
    pub fn new(role: Role, nonce: String) -> Self {
        Hello {
            role,
            session: None,
            name: None,
            port: 0,
            nonce,
            reason: None,
            epoch: 0,
            want: Want::default(),
            seeks: false,
            back: false,
        }
    }
}

/// How a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Bytes safely in its sink.
    pub written: u64,
    /// Bytes received.
    pub received: u64,
    /// Milliseconds that its sink has spent in writes.
    pub busy: u64,
    /// Its memory is full of what its own sink has not taken yet: others wait for this sink.
    pub waits: bool,
    /// Milliseconds in which others waited for this sink.
    pub stalled: u64,
    /// The longest time, in milliseconds, in which nothing came.
    pub pause: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Joins a session.
    Node,
    /// Feeds a node with the stream.
    Link,
    /// Only says: start now.
    Start,
    /// Only says: this node will not come, do not wait for it.
    Decline,
}

/// A node's place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// From 1; the server is 0.
    pub position: usize,
    /// Known only to the server, this node and whoever feeds it.
    pub key: String,
    pub seq: u64,
    pub next: Vec<Child>,
    /// The chain runs already: whatever its feeder sends first is where the stream begins for it.
    #[serde(default)]
    pub late: bool,
}

/// The position that a node wants the stream from when it joins a running chain: where its feeder is.
pub const ANYWHERE: u64 = u64::MAX;

/// A node to feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Child {
    pub position: usize,
    pub address: SocketAddr,
    pub key: String,
    /// Which link to it this is.
    pub epoch: u64,
    /// How many before it broke without bringing anything.
    pub tries: u32,
}

/// Warnings of one sink that travel to the server; the rest is counted.
const WARNINGS: usize = 50;

impl Message {
    /// The frame of this message.
    pub fn frame(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        // Texts are cut before they get here (`clean`, `few`): a longer one would only be refused by the other side.
        frame::encode(Kind::Message, 0, &json[..json.len().min(MESSAGE)])
    }

    /// The message in a payload; `None` for anything that is none.
    pub fn parse(payload: &[u8]) -> Option<Message> {
        serde_json::from_slice(payload).ok()
    }
}

/// A text from another machine or for it: one line, at most 400 characters, nothing that moves a terminal's cursor.
pub fn clean(text: &str) -> String {
    let mut line: String = text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(400).is_some() {
        line.push_str("..");
    }
    line
}

/// As many warnings as one message holds.
pub fn few(warnings: &[String]) -> Vec<String> {
    let mut few: Vec<String> = warnings.iter().take(WARNINGS).map(|w| clean(w)).collect();
    if warnings.len() > WARNINGS {
        few.push(format!("and {} more", warnings.len() - WARNINGS));
    }
    few
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_result_fits_a_frame() {
        // JSON writes the worst characters with six bytes each, and cleaned texts hold none of them.
        let warnings = few(&vec!["\u{10ffff}\"\u{1}".repeat(300); 1000]);
        let done = Message::Done { bytes: u64::MAX, digest: "f".repeat(64), entries: u64::MAX, warnings };
        let sent = done.frame();
        let (_, payload) = frame::decode(&sent).unwrap();
        assert_eq!(Message::parse(payload), Some(done));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn a_cleaned_text_is_one_short_line(text in any::<String>()) {
            let line = clean(&text);
            prop_assert!(line.chars().count() <= 402 && !line.chars().any(char::is_control));
        }
    }
}
