//! Sealing a connection with Noise under the session's token: the handshake, after which there are records ([`super::record`]).
//!
//! `Noise_NNpsk0_25519_AESGCM_SHA256`: neither side has a key of its own, both know one secret, which is what a token is; TLS
//! would want certificates (rustls has no external pre-shared keys). The keys of a connection come from fresh X25519 pairs as
//! well, so who learns the token later reads nothing that was recorded.
//!
//! The two words of the handshake travel in frames ([`Kind::Noise`]).

use std::sync::{Arc, RwLock};
use std::time::Duration;

use snow::{Builder, HandshakeState};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::frame::{self, Kind, NOISE};
use super::message::Message;
use super::record::{Opening, Sealing};
use super::wire::{WireError, read_small};

const PATTERN: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";
/// Bound into the keys: who speaks another protocol, or another version of this one, gets no further.
const PROLOGUE: &[u8] = b"kar chain, sealed, version 1";

/// Why a connection could not be sealed.
#[derive(Debug)]
pub enum SealError {
    Wire(WireError),
    /// The other side does not know the token, or bytes were changed on the way.
    Token,
    /// The other side said something else first.
    Instead(Box<Message>),
    /// Never, as long as the pattern is one that the library has.
    Broken(String),
}

impl From<WireError> for SealError {
    fn from(error: WireError) -> Self {
        SealError::Wire(error)
    }
}

fn state(key: &[u8; 32], connector: bool) -> Result<HandshakeState, SealError> {
    let broken = |error: snow::Error| SealError::Broken(error.to_string());
    let builder = Builder::new(PATTERN.parse().map_err(broken)?);
    let builder = builder.psk(0, key).and_then(|builder| builder.prologue(PROLOGUE)).map_err(broken)?;
    if connector { builder.build_initiator() } else { builder.build_responder() }.map_err(broken)
}

fn word(state: &mut HandshakeState) -> Result<Vec<u8>, SealError> {
    let mut word = vec![0; NOISE];
    match state.write_message(&[], &mut word) {
        Ok(NOISE) => Ok(frame::encode(Kind::Noise, 0, &word)),
        Ok(length) => Err(SealError::Broken(format!("a word of {length} bytes"))),
        Err(error) => Err(SealError::Broken(error.to_string())),
    }
}

async fn heard(
    stream: &mut (impl AsyncRead + Unpin),
    state: &mut HandshakeState,
    silence: Duration,
) -> Result<(), SealError> {
    let (header, payload) = read_small(stream, silence).await?;
    match header.kind {
        Kind::Noise => state.read_message(&payload, &mut [0; NOISE]).map(|_| ()).map_err(|_| SealError::Token),
        Kind::Message => match Message::parse(&payload) {
            Some(message) => Err(SealError::Instead(Box::new(message))),
            None => Err(SealError::Wire(WireError::Unexpected)),
        },
        _ => Err(SealError::Wire(WireError::Unexpected)),
    }
}

/// Both halves of a sealed connection, once the two words are said.
pub type Sealed = (Sealing, Opening);

fn sealed(state: HandshakeState) -> Result<Sealed, SealError> {
    let keys = state.into_stateless_transport_mode().map_err(|error| SealError::Broken(error.to_string()))?;
    let keys = Arc::new(RwLock::new(keys));
    Ok((Sealing::new(keys.clone()), Opening::new(keys)))
}

/// The handshake of the side that connected.
///
/// # Errors
/// The other side does not know the key, or speaks of something else.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: &[u8; 32],
    silence: Duration,
) -> Result<Sealed, SealError> {
    let mut state = state(key, true)?;
    stream.write_all(&word(&mut state)?).await.map_err(WireError::from)?;
    heard(stream, &mut state, silence).await?;
    sealed(state)
}

/// The handshake of the side that was called.
///
/// # Errors
/// The other side does not know the key, or speaks of something else.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: &[u8; 32],
    silence: Duration,
) -> Result<Sealed, SealError> {
    let mut state = state(key, false)?;
    heard(stream, &mut state, silence).await?;
    stream.write_all(&word(&mut state)?).await.map_err(WireError::from)?;
    sealed(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn another_key_and_other_words_are_refused() {
        let (mut a, mut b) = tokio::io::duplex(4096);
        let (_, there) = tokio::join!(
            async {
                let _ = tokio::time::timeout(LIMIT / 50, connect(&mut a, &[7; 32], LIMIT)).await;
                drop(a);
            },
            accept(&mut b, &[8; 32], LIMIT)
        );
        assert!(matches!(there, Err(SealError::Token)));
        let (mut a, mut b) = tokio::io::duplex(4096);
        a.write_all(&Message::Bye.frame()).await.unwrap();
        assert!(
            matches!(accept(&mut b, &[7; 32], LIMIT).await, Err(SealError::Instead(said)) if matches!(*said, Message::Bye))
        );
        a.write_all(&frame::encode(Kind::Ack, 0, &[])).await.unwrap();
        assert!(matches!(accept(&mut b, &[7; 32], LIMIT).await, Err(SealError::Wire(_))));
    }
}
