//! What happened in a server, waiting to be fetched by its script.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

/// As many as are kept for a script that does not fetch them; then the oldest goes.
const KEPT: usize = 10_000;

/// A queue between a server's threads and one reader. Cheap to clone; clones are the same queue.
pub struct Events<T>(Arc<Inner<T>>);

type Watch<T> = Box<dyn Fn(&T) + Send + Sync>;

struct Inner<T> {
    /// Sees every event as it happens: the journal.
    watch: Option<Watch<T>>,
    queue: Mutex<(VecDeque<T>, bool)>,
    wake: Notify,
}

impl<T> Clone for Events<T> {
    fn clone(&self) -> Self {
        Events(self.0.clone())
    }
}

impl<T> Default for Events<T> {
    fn default() -> Self {
        Events(Arc::new(Inner { watch: None, queue: Mutex::new((VecDeque::new(), false)), wake: Notify::new() }))
    }
}

impl<T: Send + 'static> Events<T> {
    /// A queue whose events `watch` sees first.
    pub fn watched(watch: impl Fn(&T) + Send + Sync + 'static) -> Self {
        let queue = Mutex::new((VecDeque::new(), false));
        Events(Arc::new(Inner { watch: Some(Box::new(watch)), queue, wake: Notify::new() }))
    }

    pub fn push(&self, event: T) {
        self.extend([event]);
    }

    /// Several, one after the other.
    pub fn extend(&self, events: impl IntoIterator<Item = T>) {
        let mut events = events.into_iter().peekable();
        if events.peek().is_none() {
            return;
        }
        let watched = |event: T| {
            if let Some(watch) = &self.0.watch {
                watch(&event);
            }
            event
        };
        let events: Vec<T> = events.map(watched).collect();
        let mut guard = self.0.queue.lock().expect("no holder panics");
        for event in events {
            if guard.0.len() == KEPT {
                guard.0.pop_front();
            }
            guard.0.push_back(event);
        }
        drop(guard);
        self.0.wake.notify_one();
    }

    /// No more will come: whoever waits gets `None` once the queue is empty.
    pub fn close(&self) {
        self.0.queue.lock().expect("no holder panics").1 = true;
        self.0.wake.notify_one();
    }

    /// The oldest event not yet fetched; `None` once the server has ended. Cancel-safe: an event is taken or stays.
    pub fn next(&self) -> impl Future<Output = Option<T>> + Send + use<T> {
        let this = self.clone();
        async move {
            loop {
                let woken = this.0.wake.notified();
                {
                    let mut guard = this.0.queue.lock().expect("no holder panics");
                    if let Some(event) = guard.0.pop_front() {
                        // Another reader may have missed its wake-up to this one.
                        if !guard.0.is_empty() || guard.1 {
                            this.0.wake.notify_one();
                        }
                        return Some(event);
                    }
                    if guard.1 {
                        this.0.wake.notify_one();
                        return None;
                    }
                }
                woken.await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_come_in_order_and_end() {
        let events = Events::default();
        for n in 0..KEPT + 2 {
            events.push(n);
        }
        assert_eq!(events.next().await, Some(2), "the oldest went");
        let waiting = tokio::spawn(Events::<u8>::default().next());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        waiting.abort();
        let empty = Events::<u8>::default();
        let waiting = tokio::spawn(empty.next());
        tokio::task::yield_now().await;
        empty.close();
        assert_eq!((waiting.await.unwrap(), empty.next().await), (None, None));
    }
}
