//! The receiving end of a data connection: who may feed this node, and what it sends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::channel::Channel;
use super::chunk::End;
use super::frame::{self, DIGEST, HEADER, Header, Kind};
use super::gate::{Doorkeeper, accept};
use super::handshake::{Guest, hear, refuse, welcome};
use super::message::{ANYWHERE, Role};
use super::proof::Secret;
use super::reader::Frames;
use super::store::Store;
use super::wire::WireError;
use super::{Notes, PING, QUIET, harm};
use crate::host::{Fault, format_size};

/// The last node acknowledges after so much of the buffer, at the latest after [`LATEST`]. The others pass that on at
/// once: what each of them waited would add up, and be kept by all in front meanwhile.
const PARTS: u64 = 32;
const LATEST: Duration = Duration::from_millis(200);
const PASS: Duration = Duration::from_millis(2);

/// A link that proved to be one of this session.
pub struct Link {
    stream: Channel,
    guest: Guest,
}

/// What the data port tells of.
pub enum News {
    /// The link with this epoch is over, without everything being here.
    Broken { epoch: u64, why: String },
}

/// A node's data port. Connections that know the key of the link come to `found`; any other has no effect.
pub async fn open(
    listener: TcpListener,
    secret: Secret,
    session: String,
    notes: Notes,
    newest: Arc<AtomicU64>,
    found: mpsc::Sender<Link>,
) {
    let keeper = Arc::new(Doorkeeper::new(notes));
    accept(listener, |stream, from| {
        let (secret, session, keeper, found) = (secret.clone(), session.clone(), keeper.clone(), found.clone());
        let newest = newest.clone();
        async move {
            let mut stream = Channel::new(stream);
            let heard = hear(&mut stream, &secret, |hello| match hello.role {
                Role::Link if hello.session.as_ref() == Some(&session) && hello.nonce.len() <= 64 => Ok(()),
                _ => Err(Fault::new("chain.hello", "a hello that has no place here")),
            });
            match heard.await {
                Err(fault) => keeper.say(&format!("{from} was not let in: {}", fault.message)),
                // A node that was frozen and passed over wakes up and feeds whom it fed: too late.
                Ok(guest) if newest.fetch_max(guest.hello.epoch, Ordering::SeqCst) > guest.hello.epoch => {
                    refuse(&mut stream, &Fault::new("chain.old", "somebody else feeds this node by now")).await;
                }
                Ok(guest) => {
                    let _ = found.send(Link { stream, guest }).await;
                }
            }
        }
    })
    .await;
}

/// Takes the stream from whoever is in front, link after link, the newest one at a time. Never ends.
pub async fn take(
    mut found: mpsc::Receiver<Link>,
    session: String,
    store: Arc<Store>,
    faults: Option<PathBuf>,
    tell: mpsc::Sender<News>,
) {
    let mut current: Option<Link> = None;
    loop {
        let Some(link) = &mut current else {
            current = found.recv().await;
            if current.is_none() {
                return;
            }
            continue;
        };
        let epoch = link.guest.hello.epoch;
        tokio::select! {
            // Half a frame of the old link is forgotten: the new one begins where the last whole one ended.
            newer = found.recv() => match newer {
                Some(newer) if newer.guest.hello.epoch >= epoch => current = Some(newer),
                Some(_) => {}
                None => return,
            },
            result = pull(link, &session, &store, faults.as_deref()) => {
                let at = format_size(store.look(|ledger| ledger.high()));
                if let Err(error) = result {
                    let _ = tell.send(News::Broken { epoch, why: format!("{error} at {at}") }).await;
                }
                // Only now: the other end says that it was closed, this one why.
                current = None;
            }
        }
    }
}

/// Until the whole stream is here and everywhere behind, and the node in front knows.
async fn pull(link: &mut Link, session: &str, store: &Store, faults: Option<&Path>) -> Result<(), WireError> {
    let at = if store.is_open() { ANYWHERE } else { store.look(|ledger| ledger.high()) };
    if !welcome(&mut link.stream, &link.guest, session, at).await {
        return Err(WireError::Io(std::io::ErrorKind::BrokenPipe.into()));
    }
    let socket = link.stream.socket();
    let (reader, mut writer) = (&mut link.stream.reader, &mut link.stream.writer);
    let mut frames = Frames::new(reader, socket);
    let read = async {
        loop {
            read(&mut frames, store, faults).await?;
        }
    };
    tokio::select! {
        broken = read => broken,
        done = acknowledge(&mut writer, store) => done,
    }
}

/// Ends well when everything is acknowledged. A write that fails is noticed by the reading side.
async fn acknowledge(writer: &mut (impl AsyncWriteExt + Unpin), store: &Store) -> Result<(), WireError> {
    let step = (store.size() / PARTS).max(1);
    let mut said = 0;
    let mut last = Instant::now();
    loop {
        // Soon where much is new, later where it is little.
        let soon = async {
            let acked = store.acknowledged(said).await;
            if acked < said + step && !store.look(|ledger| ledger.drained()) {
                tokio::select! {
                    () = sleep_until(last + if store.look(|ledger| ledger.feeds()) { PASS } else { LATEST }) => {}
                    _ = store.acknowledged(said + step - 1) => {}
                    () = store.drained() => {}
                }
            }
            store.look(|ledger| ledger.acked())
        };
        let (frame, acked) = match timeout(PING, soon).await {
            Ok(acked) => (frame::encode(Kind::Ack, acked, &[]), acked),
            Err(_) => (frame::encode(Kind::Ping, 0, &[]), said),
        };
        last = Instant::now();
        if writer.write_all(&frame).await.is_err() {
            std::future::pending::<()>().await;
        }
        said = acked;
        if store.look(|ledger| ledger.end().is_some_and(|end| said == end + 1)) {
            let _ = timeout(QUIET, writer.shutdown()).await;
            return Ok(());
        }
    }
}

/// The next frame of the stream.
async fn read(
    frames: &mut Frames<impl AsyncRead + Unpin>,
    store: &Store,
    faults: Option<&Path>,
) -> Result<(), WireError> {
    let start = frames.start().await?;
    let header = Header::parse(&start)?;
    let high = store.look(|ledger| ledger.high());
    match header.kind {
        Kind::Ping => Ok(header.verify(&start)?),
        Kind::Data if (header.offset == high || store.is_open()) && store.end().is_none() => {
            let Some(mut chunk) = store.room(header.length).await else { return Err(WireError::Unexpected) };
            frames.payload(chunk.space_and_more()).await?;
            if let Some(folder) = faults {
                harm::damage(folder, chunk.space());
            }
            chunk.receive(&header, &start)?;
            store.begin(header.offset);
            store.push(chunk);
            Ok(())
        }
        Kind::End if header.offset == high || store.is_open() => {
            let mut frame = start.to_vec();
            frame.resize(HEADER + DIGEST + HEADER, 0);
            frames.payload(&mut frame[HEADER..]).await?;
            frame.truncate(HEADER + DIGEST);
            header.verify(&frame)?;
            store.begin(header.offset);
            let digest = frame[HEADER..].try_into().map_err(|_| WireError::Unexpected)?;
            if store.finish(End { length: header.offset, digest }) { Ok(()) } else { Err(WireError::Unexpected) }
        }
        _ => Err(WireError::Unexpected),
    }
}
