//! A flag that ends work, seen by blocking loops and by async waits alike.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cheap to clone; all clones are the same flag. A child is set when itself or its parent is.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Default)]
struct Inner {
    set: AtomicBool,
    wake: Notify,
    parent: Option<Cancel>,
}

impl Cancel {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn child(&self) -> Self {
        Cancel(Arc::new(Inner { parent: Some(self.clone()), ..Inner::default() }))
    }

    pub fn set(&self) {
        self.0.set.store(true, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }

    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::SeqCst) || self.0.parent.as_ref().is_some_and(Cancel::is_set)
    }

    /// Resolves once the flag is set. Cancel-safe.
    pub async fn cancelled(&self) {
        let own = async {
            loop {
                let woken = self.0.wake.notified();
                if self.0.set.load(Ordering::SeqCst) {
                    return;
                }
                woken.await;
            }
        };
        match &self.0.parent {
            None => own.await,
            Some(parent) => tokio::select! {
                _ = own => {}
                _ = Box::pin(parent.cancelled()) => {}
            },
        }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "Cancel(set)" } else { "Cancel(not set)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_ends_with_its_parent_but_not_the_other_way_round() {
        let parent = Cancel::new();
        let (first, second) = (parent.child(), parent.child());
        first.set();
        first.cancelled().await;
        assert!(!parent.is_set() && !second.is_set());
        parent.set();
        second.cancelled().await;
        assert!(second.is_set());
    }
}
