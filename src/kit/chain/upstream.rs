//! The receiving end of a data connection: who may feed this node, and what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::chunk::{Budget, End, Fan, Flow};
use super::frame::{self, HEADER, Header, Kind};
use super::gate::{Doorkeeper, accept};
use super::handshake::{hear, welcome};
use super::message::Role;
use super::proof::Secret;
use super::wire::{WireError, fill};
use super::{Notes, SILENCE};
use crate::host::{Fault, format_size};

/// How often the position in the sink goes to the node in front.
const ACK: Duration = Duration::from_millis(500);

/// A node's data port. Connections that know the key of the link come to `found`; any other has no effect.
pub async fn open(
    listener: TcpListener,
    secret: Secret,
    session: String,
    notes: Notes,
    found: mpsc::Sender<TcpStream>,
) {
    let keeper = Arc::new(Doorkeeper::new(notes));
    accept(listener, |mut stream, from| {
        let (secret, session, keeper, found) = (secret.clone(), session.clone(), keeper.clone(), found.clone());
        async move {
            let heard = hear(&mut stream, |hello| match hello.role {
                Role::Link if hello.session.as_ref() == Some(&session) && hello.nonce.len() <= 64 => Ok(secret.clone()),
                _ => Err(Fault::new("chain.hello", "a hello that has no place here")),
            });
            match heard.await {
                Err(fault) => keeper.say(&format!("{from} was not let in: {}", fault.message)),
                Ok(guest) => {
                    if welcome(&mut stream, &guest, &session, 0).await {
                        let _ = found.send(stream).await;
                    }
                }
            }
        }
    })
    .await;
}

/// Takes the stream from the node in front and gives it to `fan`, until its end has come.
///
/// `written` is the position in this node's sink, told to the node in front as a sign of life.
///
/// # Errors
/// What broke, with the position.
pub async fn pull(stream: TcpStream, budget: &Budget, fan: Fan, written: &AtomicU64) -> Result<End, String> {
    let at = AtomicU64::new(0);
    let (reader, mut writer) = stream.into_split();
    let result = tokio::select! {
        result = take(reader, budget, fan, &at) => result,
        never = acknowledge(&mut writer, written) => match never {},
    };
    match result {
        Ok(end) => {
            // Tells the node in front that it may leave. If that gets lost, it will be told by the server.
            let _ = tokio::time::timeout(SILENCE, writer.write_all(&end.frame())).await;
            let _ = writer.shutdown().await;
            Ok(end)
        }
        Err(error) => Err(format!("{error} at {}", format_size(at.load(Ordering::Relaxed)))),
    }
}

/// Never ends: a write that fails is noticed by the reading side.
async fn acknowledge(writer: &mut OwnedWriteHalf, written: &AtomicU64) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(ACK).await;
        let ack = frame::encode(Kind::Ack, written.load(Ordering::Relaxed), &[]);
        if writer.write_all(&ack).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn take(mut reader: OwnedReadHalf, budget: &Budget, fan: Fan, at: &AtomicU64) -> Result<End, WireError> {
    let mut position = 0u64;
    loop {
        let Some(mut chunk) = budget.chunk().await else { return Err(WireError::Unexpected) };
        loop {
            let (start, payload) = chunk.space();
            fill(&mut reader, start, SILENCE).await?;
            let header = Header::parse(start)?;
            match header.kind {
                Kind::Ping => header.verify(start)?,
                Kind::Data if header.offset == position => {
                    fill(&mut reader, &mut payload[..header.length], SILENCE).await?;
                    chunk.hold(header.length);
                    header.verify(chunk.frame())?;
                    position += header.length as u64;
                    at.store(position, Ordering::Relaxed);
                    fan.push(Flow::Chunk(Arc::new(chunk)));
                    break;
                }
                Kind::End if header.offset == position => {
                    fill(&mut reader, &mut payload[..header.length], SILENCE).await?;
                    chunk.hold(header.length);
                    header.verify(chunk.frame())?;
                    let digest = chunk.frame()[HEADER..].try_into().map_err(|_| WireError::Unexpected)?;
                    let end = End { length: position, digest };
                    fan.push(Flow::End(end));
                    return Ok(end);
                }
                _ => return Err(WireError::Unexpected),
            }
        }
    }
}
