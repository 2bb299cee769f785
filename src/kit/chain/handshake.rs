//! The first words on a connection: who is it, does it know the token, is it welcome.
//!
//! ```text
//! connector                     acceptor
//! Hello { nonce, .. }    ->
//!                        <-     Challenge { nonce }   or Refused
//! Proof { over both }    ->
//!                        <-     Welcome { its own proof }   or Refused
//! ```
//! On an encrypted connection all of it travels sealed, after two words of Noise ([`super::seal`]).

use tokio::time::timeout;

use super::channel::Channel;
use super::frame::{FrameError, Kind, VERSION};
use super::message::{Hello, Message, clean};
use super::proof::{Secret, Side, nonce};
use super::seal::SealError;
use super::wire::{WireError, read_message, read_small, write_message};
use super::{HELLO, SILENCE};
use crate::host::{Fault, Result};

/// What the accepting side said.
pub struct Welcome {
    pub session: String,
    /// On a link: the position from which the stream is wanted.
    pub at: u64,
}

/// The connecting side's part. `who` names the other one in errors.
///
/// # Errors
/// `chain.version`, `chain.token`, or the kind in the refusal; `chain.connect` when it breaks off.
pub async fn greet(stream: &mut Channel, secret: &Secret, hello: Hello, who: &str) -> Result<Welcome> {
    let lost = |error: WireError| match error {
        WireError::Frame(FrameError::Version(version)) => other_version(who, version),
        error => Fault::new("chain.connect", format!("cannot speak to {who}: {error}")),
    };
    if let Some(key) = secret.sealing() {
        stream.seal_connected(&key, SILENCE).await.map_err(|error| match error {
            SealError::Wire(error) => lost(error),
            SealError::Token => unknown_token(who),
            SealError::Instead(said) => match *said {
                Message::Refused { kind, message } => refusal(who, &kind, &message),
                _ => lost(WireError::Unexpected),
            },
            SealError::Broken(why) => {
                Fault::new("chain.encrypt", format!("cannot encrypt the connection to {who}: {why}"))
            }
        })?;
    }
    let own = hello.nonce.clone();
    write_message(stream, &Message::Hello(hello)).await.map_err(lost)?;
    let theirs = match read_message(stream, SILENCE).await.map_err(lost)? {
        Message::Challenge { nonce } => nonce,
        Message::Refused { kind, message } => return Err(refusal(who, &kind, &message)),
        _ => return Err(lost(WireError::Unexpected)),
    };
    let proof = secret.proof(Side::Connector, &own, &theirs);
    write_message(stream, &Message::Proof { proof }).await.map_err(lost)?;
    match read_message(stream, SILENCE).await.map_err(lost)? {
        Message::Welcome { proof, session, at } if secret.fits(Side::Acceptor, &own, &theirs, &proof) => {
            Ok(Welcome { session: clean(&session), at })
        }
        Message::Welcome { .. } => Err(unknown_token(who)),
        Message::Refused { kind, message } => Err(refusal(who, &kind, &message)),
        _ => Err(lost(WireError::Unexpected)),
    }
}

fn unknown_token(who: &str) -> Fault {
    Fault::new("chain.token", format!("{who} does not know the token of this session"))
}

pub fn other_version(who: &str, version: u8) -> Fault {
    Fault::new("chain.version", format!("{who} speaks version {version}, this is {VERSION}"))
        .hint("use the same kar on the server and on the nodes")
}

fn refusal(who: &str, kind: &str, message: &str) -> Fault {
    let kind = if kind.starts_with("chain.") { clean(kind) } else { "chain.refused".into() };
    Fault::new(kind, format!("{who} refused: {}", clean(message)))
}

/// The accepting side's part: seals the connection where the session is encrypted, reads the hello, lets `judge` look at
/// it, and checks the proof over `secret`. What the connection gets as its welcome is the caller's: see [`welcome`].
///
/// # Errors
/// Says why it was refused, for a note; the other side was told already.
pub async fn hear(
    stream: &mut Channel,
    secret: &Secret,
    judge: impl Fn(&Hello) -> Result<()>,
) -> std::result::Result<Guest, Fault> {
    match timeout(HELLO, hear_out(stream, secret, judge)).await {
        Ok(Err(fault)) => {
            // A stranger gets no answer; who speaks the language gets the reason.
            if fault.kind != "chain.stranger" {
                refuse(stream, &fault).await;
            }
            Err(fault)
        }
        Ok(guest) => guest,
        Err(_) => Err(stranger(&WireError::Silent(HELLO))),
    }
}

/// Who came in, with what is needed for the welcome.
pub struct Guest {
    pub hello: Hello,
    secret: Secret,
    nonce: String,
}

async fn hear_out(stream: &mut Channel, secret: &Secret, judge: impl Fn(&Hello) -> Result<()>) -> Result<Guest> {
    let odd = |error: WireError| match error {
        WireError::Frame(FrameError::Version(version)) => other_version("it", version),
        error => stranger(&error),
    };
    if let Some(key) = secret.sealing() {
        stream.seal_accepted(&key, HELLO).await.map_err(|error| match error {
            SealError::Wire(error) => odd(error),
            SealError::Token => wrong_token(),
            SealError::Instead(said) if matches!(*said, Message::Hello(_)) => {
                Fault::new("chain.encrypt", "this session is encrypted: `encrypt: true`")
            }
            SealError::Instead(_) => stranger(&WireError::Unexpected),
            SealError::Broken(why) => Fault::new("chain.encrypt", format!("cannot encrypt: {why}")),
        })?;
    }
    let (header, payload) = read_small(stream, HELLO).await.map_err(odd)?;
    let hello = match (header.kind, Message::parse(&payload)) {
        (Kind::Message, Some(Message::Hello(hello))) => hello,
        (Kind::Noise, _) => return Err(Fault::new("chain.encrypt", "this session is not encrypted")),
        _ => return Err(stranger(&WireError::Unexpected)),
    };
    judge(&hello)?;
    let nonce = nonce();
    let challenge = Message::Challenge { nonce: nonce.clone() };
    write_message(stream, &challenge).await.map_err(|e| stranger(&e))?;
    match read_message(stream, HELLO).await {
        Ok(Message::Proof { proof }) if secret.fits(Side::Connector, &hello.nonce, &nonce, &proof) => {
            Ok(Guest { hello, secret: secret.clone(), nonce })
        }
        Ok(Message::Proof { .. }) => Err(wrong_token()),
        Ok(_) => Err(stranger(&WireError::Unexpected)),
        Err(error) => Err(stranger(&error)),
    }
}

fn wrong_token() -> Fault {
    Fault::new("chain.token", "the token is not the one of this session")
}

fn stranger(error: &WireError) -> Fault {
    Fault::new("chain.stranger", format!("no hello: {error}"))
}

pub async fn refuse(stream: &mut Channel, fault: &Fault) {
    let refused = Message::Refused { kind: fault.kind.to_string(), message: clean(&fault.message) };
    let _ = timeout(HELLO, write_message(stream, &refused)).await;
}

pub async fn welcome(stream: &mut Channel, guest: &Guest, session: &str, at: u64) -> bool {
    let proof = guest.secret.proof(Side::Acceptor, &guest.hello.nonce, &guest.nonce);
    let welcome = Message::Welcome { proof, session: session.to_string(), at };
    matches!(timeout(HELLO, write_message(stream, &welcome)).await, Ok(Ok(())))
}
