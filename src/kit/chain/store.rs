//! The part of the stream that one machine holds: filled from one side, read by its sink and by the links to those
//! behind, and let go once nobody behind can need it any more ([`Ledger`]).

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::chunk::{Budget, Chunk, End, LEAST};
use super::ledger::Ledger;
use crate::host::Fault;

/// Bytes that are given to a link at once, and to a sink before it is woken.
const BATCH: usize = 512 << 10;
const WAKE: u64 = 256 << 10;
/// Frames in one write; the kernel takes up to 1024 pieces.
const FRAMES: usize = 64;

pub struct Store {
    inner: Mutex<Inner>,
    budget: Budget,
    /// Bytes it may hold.
    size: u64,
    /// More is there, or the end, or nothing will follow.
    moved: Notify,
    /// What is acknowledged to the front has changed.
    acked: Notify,
    /// The whole stream is here and everywhere behind. Apart from `acked`: who waits for this is woken once.
    done: Notify,
    sink: Condvar,
}

struct Inner {
    ledger: Ledger,
    /// Without gaps, from the ledger's `low` to its `high`.
    chunks: VecDeque<Arc<Chunk>>,
    end: Option<End>,
    /// Whether it is still open where the stream begins for this place.
    open: bool,
    /// How often it began anew.
    turns: u32,
    /// Why nothing will follow though there was no end.
    cut: Option<Fault>,
    /// When something came last, and the longest time in which nothing did though there was room for it.
    last: Option<Instant>,
    pause: Duration,
}

/// What comes next for a reader.
pub enum Next {
    Chunks(Vec<Arc<Chunk>>),
    End(End),
    /// It is over, or what was asked for is gone.
    Cut(Fault),
}

impl Store {
    pub fn new(bytes: u64, has_sink: bool) -> Arc<Store> {
        let inner = Inner {
            ledger: Ledger::new(has_sink),
            chunks: VecDeque::new(),
            end: None,
            open: false,
            turns: 0,
            cut: None,
            last: None,
            pause: Duration::ZERO,
        };
        Arc::new(Store {
            inner: Mutex::new(inner),
            budget: Budget::new(bytes),
            size: bytes.max(LEAST),
            moved: Notify::new(),
            acked: Notify::new(),
            done: Notify::new(),
            sink: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Looks at the ledger.
    pub fn look<T>(&self, at: impl FnOnce(&Ledger) -> T) -> T {
        at(&self.lock().ledger)
    }

    /// Changes the ledger, and lets go what need not be kept any more.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut inner = self.lock();
        let before = inner.ledger.acked();
        let result = change(&mut inner.ledger);
        let low = inner.ledger.trim();
        // Freed outside of the lock.
        let mut free = Vec::new();
        while inner.chunks.front().is_some_and(|chunk| chunk.end() <= low) {
            free.extend(inner.chunks.pop_front());
        }
        if inner.ledger.acked() != before {
            self.acked.notify_waiters();
        }
        if inner.ledger.drained() {
            self.done.notify_waiters();
        }
        drop(inner);
        result
    }

    /// From now on it is open where the stream begins: that is where the first frame belongs.
    pub fn open(&self) {
        let mut inner = self.lock();
        inner.open = inner.ledger.high() == 0 && inner.end.is_none();
    }

    pub fn is_open(&self) -> bool {
        self.lock().open
    }

    /// The first frame is here, where that was open.
    pub fn begin(&self, at: u64) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.open) {
            inner.ledger.begin(at);
            drop(inner);
            self.moved.notify_waiters();
        }
    }

    /// Resolves once it is known where the stream begins here.
    pub async fn begun(&self) {
        loop {
            let moved = self.moved.notified();
            let known = |inner: &Inner| !inner.open || inner.cut.is_some();
            if known(&self.lock()) {
                return;
            }
            moved.await;
        }
    }

    /// Begins anew, for a part of the stream that is still missing: what there was is all in the sink, and fed to nobody.
    pub fn again(&self) {
        let mut inner = self.lock();
        (inner.ledger, inner.end, inner.open, inner.last) = (Ledger::new(true), None, false, None);
        inner.chunks.clear();
        inner.turns += 1;
        drop(inner);
        self.sink.notify_one();
    }

    /// How often it began anew.
    pub fn turns(&self) -> u32 {
        self.lock().turns
    }

    /// Blocks until it has begun anew more often than that; why it will not.
    pub fn wait_again(&self, turns: u32) -> Result<(), Fault> {
        let mut inner = self.lock();
        while inner.turns <= turns {
            if let Some(fault) = &inner.cut {
                return Err(fault.clone());
            }
            inner = self.sink.wait(inner).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        Ok(())
    }

    /// Room for a frame, once there is some; `None` when it is over.
    pub async fn room(&self, bytes: usize) -> Option<Chunk> {
        let since = Instant::now();
        let chunk = self.budget.chunk(bytes).await;
        let mut inner = self.lock();
        inner.last = inner.last.map(|last| last + since.elapsed());
        chunk
    }

    /// The longest time in which nothing came though there was room for it.
    pub fn pause(&self) -> Duration {
        self.lock().pause
    }

    /// Whether there is room for no more: others wait for this place.
    pub fn is_full(&self) -> bool {
        self.budget.left() <= super::frame::CHUNK as u64
    }

    pub fn push(&self, chunk: Chunk) {
        let mut inner = self.lock();
        let now = Instant::now();
        let pause = inner.last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        inner.pause = inner.pause.max(pause);
        inner.ledger.receive(chunk.span() as u64);
        inner.chunks.push_back(Arc::new(chunk));
        let waiting = inner.ledger.sink().map_or(0, |sink| inner.ledger.high() - sink);
        let acked = !inner.ledger.feeds();
        if inner.ledger.sink().is_none() {
            drop(inner);
            self.change(|_| ());
        } else {
            drop(inner);
        }
        if waiting >= WAKE {
            self.sink.notify_one();
        }
        self.moved.notify_waiters();
        if acked {
            self.acked.notify_waiters();
        }
    }

    /// A sink is not woken for little: this does it, now and then.
    pub fn nudge(&self) {
        self.sink.notify_one();
    }

    /// The stream ends here. Said again by another link it must be the same.
    pub fn finish(&self, end: End) -> bool {
        let mut inner = self.lock();
        if inner.ledger.high() != end.length || inner.end.is_some_and(|before| before != end) {
            return false;
        }
        inner.end = Some(end);
        inner.ledger.finish();
        drop(inner);
        self.sink.notify_one();
        self.moved.notify_waiters();
        self.acked.notify_waiters();
        self.done.notify_waiters();
        true
    }

    pub fn end(&self) -> Option<End> {
        self.lock().end
    }

    /// Nothing follows: readers end without having seen an end.
    pub fn cut(&self, why: &Fault) {
        self.lock().cut.get_or_insert_with(|| why.clone());
        self.budget.close();
        self.sink.notify_one();
        self.moved.notify_waiters();
        self.acked.notify_waiters();
    }

    /// What there is from `at` on, as soon as there is something.
    pub async fn next(&self, at: u64) -> Next {
        loop {
            let moved = self.moved.notified();
            if let Some(next) = self.lock().ready(at) {
                return next;
            }
            moved.await;
        }
    }

    /// The same for the sink, on a thread of its own.
    pub fn next_for_sink(&self, at: u64) -> Next {
        let mut inner = self.lock();
        loop {
            if let Some(fault) = &inner.cut {
                return Next::Cut(fault.clone());
            }
            // A stream that was taken up in its middle begins there.
            let here = at.max(inner.ledger.sink().unwrap_or(0));
            if let Some(next) = inner.ready(here) {
                return next;
            }
            inner = self.sink.wait(inner).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Resolves when more than `than` is acknowledged, with how much; never once it is over.
    pub async fn acknowledged(&self, than: u64) -> u64 {
        loop {
            let changed = self.acked.notified();
            let acked = self.lock().ledger.acked();
            if acked > than {
                return acked;
            }
            changed.await;
        }
    }

    /// Resolves when the whole stream is here and everywhere behind.
    pub async fn drained(&self) {
        loop {
            let done = self.done.notified();
            if self.lock().ledger.drained() {
                return;
            }
            done.await;
        }
    }
}

impl Inner {
    fn ready(&self, at: u64) -> Option<Next> {
        if at >= self.ledger.high() {
            return match (&self.end, &self.cut) {
                (Some(end), _) if at == end.length => Some(Next::End(*end)),
                (_, Some(fault)) => Some(Next::Cut(fault.clone())),
                _ => None,
            };
        }
        let from = self.chunks.partition_point(|chunk| chunk.end() <= at);
        let first = match self.chunks.get(from) {
            Some(chunk) if chunk.offset() == at => chunk.clone(),
            Some(chunk) => match chunk.tail(at) {
                Some(tail) => Arc::new(tail),
                None => return Some(Next::Cut(gone(at))),
            },
            None => return Some(Next::Cut(gone(at))),
        };
        let mut bytes = first.frame().len();
        let mut chunks = vec![first];
        for chunk in self.chunks.range(from + 1..).take(FRAMES - 1) {
            bytes += chunk.frame().len();
            if bytes > BATCH {
                break;
            }
            chunks.push(chunk.clone());
        }
        Some(Next::Chunks(chunks))
    }
}

fn gone(at: u64) -> Fault {
    Fault::new("chain.gone", format!("the stream at {at} is not here any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn put(store: &Store, offset: u64, bytes: &[u8]) {
        let mut chunk = store.room(bytes.len()).await.unwrap();
        chunk.space().copy_from_slice(bytes);
        chunk.seal(offset, bytes.len(), None);
        store.push(chunk);
    }

    fn bytes(next: Next) -> Vec<u8> {
        match next {
            Next::Chunks(chunks) => chunks.iter().flat_map(|chunk| chunk.payload().to_vec()).collect(),
            _ => panic!("bytes were to come"),
        }
    }

    #[tokio::test]
    async fn what_is_held_is_read_from_anywhere_until_it_is_let_go() {
        let store = Store::new(1 << 20, true);
        store.change(|ledger| ledger.feed(&[(2, 1)]));
        put(&store, 0, b"abc").await;
        put(&store, 3, b"defg").await;
        for at in 0..7 {
            assert_eq!(bytes(store.next(at).await), b"abcdefg"[at as usize..]);
        }
        assert_eq!(bytes(store.next_for_sink(3)), b"defg");
        store.change(|ledger| ledger.sunk(7));
        assert_eq!(bytes(store.next(0).await), b"abcdefg");
        store.change(|ledger| ledger.ack(2, 1, 3));
        assert!(matches!(store.next(0).await, Next::Cut(_)));
        let end = End { length: 7, digest: [1; 32] };
        assert!(store.finish(end) && store.finish(end) && !store.finish(End { length: 8, ..end }));
        assert!(matches!(store.next(7).await, Next::End(told) if told == end));
        store.cut(&Fault::stopped());
        assert!(matches!(store.next_for_sink(7), Next::Cut(_)), "a sink sees no end of what was cut");
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let store = Store::new(0, true);
        let mut held = Vec::new();
        while !store.is_full() {
            held.push(store.room(100_000).await.unwrap());
        }
        assert!(held.len() <= 11);
        drop(held);
        assert!(!store.is_full());
    }
}
