//! The first words on a connection: who is it, does it know the token, is it welcome.
//!
//! ```text
//! connector                     acceptor
//! Hello { nonce, .. }    ->
//!                        <-     Challenge { nonce }   or Refused
//! Proof { over both }    ->
//!                        <-     Welcome { its own proof }   or Refused
//! ```

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::{FrameError, VERSION};
use super::message::{Hello, Message, clean};
use super::proof::{Secret, Side, nonce};
use super::wire::{WireError, read_message, write_message};
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
pub async fn greet(stream: &mut TcpStream, secret: &Secret, hello: Hello, who: &str) -> Result<Welcome> {
    let lost = |error: WireError| match error {
        WireError::Frame(FrameError::Version(version)) => other_version(who, version),
        error => Fault::new("chain.connect", format!("cannot speak to {who}: {error}")),
    };
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
        Message::Welcome { .. } => {
            Err(Fault::new("chain.token", format!("{who} does not know the token of this session")))
        }
        Message::Refused { kind, message } => Err(refusal(who, &kind, &message)),
        _ => Err(lost(WireError::Unexpected)),
    }
}

pub fn other_version(who: &str, version: u8) -> Fault {
    Fault::new("chain.version", format!("{who} speaks version {version}, this is {VERSION}"))
        .hint("use the same kar on the server and on the nodes")
}

fn refusal(who: &str, kind: &str, message: &str) -> Fault {
    let kind = if kind.starts_with("chain.") { clean(kind) } else { "chain.refused".into() };
    Fault::new(kind, format!("{who} refused: {}", clean(message)))
}

/// The accepting side's part: reads the hello, lets `judge` look at it (the secret to prove, or a refusal), and checks
/// the proof. What the connection gets as its welcome is the caller's: see [`welcome`].
///
/// # Errors
/// Says why it was refused, for a note; the other side was told already.
pub async fn hear(
    stream: &mut TcpStream,
    judge: impl Fn(&Hello) -> Result<Secret>,
) -> std::result::Result<Guest, Fault> {
    match timeout(HELLO, hear_out(stream, judge)).await {
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

async fn hear_out(stream: &mut TcpStream, judge: impl Fn(&Hello) -> Result<Secret>) -> Result<Guest> {
    let hello = match read_message(stream, HELLO).await {
        Ok(Message::Hello(hello)) => hello,
        Ok(_) => return Err(stranger(&WireError::Unexpected)),
        Err(WireError::Frame(FrameError::Version(version))) => return Err(other_version("it", version)),
        Err(error) => return Err(stranger(&error)),
    };
    let secret = judge(&hello)?;
    let nonce = nonce();
    let challenge = Message::Challenge { nonce: nonce.clone() };
    write_message(stream, &challenge).await.map_err(|e| stranger(&e))?;
    match read_message(stream, HELLO).await {
        Ok(Message::Proof { proof }) if secret.fits(Side::Connector, &hello.nonce, &nonce, &proof) => {
            Ok(Guest { hello, secret, nonce })
        }
        Ok(Message::Proof { .. }) => Err(Fault::new("chain.token", "the token is not the one of this session")),
        Ok(_) => Err(stranger(&WireError::Unexpected)),
        Err(error) => Err(stranger(&error)),
    }
}

fn stranger(error: &WireError) -> Fault {
    Fault::new("chain.stranger", format!("no hello: {error}"))
}

pub async fn refuse(stream: &mut TcpStream, fault: &Fault) {
    let refused = Message::Refused { kind: fault.kind.to_string(), message: clean(&fault.message) };
    let _ = timeout(HELLO, write_message(stream, &refused)).await;
}

pub async fn welcome(stream: &mut TcpStream, guest: &Guest, session: &str, at: u64) -> bool {
    let proof = guest.secret.proof(Side::Acceptor, &guest.hello.nonce, &guest.nonce);
    let welcome = Message::Welcome { proof, session: session.to_string(), at };
    matches!(timeout(HELLO, write_message(stream, &welcome)).await, Ok(Ok(())))
}
