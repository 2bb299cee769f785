//! The sending end of a data connection: what the store holds goes to one node behind.

use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::channel::{Channel, ReadEnd, WriteEnd};
use super::chunk::Chunk;
use super::frame::{self, Kind};
use super::handshake::greet;
use super::message::{ANYWHERE, Child, Hello, Role};
use super::proof::{Secret, nonce};
use super::socket::connect;
use super::store::{Next, Store};
use super::wire::{WireError, read_small};
use super::{PING, QUIET, SILENCE};
use crate::host::format_size;

/// Feeds `node` until it and all behind it have everything.
///
/// # Errors
/// Why they have not, with the position: `connection reset at 37 MiB`.
pub async fn feed(
    node: &Child,
    session: &str,
    secret: &Secret,
    local: Option<IpAddr>,
    store: &Store,
) -> Result<(), String> {
    let who = node.address.to_string();
    let stream = connect(node.address, local, QUIET).await.map_err(|e| WireError::from(e).to_string())?;
    let mut stream = Channel::new(stream);
    let hello = Hello { session: Some(session.to_string()), epoch: node.epoch, ..Hello::new(Role::Link, nonce()) };
    let welcome = timeout(SILENCE / 2, greet(&mut stream, &secret.link(&node.key), hello, &who))
        .await
        .map_err(|_| "no answer")?;
    let at = match welcome {
        Err(fault) => return Err(fault.message),
        Ok(welcome) => welcome.at,
    };
    let joins = at == ANYWHERE;
    if !joins && !store.change(|ledger| ledger.attach(node.position, node.epoch, at)) {
        return Err(format!("wants the stream from {at}, which is not here any more"));
    }
    let sent = AtomicU64::new(if joins { 0 } else { at });
    run(stream, node, joins, store, &sent)
        .await
        .map_err(|error| format!("{error} at {}", format_size(sent.load(Ordering::Relaxed))))
}

async fn run(stream: Channel, node: &Child, joins: bool, store: &Store, sent: &AtomicU64) -> Result<(), WireError> {
    let Channel { reader, mut writer } = stream;
    let send = async {
        if joins {
            sent.store(begin(&mut writer, node, store).await?, Ordering::Relaxed);
        }
        write(writer, store, sent).await
    };
    tokio::select! {
        taken = hear(reader, node, store) => taken,
        broken = send => broken,
    }
}

/// Where the stream begins for a node that joins a running chain: with what comes next here. A place that joined a moment
/// ago itself does not know that yet, and says meanwhile that it is there.
async fn begin(writer: &mut WriteEnd, node: &Child, store: &Store) -> Result<u64, WireError> {
    while timeout(PING, store.begun()).await.is_err() {
        writer.write_all(&frame::encode(Kind::Ping, 0, &[])).await?;
    }
    let joined = store.change(|ledger| ledger.join(node.position, node.epoch));
    joined.ok_or_else(|| WireError::Io(std::io::Error::other("another link feeds it by now")))
}

/// Ends well when the node and all behind it have the whole stream.
async fn hear(mut reader: ReadEnd, node: &Child, store: &Store) -> Result<(), WireError> {
    loop {
        let (header, _) = read_small(&mut reader, QUIET).await?;
        match header.kind {
            Kind::Ping => {}
            Kind::Ack => {
                let news = store.change(|ledger| {
                    ledger.ack(node.position, node.epoch, header.offset);
                    ledger.end().is_some_and(|end| header.offset == end + 1)
                });
                if news {
                    return Ok(());
                }
            }
            _ => return Err(WireError::Unexpected),
        }
    }
}

/// Never ends well: the other direction tells when all is taken. A blocked write is a slow node, not a dead one, as
/// long as the other direction shows signs of life.
async fn write(mut writer: WriteEnd, store: &Store, sent: &AtomicU64) -> Result<(), WireError> {
    loop {
        let at = sent.load(Ordering::Relaxed);
        match timeout(PING, store.next(at)).await {
            Ok(Next::Chunks(chunks)) => {
                write_all(&mut writer, &chunks).await?;
                sent.fetch_add(chunks.iter().map(|chunk| chunk.span() as u64).sum(), Ordering::Relaxed);
            }
            Ok(Next::End(end)) => {
                writer.write_all(&end.frame()).await?;
                break;
            }
            Ok(Next::Cut(fault)) => return Err(WireError::Io(std::io::Error::other(fault.message))),
            Err(_) => writer.write_all(&frame::encode(Kind::Ping, 0, &[])).await?,
        }
    }
    loop {
        tokio::time::sleep(PING).await;
        writer.write_all(&frame::encode(Kind::Ping, 0, &[])).await?;
    }
}

/// Many small frames are one call of the kernel.
async fn write_all(writer: &mut WriteEnd, chunks: &[Arc<Chunk>]) -> std::io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk.frame())).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match writer.write_vectored(rest).await? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(())
}
