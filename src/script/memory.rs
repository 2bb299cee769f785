//! The bound on a script's memory. A value may double in one step of the engine, so somebody else watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::host::{Fault, Host, format_size};

/// A script that holds more is out of its mind: an eighth of the machine's memory, at least this much.
const AT_LEAST: u64 = 1 << 30;
/// Between two looks. What is far from the bound needs longer to get there: memory is filled at some GB/s.
const FAR: Duration = Duration::from_millis(100);
const NEAR: Duration = Duration::from_millis(20);

/// Bytes found to be in use once they passed the bound; 0 before.
#[derive(Clone, Default)]
pub struct Memory(Arc<AtomicU64>);

/// Watches until it is dropped.
pub struct Watch(tokio::task::JoinHandle<()>);

impl Memory {
    /// Earlier findings are forgotten: the next line of a session begins anew.
    pub fn watch(&self, host: &Host) -> Watch {
        self.0.store(0, Ordering::Relaxed);
        let (bound, found) = ((total() / 8).max(AT_LEAST), self.0.clone());
        Watch(host.runtime().spawn(async move {
            loop {
                let used = resident();
                if used > bound {
                    found.store(used, Ordering::Relaxed);
                }
                tokio::time::sleep(if used < bound / 8 { FAR } else { NEAR }).await;
            }
        }))
    }

    /// The fault that ends the script once the bound was passed.
    pub fn exceeded(&self) -> Option<Fault> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            used => Some(
                Fault::new("script.memory", format!("the script holds {} of memory", format_size(used)))
                    .hint("does a text or list grow in a loop without end?")
                    .hint("large data is moved by sources and sinks, not by values"),
            ),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Bytes of this process in memory now; 0 where /proc cannot tell.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn total() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}
