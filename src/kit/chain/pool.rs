//! Buffers for use again: memory fresh from the kernel costs more than all else that is done with it.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};

use super::frame::{CHUNK, HEADER};

/// Payloads of buffers: pages up to four, then each a quarter of a power of two larger than the one before. One page
/// more holds the header, and that of the next frame.
const PAGE: usize = 4 << 10;
const STEPS: usize = 4;
const CLASSES: usize = 24;
/// What holds any frame.
pub const LARGEST: usize = size(CLASSES - 1) + PAGE;
const _: () = assert!(size(CLASSES - 1) == CHUNK && 2 * HEADER <= PAGE);

/// Memory straight from the kernel and back to it: what an allocator keeps for later would stand beside the bound.
pub struct Buffer {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it owns its memory alone, as a Vec does.
unsafe impl Send for Buffer {}
// SAFETY: the same.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Of zeros, for as long as nobody has written.
    fn new(length: usize) -> Self {
        let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place of the kernel's choice touches no other memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, read_write, private, -1, 0) };
        match NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED) {
            Some(start) => Buffer { start, length },
            None => handle_alloc_error(Layout::array::<u8>(length).unwrap_or(Layout::new::<u8>())),
        }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer { start: NonNull::dangling(), length: 0 }
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Buffer::new(bytes.len().max(1));
        buffer[..bytes.len()].copy_from_slice(bytes);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is so long and lives as long as self; of length 0 any place will do.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the same, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping is our own, and nobody can look at it any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}

#[derive(Clone)]
pub struct Pool(Arc<Mutex<Spare>>);

struct Spare {
    /// By class. The one that was used last is used first: it is still in the processor's cache.
    free: Vec<Vec<Buffer>>,
    /// Bytes of all buffers, those in use included, and the most there may be before free ones go.
    held: usize,
    most: usize,
}

const fn size(class: usize) -> usize {
    if class < STEPS {
        return PAGE * (class + 1);
    }
    let (power, step) = ((class + 1 - STEPS) / STEPS, (class + 1 - STEPS) % STEPS);
    (PAGE << power) * (STEPS + step)
}

fn number(payload: usize) -> usize {
    (0..CLASSES).find(|class| size(*class) >= payload).unwrap_or(CLASSES - 1)
}

/// Memory that a payload of so many bytes takes.
pub fn memory(payload: usize) -> usize {
    size(number(payload)) + PAGE
}

impl Pool {
    pub fn new(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        let free = (0..CLASSES).map(|_| Vec::new()).collect();
        Pool(Arc::new(Mutex::new(Spare { free, held: 0, most })))
    }

    fn lock(&self) -> MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A buffer for a payload of so many bytes, at most [`CHUNK`].
    pub fn take(&self, payload: usize) -> Buffer {
        let class = number(payload);
        let mut spare = self.lock();
        if let Some(buffer) = spare.free[class].pop() {
            return buffer;
        }
        spare.held += memory(payload);
        let freed = spare.shrink();
        drop(spare);
        drop(freed);
        Buffer::new(memory(payload))
    }

    pub fn give(&self, buffer: Buffer) {
        let class = number(buffer.len() - PAGE);
        let mut spare = self.lock();
        spare.free[class].push(buffer);
        let freed = spare.shrink();
        drop(spare);
        drop(freed);
    }
}

impl Spare {
    /// Lets go of free ones, the largest first, while there is more than there may be.
    fn shrink(&mut self) -> Vec<Buffer> {
        let mut freed = Vec::new();
        for class in (0..CLASSES).rev() {
            while self.held > self.most {
                let Some(buffer) = self.free[class].pop() else { break };
                self.held -= buffer.len();
                freed.push(buffer);
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn memory_is_hardly_more_than_what_it_is_for(bytes in 1..=CHUNK) {
            let taken = memory(bytes);
            prop_assert!(taken >= HEADER + bytes + HEADER && taken % PAGE == 0 && taken - bytes <= 2 * PAGE + bytes / 4);
        }

        /// Whatever is taken and given back: no more is held than is in use and fits the bound.
        #[test]
        fn what_is_held_is_bounded(steps in proptest::collection::vec((1..=CHUNK, any::<bool>()), 1..60)) {
            let pool = Pool::new(2 << 20);
            let mut used: Vec<Buffer> = Vec::new();
            for (bytes, give) in steps {
                let given = if give { used.pop() } else { None };
                match given {
                    Some(mut buffer) => {
                        buffer.fill(7);
                        pool.give(buffer);
                    }
                    None => used.push(pool.take(bytes)),
                }
                let in_use: usize = used.iter().map(|buffer| buffer.len()).sum();
                let spare = pool.lock();
                let free: usize = (0..CLASSES).map(|class| spare.free[class].len() * (size(class) + PAGE)).sum();
                prop_assert_eq!(spare.held, in_use + free);
                prop_assert!(spare.held <= in_use.max(2 << 20));
            }
        }
    }

    #[test]
    fn a_copy_holds_its_bytes() {
        assert_eq!(Buffer::from(&b"kar"[..])[..3], *b"kar");
        assert!(Buffer::default().is_empty());
    }
}
