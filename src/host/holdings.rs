//! What is open and has to be undone: mounts, attached disks, servers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Fault, Host, Result};

type Release = Box<dyn FnMut() -> Result<()> + Send>;

struct Holding {
    id: u64,
    verb: &'static str,
    object: String,
    release: Release,
}

/// All that the host holds open, oldest first.
#[derive(Default, Clone)]
pub struct Holdings(Arc<Mutex<(u64, Vec<Holding>)>>);

/// One thing held open. Dropping it undoes it; what is busy then stays listed and is undone at the end.
pub struct Hold {
    host: Host,
    id: u64,
}

impl Hold {
    /// Undoes it now and says what stood in the way. A second call does nothing.
    pub fn release(&self) -> Result<()> {
        self.host.0.holdings.release(&self.host, self.id)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A failure is kept in the list and told at the end, by release_all.
        let _ = self.release();
    }
}

impl Holdings {
    pub(super) fn add(&self, host: Host, verb: &'static str, object: &str, release: Release) -> Hold {
        let mut list = self.0.lock().expect("holdings are not poisoned");
        list.0 += 1;
        let id = list.0;
        list.1.push(Holding { id, verb, object: object.to_string(), release });
        Hold { host, id }
    }

    pub(super) fn list(&self) -> Vec<(String, String)> {
        let list = self.0.lock().expect("holdings are not poisoned");
        list.1.iter().map(|h| (h.verb.to_string(), h.object.clone())).collect()
    }

    /// Taken out of the list while it runs: a release may take long, and others go on meanwhile.
    fn release(&self, host: &Host, id: u64) -> Result<()> {
        let taken = {
            let mut list = self.0.lock().expect("holdings are not poisoned");
            match list.1.iter().position(|h| h.id == id) {
                None => return Ok(()),
                Some(at) => list.1.remove(at),
            }
        };
        let Holding { verb, object, mut release, .. } = taken;
        let result = release();
        match &result {
            Ok(()) => host.note(verb, &object, None),
            Err(_) => {
                let mut list = self.0.lock().expect("holdings are not poisoned");
                let at = list.1.partition_point(|h| h.id < id);
                list.1.insert(at, Holding { id, verb, object, release });
            }
        }
        result
    }

    pub(super) fn release_all(&self, host: &Host) -> Vec<Fault> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let ids: Vec<u64> = {
                let list = self.0.lock().expect("holdings are not poisoned");
                list.1.iter().rev().map(|h| h.id).collect()
            };
            let failed: Vec<Fault> = ids.iter().filter_map(|id| self.release(host, *id).err()).collect();
            if failed.is_empty() || Instant::now() >= deadline {
                return failed;
            }
            // Busy because a program that uses it is just ending.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
