//! A model of the chain with the real [`super::ledger::Ledger`] and [`Tree`] and no network: nodes that are killed, that join late or are
//! told to leave, links that break, messages that arrive late, in any order of events that is possible at all. Whoever
//! survives has every byte, and whoever leaves to come back has every byte of what it says it has.

mod place;
mod schedules;

use std::collections::VecDeque;

use self::place::{Link, Order, Place, Word};
use super::tree::{Broken, Tree};

/// Bytes that a place holds at most, of pieces of one byte.
const BUFFER: u64 = 6;

struct World {
    length: u64,
    places: Vec<Place>,
    tree: Tree,
    seqs: Vec<u64>,
    out: Vec<bool>,
    done: Vec<bool>,
}

impl World {
    fn new(count: usize, arity: usize, length: u64) -> World {
        let places = (0..=count).map(Place::new).collect();
        let flags = vec![false; count + 1];
        let mut world = World {
            length,
            places,
            tree: Tree::new(count, arity),
            seqs: vec![0; count + 1],
            out: flags.clone(),
            done: flags,
        };
        for at in 0..=count {
            world.tell(at);
        }
        world
    }

    /// One more node joins the running chain.
    fn join(&mut self, arity: usize) {
        let (position, parent) = self.tree.append(arity);
        self.places.push(Place { open: true, ..Place::new(position) });
        self.out.push(false);
        self.done.push(false);
        self.seqs.push(1);
        self.places[position].orders.push_back(Order::Feed { seq: 1, children: Vec::new() });
        self.tell(parent);
    }

    fn tell(&mut self, at: usize) {
        let children = self.tree.children(at).into_iter().map(|(position, epoch, _)| (position, epoch)).collect();
        self.seqs[at] += 1;
        let seq = self.seqs[at];
        self.places[at].orders.push_back(Order::Feed { seq, children });
        // The server's own links are made as it decides.
        if at == 0 {
            self.order(0);
        }
    }

    /// One thing happens at or around `at`; whether anything did.
    fn step(&mut self, at: usize, what: u8, which: usize) -> bool {
        match what % 7 {
            0 => self.order(at),
            1 => self.word(at),
            2 => self.read_or_sink(at),
            3 => self.attach(at, which),
            4 => self.send(at, which),
            5 => self.take(at, which),
            _ => self.ack(at, which),
        }
    }

    fn order(&mut self, at: usize) -> bool {
        let place = &mut self.places[at];
        if !place.alive {
            return false;
        }
        match place.orders.pop_front() {
            None => return false,
            Some(Order::Bye) => (place.left, place.alive) = (true, false),
            // Who has it all, or no sink any more, holds up nobody.
            Some(Order::Evict) if place.ledger.end().is_some() || !place.sink_well || place.seq == 0 => {}
            Some(Order::Evict) => place.leave(),
            Some(Order::Feed { seq, children }) => {
                place.seq = seq;
                place.ledger.feed(&children);
                place.links.retain(|link| children.contains(&(link.to, link.epoch)));
                for (to, epoch) in children {
                    if !place.links.iter().any(|link| link.to == to) {
                        place.links.push(Link {
                            to,
                            epoch,
                            attached: false,
                            sent: 0,
                            wire: VecDeque::new(),
                            end_sent: false,
                            acks: VecDeque::new(),
                            acked: None,
                        });
                    }
                }
            }
        }
        true
    }

    /// The server hears what a node said.
    fn word(&mut self, at: usize) -> bool {
        let Some(word) = self.places[at].words.pop_front() else { return false };
        if self.out[at] {
            return true;
        }
        let told = match word {
            Word::Gone if self.done[at] && self.places[at].left => Vec::new(),
            Word::Gone | Word::Away => {
                self.out[at] = true;
                self.tree.gone(at)
            }
            Word::Broken { position, epoch, has } => match self.tree.broken(position, epoch, has) {
                Broken::Old => Vec::new(),
                Broken::Mended(told) => told,
                Broken::Hopeless => {
                    self.out[position] = true;
                    self.places[position].alive = false;
                    self.tree.gone(position)
                }
            },
            Word::Drained { seq } if seq == self.seqs[at] => {
                self.done[at] = true;
                self.places[at].orders.push_back(Order::Bye);
                self.tree.complete(at)
            }
            Word::Drained { .. } => Vec::new(),
        };
        for parent in told {
            if !self.out[parent] && !self.done[parent] {
                self.tell(parent);
            }
        }
        true
    }

    /// The source gives a byte; a sink takes one, or is found to be through.
    fn read_or_sink(&mut self, at: usize) -> bool {
        let length = self.length;
        let place = &mut self.places[at];
        if !place.alive {
            return false;
        }
        let low = place.ledger.trim();
        if at == 0 {
            if place.ledger.high() < length && place.ledger.high() - low < BUFFER {
                place.ledger.receive(1);
            } else if place.ledger.high() == length && place.ledger.end().is_none() {
                place.ledger.finish();
            } else {
                return false;
            }
            return true;
        }
        match place.ledger.sink() {
            Some(sink) if sink < place.ledger.high() => {
                place.ledger.sunk(sink + 1);
                true
            }
            _ => place.last_word(),
        }
    }

    fn link(&mut self, at: usize, which: usize) -> Option<(usize, usize)> {
        let place = &self.places[at];
        if !place.alive || place.links.is_empty() {
            return None;
        }
        let index = which % place.links.len();
        Some((index, place.links[index].to))
    }

    fn break_link(&mut self, at: usize, index: usize) {
        let link = self.places[at].links.remove(index);
        let has = self.places[link.to].ledger.high();
        self.places[at].words.push_back(Word::Broken { position: link.to, epoch: link.epoch, has });
    }

    fn attach(&mut self, at: usize, which: usize) -> bool {
        let Some((index, to)) = self.link(at, which) else { return false };
        // A node lets nobody in before it has its place.
        if self.places[at].links[index].attached || (self.places[to].alive && self.places[to].seq == 0) {
            return false;
        }
        let epoch = self.places[at].links[index].epoch;
        let want = self.places[to].ledger.high();
        if !self.places[to].alive || epoch < self.places[to].from {
            self.break_link(at, index);
            return true;
        }
        // Who joined late takes what comes next, once that is known here.
        let want = if self.places[to].open {
            if self.places[at].open {
                return false;
            }
            self.places[at].ledger.join(to, epoch).expect("the order about it came first")
        } else {
            assert!(self.places[at].ledger.attach(to, epoch, want), "{at} has not what {to} wants: {want}");
            want
        };
        self.places[to].from = epoch;
        let link = &mut self.places[at].links[index];
        (link.attached, link.sent) = (true, want);
        true
    }

    fn send(&mut self, at: usize, which: usize) -> bool {
        let Some((index, _)) = self.link(at, which) else { return false };
        let place = &mut self.places[at];
        let (high, low, end) = (place.ledger.high(), place.ledger.trim(), place.ledger.end());
        let link = &mut place.links[index];
        if !link.attached || link.wire.len() > 3 {
            return false;
        }
        if link.sent < high {
            assert!(link.sent >= low, "{at} threw away what {} waits for", link.to);
            link.wire.push_back(link.sent);
            link.sent += 1;
            return true;
        }
        !std::mem::replace(&mut link.end_sent, end.is_some()) && end.is_some()
    }

    fn take(&mut self, at: usize, which: usize) -> bool {
        let Some((index, to)) = self.link(at, which) else { return false };
        let link = &mut self.places[at].links[index];
        if !link.attached || !self.places[to].alive || self.places[to].from != self.places[at].links[index].epoch {
            return false;
        }
        let link = &mut self.places[at].links[index];
        match link.wire.front() {
            Some(byte) => {
                let byte = *byte;
                self.places[to].begin(byte);
                let taker = &mut self.places[to].ledger;
                let low = taker.trim();
                if taker.high() - low >= BUFFER {
                    return false;
                }
                assert_eq!(taker.high(), byte, "the next byte, and no other");
                taker.receive(1);
                self.places[at].links[index].wire.pop_front();
            }
            None => {
                let ended = link.end_sent && self.places[to].ledger.end().is_none();
                if ended {
                    self.places[to].begin(self.length);
                    self.places[to].ledger.finish();
                }
                return ended;
            }
        }
        true
    }

    /// An acknowledgement is sent, or arrives.
    fn ack(&mut self, at: usize, which: usize) -> bool {
        let Some((index, to)) = self.link(at, which) else { return false };
        let (alive, current) = (self.places[to].alive, self.places[to].from);
        let acked = self.places[to].ledger.acked();
        let place = &mut self.places[at];
        let link = &mut place.links[index];
        if which & 8 == 0 && alive && link.attached && current == link.epoch && link.acked != Some(acked) {
            link.acked = Some(acked);
            link.acks.push_back(acked);
            return true;
        }
        let Some(ack) = link.acks.pop_front() else { return false };
        place.ledger.ack(to, link.epoch, ack)
    }

    fn kill(&mut self, at: usize) {
        if at > 0 && self.places[at].alive {
            self.places[at].alive = false;
            self.places[at].words.push_back(Word::Gone);
        }
    }

    /// The server says that this one holds up the others.
    fn evict(&mut self, at: usize) {
        if at > 0 && !self.out[at] && !self.done[at] {
            self.places[at].orders.push_back(Order::Evict);
        }
    }

    /// All that still can happen, happens; nothing fails any more.
    fn run_out(&mut self) {
        let count = self.places.len();
        let mut quiet = 0;
        while quiet < 3 {
            let mut moved = false;
            for at in 0..count {
                for what in 0..7 {
                    for which in 0..16 {
                        moved |= self.step(at, what, which);
                    }
                }
            }
            quiet = if moved { 0 } else { quiet + 1 };
        }
    }
}
