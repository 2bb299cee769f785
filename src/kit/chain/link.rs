//! The sending end of a data connection: what is queued goes to one node behind.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::SILENCE;
use super::chunk::Flow;
use super::frame::{self, Kind};
use super::handshake::greet;
use super::message::{Hello, Next, Role};
use super::proof::{Secret, nonce};
use super::socket::connect;
use super::wire::{WireError, read_small};
use crate::host::format_size;

/// How often an idle link says that it is there.
const PING: Duration = Duration::from_secs(2);

/// Feeds `next` until it has taken the end of the stream.
///
/// # Errors
/// Why it has not, with the position: `connection reset at 37 MiB`.
pub async fn feed(
    next: &Next,
    session: &str,
    secret: &Secret,
    local: Option<IpAddr>,
    queue: UnboundedReceiver<Flow>,
) -> Result<(), String> {
    let who = next.address.to_string();
    let mut stream = connect(next.address, local, SILENCE).await.map_err(|e| WireError::from(e).to_string())?;
    let hello = Hello {
        role: Role::Link,
        session: Some(session.to_string()),
        name: None,
        port: 0,
        nonce: nonce(),
        reason: None,
    };
    let welcome =
        timeout(SILENCE, greet(&mut stream, &secret.link(&next.key), hello, &who)).await.map_err(|_| "no answer")?;
    match welcome {
        Err(fault) => return Err(fault.message),
        // Another position is an orphan's wish; who could fulfil it is not in this version.
        Ok(welcome) if welcome.at != 0 => return Err(format!("wants the stream from {}", welcome.at)),
        Ok(_) => {}
    }
    let sent = AtomicU64::new(0);
    run(stream, queue, &sent).await.map_err(|error| format!("{error} at {}", format_size(sent.load(Ordering::Relaxed))))
}

async fn run(stream: TcpStream, queue: UnboundedReceiver<Flow>, sent: &AtomicU64) -> Result<(), WireError> {
    let (reader, writer) = stream.into_split();
    tokio::select! {
        taken = hear(reader) => taken,
        broken = write(writer, queue, sent) => broken,
    }
}

/// Ends when the node has taken the end of the stream.
async fn hear(mut reader: OwnedReadHalf) -> Result<(), WireError> {
    loop {
        match read_small(&mut reader, SILENCE).await?.0.kind {
            Kind::Ack | Kind::Ping => {}
            Kind::End => return Ok(()),
            _ => return Err(WireError::Unexpected),
        }
    }
}

/// Never ends well: the other direction tells when all is taken. A blocked write is a slow node, not a dead one, as
/// long as the other direction shows signs of life.
async fn write(
    mut writer: OwnedWriteHalf,
    mut queue: UnboundedReceiver<Flow>,
    sent: &AtomicU64,
) -> Result<(), WireError> {
    let mut ended = false;
    loop {
        match timeout(PING, queue.recv()).await {
            Ok(Some(Flow::Chunk(chunk))) => {
                writer.write_all(chunk.frame()).await?;
                sent.fetch_add(chunk.data().len() as u64, Ordering::Relaxed);
            }
            Ok(Some(Flow::End(end))) => {
                writer.write_all(&end.frame()).await?;
                ended = true;
            }
            // Whoever fills the queue is gone. After the end that is as it should be.
            Ok(None) if ended => std::future::pending().await,
            Ok(None) => return Err(WireError::Io(std::io::ErrorKind::UnexpectedEof.into())),
            Err(_) => writer.write_all(&frame::encode(Kind::Ping, 0, &[])).await?,
        }
    }
}
