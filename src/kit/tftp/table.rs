//! Transfers under way: which client has one, and how many there are.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::sys::socket::{Shutdown, shutdown};

use crate::host::Cancel;

/// One transfer.
struct Under {
    number: u64,
    request: Vec<u8>,
    cancel: Cancel,
    socket: Option<Arc<UdpSocket>>,
    /// The client has taken something of it.
    moving: bool,
    /// The same request came again.
    again: bool,
}

#[derive(Default)]
struct Inner {
    count: u64,
    under: HashMap<SocketAddr, Under>,
    /// By address, ports aside.
    own: HashMap<std::net::IpAddr, usize>,
}

/// Shared by the listeners and the threads of the transfers.
pub struct Table {
    inner: Mutex<Inner>,
    most: usize,
    /// How many there are, those too that are ending while their client has asked anew.
    alive: Arc<AtomicUsize>,
}

/// A transfer's place in the table, given back when dropped.
pub struct Place {
    table: Arc<Table>,
    pub peer: SocketAddr,
    number: u64,
    /// Set when it has to end.
    pub cancel: Cancel,
}

fn wake(under: &Under) {
    under.cancel.set();
    if let Some(socket) = &under.socket {
        // Its thread, waiting in a read, reads nothing then.
        let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
    }
}

impl Table {
    pub fn new(most: usize) -> Arc<Table> {
        Arc::new(Table { inner: Mutex::default(), most, alive: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A place for a request; none for one that is answered already, and none where all are taken: its client asks
    /// again. A client that asks for something else has given up what it had.
    pub fn admit(self: &Arc<Table>, peer: SocketAddr, request: &[u8], end: &Cancel) -> Option<Place> {
        let mut inner = self.lock();
        if let Some(under) = inner.under.get_mut(&peer) {
            if under.request == request && !under.moving {
                under.again = true;
                return None;
            }
            wake(under);
        }
        let own = inner.own.get(&peer.ip()).copied().unwrap_or(0);
        if self.alive.load(Ordering::Relaxed) >= self.most || own >= self.most.div_ceil(2) {
            return None;
        }
        inner.own.insert(peer.ip(), own + 1);
        self.alive.fetch_add(1, Ordering::Relaxed);
        inner.count += 1;
        let (number, cancel) = (inner.count, end.child());
        let (request, own) = (request.to_vec(), cancel.clone());
        inner.under.insert(peer, Under { number, request, cancel: own, socket: None, moving: false, again: false });
        Some(Place { table: self.clone(), peer, number, cancel })
    }

    /// Ends all of them.
    pub fn end(&self) {
        self.lock().under.values().for_each(wake);
    }
}

impl Place {
    fn with<T>(&self, change: impl FnOnce(&mut Under) -> T) -> Option<T> {
        let mut inner = self.table.lock();
        inner.under.get_mut(&self.peer).filter(|under| under.number == self.number).map(change)
    }

    /// How many transfers there are.
    pub fn busy(&self) -> Arc<AtomicUsize> {
        self.table.alive.clone()
    }

    pub fn connected(&self, socket: &Arc<UdpSocket>) {
        self.with(|under| under.socket = Some(socket.clone()));
        if self.cancel.is_set() {
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
        }
    }

    /// The file was found: requests that came again while it was looked for are answered by what is sent now.
    pub fn found(&self) {
        self.with(|under| under.again = false);
    }

    pub fn moving(&self) {
        self.with(|under| under.moving = true);
    }

    /// Whether the client that has just ended this one asked for the same again meanwhile, from the same port. Where it
    /// did not, its next request gets a place of its own, however soon it comes.
    pub fn again(&self) -> bool {
        let mut inner = self.table.lock();
        let Some(under) = inner.under.get_mut(&self.peer).filter(|under| under.number == self.number) else {
            return false;
        };
        under.moving = false;
        let again = std::mem::take(&mut under.again);
        if !again {
            inner.under.remove(&self.peer);
        }
        again
    }

    /// To be called before the last word: what the client asks for after it is new.
    pub fn over(&self) {
        let mut inner = self.table.lock();
        if inner.under.get(&self.peer).is_some_and(|under| under.number == self.number) {
            inner.under.remove(&self.peer);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        self.table.alive.fetch_sub(1, Ordering::Relaxed);
        let ip = self.peer.ip();
        let left = inner.own.get(&ip).map_or(0, |own| own.saturating_sub(1));
        match left {
            0 => inner.own.remove(&ip),
            left => inner.own.insert(ip, left),
        };
        if inner.under.get(&self.peer).is_some_and(|under| under.number == self.number) {
            inner.under.remove(&self.peer);
        }
    }
}
