//! The stream on its way to the thread that unpacks: what is pushed on one side is read on the other.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::host::Fault;

/// Bytes that travel together.
const CHUNK: usize = 256 << 10;
/// Chunks on their way at most.
const DEPTH: usize = 8;

enum Message {
    Data(Vec<u8>),
    End,
    Cut(Fault),
}

/// The pushing end.
pub(super) struct Push {
    sender: SyncSender<Message>,
    used: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
}

/// The reading end. A stream that was cut reads as an error that carries the fault.
pub(super) struct Pull {
    receiver: Receiver<Message>,
    /// Buffers go back: a new one each time costs as much as the copy.
    used: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

/// The other side has ended.
pub(super) struct Gone;

pub(super) fn feed() -> (Push, Pull) {
    let (sender, receiver) = sync_channel(DEPTH);
    let (back, used) = sync_channel(DEPTH);
    let push = Push { sender, used, chunk: Vec::with_capacity(CHUNK) };
    (push, Pull { receiver, used: back, chunk: Vec::new(), at: 0, ended: false })
}

impl Push {
    pub(super) fn write(&mut self, mut data: &[u8]) -> Result<(), Gone> {
        while !data.is_empty() {
            let length = data.len().min(CHUNK - self.chunk.len());
            self.chunk.extend_from_slice(&data[..length]);
            data = &data[length..];
            if self.chunk.len() == CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let mut next = self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        next.clear();
        let full = std::mem::replace(&mut self.chunk, next);
        self.sender.send(Message::Data(full)).map_err(|_| Gone)
    }

    pub(super) fn end(mut self) {
        // Who has ended already has its own fault to tell.
        if self.flush().is_ok() {
            let _ = self.sender.send(Message::End);
        }
    }

    pub(super) fn cut(mut self, why: Fault) {
        let _ = self.flush();
        let _ = self.sender.send(Message::Cut(why));
    }
}

impl BufRead for Pull {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.len() && !self.ended {
            match self.receiver.recv() {
                Ok(Message::Data(next)) => {
                    let used = std::mem::replace(&mut self.chunk, next);
                    self.at = 0;
                    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.used.try_send(used) {}
                }
                Ok(Message::End) => self.ended = true,
                Ok(Message::Cut(why)) => return Err(io::Error::other(why)),
                Err(_) => return Err(io::Error::other(Fault::new("tar.cut", "the stream ended without its end"))),
            }
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Pull {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
