//! One place of the model: what it holds, whom it feeds, and what is on its way to and from it.

use std::collections::VecDeque;

use super::super::ledger::Ledger;

pub enum Order {
    Feed { seq: u64, children: Vec<(usize, u64)> },
    Bye,
    Evict,
}

pub enum Word {
    Broken { position: usize, epoch: u64, has: u64 },
    Drained { seq: u64 },
    Away,
    Gone,
}

pub struct Place {
    pub alive: bool,
    pub ledger: Ledger,
    /// The last order about children, and whether its being done was said since.
    pub seq: u64,
    pub told: Option<u64>,
    pub sink_well: bool,
    /// It joined late, and does not know yet where the stream begins for it.
    pub open: bool,
    /// Where it does.
    pub began: u64,
    /// The epoch of the link that feeds it.
    pub from: u64,
    pub links: Vec<Link>,
    pub orders: VecDeque<Order>,
    pub words: VecDeque<Word>,
    /// With all of it; or to come back.
    pub left: bool,
    pub away: bool,
}

impl Place {
    pub fn new(at: usize) -> Place {
        Place {
            alive: true,
            ledger: Ledger::new(at > 0),
            seq: 0,
            told: None,
            sink_well: true,
            open: false,
            began: 0,
            from: 0,
            links: Vec::new(),
            orders: VecDeque::new(),
            words: VecDeque::new(),
            left: false,
            away: false,
        }
    }

    /// The first thing that comes says where the stream begins here, where that was open.
    pub fn begin(&mut self, at: u64) {
        if std::mem::take(&mut self.open) {
            self.began = at;
            self.ledger.begin(at);
        }
    }

    /// What it says once all is here and everywhere behind. Who has no beginning leaves for that.
    pub fn last_word(&mut self) -> bool {
        if !self.ledger.drained() || self.seq == 0 || self.told == Some(self.seq) {
            return false;
        }
        if self.began > 0 && self.sink_well {
            self.leave();
        } else {
            self.told = Some(self.seq);
            self.words.push_back(Word::Drained { seq: self.seq });
        }
        true
    }

    /// It goes away, and its links with it; it will come back for the rest.
    pub fn leave(&mut self) {
        (self.alive, self.away) = (false, true);
        self.words.push_back(Word::Away);
    }
}

/// From its owner to a node behind, with what is on its way.
pub struct Link {
    pub to: usize,
    pub epoch: u64,
    pub attached: bool,
    pub sent: u64,
    /// Bytes on the wire: position of each.
    pub wire: VecDeque<u64>,
    pub end_sent: bool,
    /// Acknowledgements on their way back.
    pub acks: VecDeque<u64>,
    pub acked: Option<u64>,
}
