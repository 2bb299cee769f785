//! A word to a gathering session from somebody who takes no part: start now; or: do not wait for this node.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::SILENCE;
use super::message::{Message, Role, clean};
use super::proof::Secret;
use super::receive::{Guest, Target, join};
use super::wire::read_message;
use crate::host::{Fault, Result};

/// How the session is found and entered.
pub struct KnockOptions {
    pub target: Target,
    pub token: Option<String>,
    pub encrypt: bool,
    /// How long to look for the session.
    pub timeout: Duration,
}

async fn knock(options: KnockOptions, guest: Guest<'_>) -> Result<()> {
    let until = Instant::now() + options.timeout;
    let secret = Secret::for_session(options.token.as_deref(), options.encrypt)?;
    let mut joined = join(&options.target, &secret, guest, until).await?;
    match timeout(SILENCE, read_message(&mut joined.stream, SILENCE)).await {
        Ok(Ok(Message::Started | Message::Bye)) => Ok(()),
        _ => Err(Fault::new("chain.connect", format!("the server {} gave no answer", joined.server))),
    }
}

/// Starts a session that waits for nodes.
///
/// # Errors
/// `chain.timeout`: no such session; `chain.nobody`: nobody has joined it yet; `chain.token`, `chain.version`,
/// `chain.session`: refused.
pub async fn start(options: KnockOptions) -> Result<()> {
    knock(options, Guest::new(Role::Start)).await
}

/// Says that a node will not come: it counts as one of those waited for, and as one without a copy in the result.
/// After the start it has no effect.
///
/// # Errors
/// `chain.timeout`: no such session; `chain.token`, `chain.version`, `chain.session`: refused.
pub async fn decline(options: KnockOptions, name: Option<&str>, local: Option<IpAddr>, reason: &str) -> Result<()> {
    let reason = clean(reason);
    knock(options, Guest { name, local, reason: Some(&reason), ..Guest::new(Role::Decline) }).await
}
