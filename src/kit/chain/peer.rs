//! A control connection after its handshake: messages both ways, signs of life both ways.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::SILENCE;
use super::channel::{Channel, ReadEnd, WriteEnd};
use super::frame::{self, Kind};
use super::message::Message;
use super::wire::{WireError, read_small};

/// How long the other side may take to read the last words.
const PARTING: Duration = Duration::from_secs(2);

pub enum Said {
    Message(Message),
    /// The connection is over, for this reason; nothing follows.
    Gone(String),
}

/// The sending end. Dropping it sends what is queued, then closes the connection.
pub struct Peer {
    orders: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Says something every `pulse`; the other side may be silent for `quiet`. What it says comes to `events`, made into the
    /// receiver's own event by `shape`. A receiver that is slow holds the connection back, not memory.
    pub fn start<E: Send + 'static>(
        stream: Channel,
        pulse: Duration,
        quiet: Duration,
        events: mpsc::Sender<E>,
        shape: impl Fn(Said) -> E + Send + 'static,
    ) -> Peer {
        let (orders, queue) = mpsc::unbounded_channel();
        let Channel { reader, writer } = stream;
        let task = tokio::spawn(async move {
            let listen = listen(reader, quiet, events, shape);
            let speak = speak(writer, pulse, queue);
            tokio::pin!(listen, speak);
            tokio::select! {
                _ = &mut listen => {}
                // Parting: the last words are sent. Reading on keeps the kernel from cutting them off by a reset.
                _ = &mut speak => { let _ = timeout(PARTING, listen).await; }
            }
        });
        Peer { orders, task }
    }

    pub fn say(&self, message: &Message) {
        let _ = self.orders.send(message.frame());
    }

    /// Closes it and waits until the last words are out, a short while at most.
    pub async fn part(self) {
        drop(self.orders);
        let stop = self.task.abort_handle();
        if timeout(PARTING * 2, self.task).await.is_err() {
            stop.abort();
        }
    }
}

async fn listen<E>(mut reader: ReadEnd, quiet: Duration, events: mpsc::Sender<E>, shape: impl Fn(Said) -> E) {
    loop {
        let mut silent = false;
        let said = match read_small(&mut reader, quiet).await {
            Ok((header, payload)) => match header.kind {
                Kind::Ping => continue,
                Kind::Message => match Message::parse(&payload) {
                    Some(message) => Said::Message(message),
                    None => Said::Gone(WireError::Unexpected.to_string()),
                },
                _ => Said::Gone(WireError::Unexpected.to_string()),
            },
            Err(error) => {
                // It may wake up, and is told then that it is too late.
                silent = matches!(error, WireError::Silent(_));
                Said::Gone(error.to_string())
            }
        };
        let over = matches!(said, Said::Gone(_));
        let heard = events.send(shape(said)).await.is_ok();
        if over && !silent {
            return;
        }
        if !heard || silent {
            // Nobody listens any more; what still comes is taken so that our own last words are not cut off.
            let mut rest = [0; 4096];
            while matches!(reader.read(&mut rest).await, Ok(1..)) {}
            return;
        }
    }
}

async fn speak(mut writer: WriteEnd, pulse: Duration, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    loop {
        let frame = match timeout(pulse, queue.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(_) => frame::encode(Kind::Ping, 0, &[]),
        };
        if !matches!(timeout(SILENCE, writer.write_all(&frame)).await, Ok(Ok(()))) {
            // The reading side tells why.
            std::future::pending::<()>().await;
        }
    }
    let _ = timeout(PARTING, writer.shutdown()).await;
}
