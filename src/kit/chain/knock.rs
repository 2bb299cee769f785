//! Telling a gathering session from elsewhere to start with whoever is there.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::SILENCE;
use super::message::Role;
use super::receive::{Target, join};
use super::wire::read_message;
use crate::host::{Fault, Result};

/// How [`start`] finds and enters the session.
pub struct StartOptions {
    pub target: Target,
    pub token: Option<String>,
    /// How long to look for the session.
    pub timeout: Duration,
}

/// Starts a session that waits for nodes.
///
/// # Errors
/// `chain.timeout`: no such session; `chain.nobody`: nobody has joined it yet; `chain.token`, `chain.version`,
/// `chain.session`: refused.
pub async fn start(options: StartOptions) -> Result<()> {
    let until = Instant::now() + options.timeout;
    let secret = super::proof::Secret::new(options.token.as_deref());
    let mut joined = join(&options.target, &secret, Role::Start, None, None, until).await?;
    match timeout(SILENCE, read_message(&mut joined.stream, SILENCE)).await {
        Ok(Ok(super::message::Message::Started)) => Ok(()),
        _ => Err(Fault::new("chain.connect", format!("the server {} gave no answer", joined.server))),
    }
}
