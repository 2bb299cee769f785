//! Packets that wait for the closure.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::packet::Packet;

/// Beyond, packets are dropped: clients ask again.
const ROOM: usize = 65_536;
/// Packets for which one more thread is woken at once: most closures take microseconds, and waking a thread costs as much.
const EACH: usize = 64;

/// A client's question: its hardware address, its number and its kind. Asked again, it is the same.
pub type Asked = ([u8; 16], u32, u8);

/// A packet as it was heard. It is read by the thread that answers it: what that one allocates it frees itself.
pub struct Heard {
    /// A header at least.
    pub bytes: Vec<u8>,
    pub port: usize,
    pub from: SocketAddrV4,
    /// Whether it came to a proxy's second port.
    pub second: bool,
    pub at: Instant,
    pub tries: u8,
}

impl Heard {
    pub fn asked(&self) -> Asked {
        let part = |at: usize| self.bytes.get(at..).unwrap_or_default();
        let chaddr = part(28).first_chunk().copied().unwrap_or_default();
        let number = part(4).first_chunk().copied().map_or(0, u32::from_be_bytes);
        (chaddr, number, Packet::kind_in(&self.bytes))
    }
}

#[derive(Default)]
struct State {
    packets: VecDeque<Heard>,
    /// Threads that have nothing to do.
    idle: usize,
    closed: bool,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back those for which there is no room, or all where no more is answered.
    pub fn push(&self, packets: Vec<Heard>) -> Vec<Heard> {
        let mut packets = packets;
        let mut state = self.state();
        let room = if state.closed { 0 } else { ROOM - state.packets.len().min(ROOM) };
        let rest = packets.split_off(packets.len().min(room));
        state.packets.extend(packets);
        let wake = state.idle.min(state.packets.len().div_ceil(EACH));
        drop(state);
        for _ in 0..wake {
            self.wake.notify_one();
        }
        rest
    }

    /// Wakes one more thread where some wait: a closure that takes long holds up its own thread only. Says whether packets
    /// wait.
    pub fn prod(&self) -> bool {
        let state = self.state();
        let (waits, idle) = (!state.packets.is_empty(), state.idle > 0);
        drop(state);
        if waits && idle {
            self.wake.notify_one();
        }
        waits
    }

    /// The one that waits longest; `None` once the queue is closed.
    pub fn next(&self) -> Option<Heard> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(packet) = state.packets.pop_front() {
                return Some(packet);
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }
}
