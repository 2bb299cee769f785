//! Pieces of the stream on their way, and the bound on how many there are at once.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frame::{self, CHUNK, HEADER, Kind};

/// The memory of one node or server: so many chunks and no more. Whoever wants to read the next one waits until the
/// slowest receiver has let go of an old one; that is all the back-pressure there is.
#[derive(Clone)]
pub struct Budget {
    slots: Arc<Semaphore>,
    /// Buffers for use again, all of full size.
    pool: Pool,
}

type Pool = Arc<Mutex<Vec<Vec<u8>>>>;

/// One frame of data, ready to be sent on as it stands.
pub struct Chunk {
    buffer: Vec<u8>,
    length: usize,
    pool: Pool,
    _slot: OwnedSemaphorePermit,
}

impl Budget {
    /// At least two chunks, so that one can come while another goes.
    pub fn new(bytes: u64) -> Self {
        let slots = usize::try_from(bytes / CHUNK as u64).unwrap_or(usize::MAX).clamp(2, 1 << 20);
        Budget { slots: Arc::new(Semaphore::new(slots)), pool: Pool::default() }
    }

    /// Room for one chunk, once there is some; `None` after [`Budget::close`].
    pub async fn chunk(&self) -> Option<Chunk> {
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        let pooled = self.pool.lock().ok().and_then(|mut pool| pool.pop());
        let buffer = pooled.unwrap_or_else(|| vec![0; HEADER + CHUNK]);
        Some(Chunk { buffer, length: 0, pool: self.pool.clone(), _slot: slot })
    }

    /// Ends whoever waits for room.
    pub fn close(&self) {
        self.slots.close();
    }
}

impl Chunk {
    /// Where header and payload are read into: [`HEADER`] and [`CHUNK`] bytes.
    pub fn space(&mut self) -> (&mut [u8; HEADER], &mut [u8]) {
        let (header, payload) = self.buffer.split_at_mut(HEADER);
        (header.try_into().expect("split there"), payload)
    }

    /// The payload is the first `length` bytes of the space.
    pub fn hold(&mut self, length: usize) {
        self.length = length;
    }

    /// Makes it the data frame for `offset`.
    pub fn seal(&mut self, offset: u64, length: usize) {
        self.length = length;
        frame::seal(&mut self.buffer[..HEADER + length], Kind::Data, offset);
    }

    pub fn frame(&self) -> &[u8] {
        &self.buffer[..HEADER + self.length]
    }

    pub fn data(&self) -> &[u8] {
        &self.buffer[HEADER..HEADER + self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Ok(mut pool) = self.pool.lock() {
            pool.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// What flows to the links and to the sink.
#[derive(Clone)]
pub enum Flow {
    Chunk(Arc<Chunk>),
    End(End),
}

/// Length and BLAKE3 digest of the whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub length: u64,
    pub digest: [u8; frame::DIGEST],
}

impl End {
    pub fn frame(&self) -> Vec<u8> {
        frame::encode(Kind::End, self.length, &self.digest)
    }

    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.digest).to_hex().to_string()
    }
}

/// All that takes the stream at one place: links to other nodes, and a node's own sink. One that is gone no longer
/// counts; the budget bounds what waits in the queues of the others.
#[derive(Clone, Default)]
pub struct Fan {
    pub links: Vec<tokio::sync::mpsc::UnboundedSender<Flow>>,
    pub sink: Option<std::sync::mpsc::Sender<Flow>>,
}

impl Fan {
    pub fn push(&self, flow: Flow) {
        for link in &self.links {
            let _ = link.send(flow.clone());
        }
        if let Some(sink) = &self.sink {
            let _ = sink.send(flow);
        }
    }
}
