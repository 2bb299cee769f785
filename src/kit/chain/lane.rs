//! The thread on which a machine's data connections live: what comes in and what goes on meet on one processor, while the
//! bytes are in its cache, and no thread has to wake another one for it.

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Ends, with all tasks on it, when it is dropped.
pub struct Lane {
    runtime: Handle,
    _stop: Option<oneshot::Sender<()>>,
}

impl Lane {
    /// Where there is no thread to be had, the runtime it is called in does it.
    pub fn start() -> Lane {
        let (stop, stopped) = oneshot::channel::<()>();
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return Lane { runtime: Handle::current(), _stop: None };
        };
        let handle = runtime.handle().clone();
        let work = move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        match std::thread::Builder::new().name("chain data".into()).spawn(work) {
            Ok(_) => Lane { runtime: handle, _stop: Some(stop) },
            Err(_) => Lane { runtime: Handle::current(), _stop: None },
        }
    }

    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
