//! Buffers for use again: memory fresh from the kernel costs more than all else that is done with it.

use std::sync::{Arc, Mutex, MutexGuard};

use super::frame::{CHUNK, HEADER};

/// Sizes of buffers: from this one on, each a quarter of a power of two larger than the one before.
const SMALLEST: usize = 8 << 10;
const STEPS: usize = 4;
const CLASSES: usize = STEPS * (CHUNK / SMALLEST).ilog2() as usize + 1;

#[derive(Clone)]
pub struct Pool(Arc<Mutex<Spare>>);

struct Spare {
    /// By class. The one that was used last is used first: it is still in the processor's cache.
    free: Vec<Vec<Vec<u8>>>,
    /// Bytes of all buffers, those in use included, and the most there may be before free ones go.
    held: usize,
    most: usize,
}

fn size(class: usize) -> usize {
    let power = SMALLEST << (class / STEPS);
    power + power / STEPS * (class % STEPS)
}

fn number(bytes: usize) -> usize {
    (0..CLASSES).find(|class| size(*class) >= bytes).unwrap_or(CLASSES - 1)
}

/// Bytes that a payload of so many takes.
pub fn class(bytes: usize) -> usize {
    size(number(bytes))
}

/// A frame, and the header of the next one.
fn whole(class: usize) -> usize {
    HEADER + size(class) + HEADER
}

impl Pool {
    pub fn new(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        Pool(Arc::new(Mutex::new(Spare { free: vec![Vec::new(); CLASSES], held: 0, most })))
    }

    fn lock(&self) -> MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A buffer for a payload of so many bytes, at most [`CHUNK`].
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        let class = number(bytes);
        let mut spare = self.lock();
        if let Some(buffer) = spare.free[class].pop() {
            return buffer;
        }
        spare.held += size(class);
        let freed = spare.shrink();
        drop(spare);
        drop(freed);
        vec![0; whole(class)]
    }

    pub fn give(&self, buffer: Vec<u8>) {
        let class = number(buffer.len() - 2 * HEADER);
        let mut spare = self.lock();
        spare.free[class].push(buffer);
        let freed = spare.shrink();
        drop(spare);
        drop(freed);
    }
}

impl Spare {
    /// Lets go of free ones, the largest first, while there is more than there may be.
    fn shrink(&mut self) -> Vec<Vec<u8>> {
        let mut freed = Vec::new();
        for class in (0..CLASSES).rev() {
            while self.held > self.most {
                let Some(buffer) = self.free[class].pop() else { break };
                self.held -= size(class);
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
        fn a_class_holds_what_it_is_for(bytes in 1..=CHUNK) {
            let class = class(bytes);
            prop_assert!(class >= bytes && (class == SMALLEST || class - bytes <= bytes / 4));
        }

        /// Whatever is taken and given back: no more is held than is in use and fits the bound.
        #[test]
        fn what_is_held_is_bounded(steps in proptest::collection::vec((1..=CHUNK, any::<bool>()), 1..60)) {
            let pool = Pool::new(2 << 20);
            let mut used: Vec<Vec<u8>> = Vec::new();
            for (bytes, give) in steps {
                match used.pop().filter(|_| give) {
                    Some(buffer) => pool.give(buffer),
                    None => used.push(pool.take(bytes)),
                }
                let in_use: usize = used.iter().map(|buffer| buffer.len() - 2 * HEADER).sum();
                let spare = pool.lock();
                let free: usize = (0..CLASSES).map(|class| spare.free[class].len() * size(class)).sum();
                prop_assert_eq!(spare.held, in_use + free);
                prop_assert!(spare.held <= in_use.max(2 << 20));
            }
        }
    }
}
