//! Pieces of the stream on their way, and the bound on how much of it there is at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frame::{self, FrameError, HEADER, Header, Kind};
use super::pool::{Buffer, LARGEST, Pool, memory};

/// The memory of one node or server: so many bytes and no more. Whoever wants to read the next piece waits until an old
/// one is let go; that is all the back-pressure there is.
#[derive(Clone)]
pub struct Budget {
    /// One permit for each KiB.
    room: Arc<Semaphore>,
    pool: Pool,
}

/// The least that is taken for a budget: what holds two pieces of any size.
pub const LEAST: u64 = 2 * LARGEST as u64;

/// One frame of data, ready to be sent on as it stands.
pub struct Chunk {
    buffer: Buffer,
    /// Bytes of the frame.
    length: usize,
    offset: u64,
    span: usize,
    packed: bool,
    pool: Option<Pool>,
    _room: Option<OwnedSemaphorePermit>,
}

fn kib(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024)).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        let bytes = bytes.max(LEAST);
        Budget { room: Arc::new(Semaphore::new(kib(bytes))), pool: Pool::new(bytes) }
    }

    /// Room for a frame with a payload of `bytes`, once there is some; `None` after [`Budget::close`].
    pub async fn chunk(&self, bytes: usize) -> Option<Chunk> {
        let permits = kib(memory(bytes) as u64) as u32;
        let room = self.room.clone().acquire_many_owned(permits).await.ok()?;
        let (buffer, pool) = (self.pool.take(bytes), Some(self.pool.clone()));
        Some(Chunk { buffer, length: HEADER + bytes, offset: 0, span: 0, packed: false, pool, _room: Some(room) })
    }

    /// Bytes for which there is no room now that could be.
    pub fn left(&self) -> u64 {
        self.room.available_permits() as u64 * 1024
    }

    /// Ends whoever waits for room.
    pub fn close(&self) {
        self.room.close();
    }
}

impl Chunk {
    /// Where the payload goes, as long as was asked for.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADER..self.length]
    }

    /// The same and so much behind it that the header of the next frame can come in the same read.
    pub fn space_and_more(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADER..self.length + HEADER]
    }

    /// Makes it the frame of the first `length` bytes of its space. `packed`: what they stand for.
    pub fn seal(&mut self, offset: u64, length: usize, packed: Option<usize>) {
        self.length = HEADER + length;
        (self.offset, self.span, self.packed) = (offset, packed.unwrap_or(length), packed.is_some());
        frame::seal(&mut self.buffer[..self.length], Kind::Data, offset, packed);
    }

    /// Makes it the frame that came with this header, once its space is filled.
    ///
    /// # Errors
    /// The checksum is wrong.
    pub fn receive(&mut self, header: &Header, start: &[u8; HEADER]) -> Result<(), FrameError> {
        self.buffer[..HEADER].copy_from_slice(start);
        (self.offset, self.span, self.packed) = (header.offset, header.span, header.packed);
        header.verify(self.frame())
    }

    /// A frame of what this one has from `at` on; `None` where that cannot be cut out.
    pub fn tail(&self, at: u64) -> Option<Chunk> {
        let skip =
            usize::try_from(at.checked_sub(self.offset)?).ok().filter(|skip| !self.packed && *skip < self.span)?;
        let frame = frame::encode(Kind::Data, at, &self.payload()[skip..]);
        let (buffer, length, span) = (Buffer::from(&frame[..]), frame.len(), self.span - skip);
        Some(Chunk { buffer, length, offset: at, span, packed: false, pool: None, _room: None })
    }

    pub fn frame(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    pub fn payload(&self) -> &[u8] {
        &self.buffer[HEADER..self.length]
    }

    pub fn is_packed(&self) -> bool {
        self.packed
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the stream.
    pub fn span(&self) -> usize {
        self.span
    }

    /// The position behind it.
    pub fn end(&self) -> u64 {
        self.offset + self.span as u64
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.give(std::mem::take(&mut self.buffer));
        }
    }
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
