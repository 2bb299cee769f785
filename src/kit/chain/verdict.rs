//! What is heard of the nodes while the stream flows, and what it means for the others and for the whole.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::member::{Member, State, label};
use super::message::{Message, clean};
use super::offer::Slow;
use super::peer::Said;
use super::report::{AWAY, NodeReport, Repair, Report};
use super::session::{Session, as_json};
use super::tree::Broken;
use crate::host::{Fault, Level, Result, format_size};

/// How many times faster than a node that has to leave the others could go.
const FASTER: f64 = 2.0;

impl Session {
    pub(super) fn hear(&mut self, at: usize, said: Said) {
        let member = &mut self.members[at];
        let sent = self.shared.sent.load(Ordering::Relaxed);
        match said {
            Said::Gone(why) => {
                let why = format!("vanished: {why} at {}", format_size(member.report.bytes));
                self.lost(at, "chain.lost", why);
            }
            Said::Message(Message::State(state)) => {
                (member.report.bytes, member.received) = (state.written.min(sent), state.received.min(sent));
                member.busy = state.busy;
                member.report.stalled = state.stalled as f64 / 1000.0;
                member.report.pause = state.pause as f64 / 1000.0;
                member.waits(state.waits, Instant::now());
                if let Some(speed) = member.slowness().filter(|_| !member.named) {
                    member.named = true;
                    let text = format!("{}'s sink takes {speed:.1} MB/s; the others wait for it", member.label());
                    self.note(Level::Warn, &text);
                }
                self.mended(at);
                if self.is_to_leave(at) {
                    self.evict(at);
                }
            }
            Said::Message(Message::Away) => self.away(at),
            Said::Message(Message::Done { bytes, digest, entries, warnings }) => {
                let report = &mut member.report;
                (report.bytes, report.digest, report.entries) = (bytes, Some(clean(&digest)), entries);
                report.warnings = warnings.iter().map(|warning| clean(warning)).collect();
                member.whole = true;
            }
            // As of an older order: it has somebody else to feed by now, and says so again.
            Said::Message(Message::Drained { seq }) if seq != member.seq => {}
            Said::Message(Message::Drained { .. }) if member.whole => {
                self.done(at);
                let told = self.tree.complete(at + 1);
                self.tell(told);
            }
            Said::Message(Message::Trouble { kind, message }) => {
                let message = clean(&message);
                member.fail(&clean(&kind), message.clone());
                self.causes.push(at);
                let text = format!("{} goes on relaying, but its sink failed: {message}", self.members[at].label());
                self.note(Level::Error, &text);
            }
            Said::Message(Message::Failed { kind, message }) => self.lost(at, &clean(&kind), clean(&message)),
            Said::Message(Message::LinkDown { position, epoch, why }) => {
                if self.tree.parent_of(position) == Some(at + 1) {
                    let why = format!("the link from {}: {}", self.members[at].label(), clean(&why));
                    self.broken(position, epoch, &why);
                }
            }
            Said::Message(Message::FeedDown { epoch, why }) => {
                let why = format!("the link to {}: {}", member.label(), clean(&why));
                self.broken(at + 1, epoch, &why);
            }
            Said::Message(_) => self.lost(at, "chain.protocol", "said something out of order".into()),
        }
    }

    /// Has its copy, and is needed by nobody any more.
    pub(super) fn done(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.close(State::Done, self.started);
        if let Some(peer) = member.peer.as_ref().filter(|_| self.options.release.is_none()) {
            peer.say(&Message::Bye);
        }
    }

    /// A link broke: it is made again, or another one instead of it.
    pub(super) fn broken(&mut self, position: usize, epoch: u64, why: &str) {
        let received = self.members[position - 1].received;
        match self.tree.broken(position, epoch, received) {
            // Of two ends that tell of one break, the second may be the one that knows why.
            Broken::Old => self.note(Level::Trace, why),
            Broken::Mended(told) => {
                self.note(Level::Trace, &format!("{why}; made again"));
                self.tell(told);
            }
            Broken::Hopeless => self.lost(position - 1, "chain.link", format!("cannot be reached: {why}")),
        }
    }

    /// Tells these whom they feed from now on.
    pub(super) fn tell(&mut self, positions: Vec<usize>) {
        for position in positions {
            let next = self.next(position);
            if position == 0 {
                self.feeder.feed(next);
                continue;
            }
            let member = &mut self.members[position - 1];
            member.seq += 1;
            if let Some(peer) = member.peer.as_ref().filter(|_| member.state == State::Active) {
                peer.say(&Message::Feed { seq: member.seq, next });
            }
        }
    }

    /// A node that will say nothing more: the others close up.
    pub(super) fn lost(&mut self, at: usize, kind: &str, why: String) {
        let label = self.members[at].label();
        // The chain's own words follow the name; what a sink says stands for itself.
        let joint = if kind == "chain.lost" || kind == "chain.protocol" { " " } else { ": " };
        let text = format!("{label}{joint}{why}");
        let member = &mut self.members[at];
        if member.whole {
            self.note(Level::Warn, &format!("{text}; its copy is whole"));
            self.close_up(at, State::Done);
            return;
        }
        if member.report.failure.is_none() {
            self.causes.push(at);
            // It may wake up again, and then learns of it.
            let abort = Message::Abort {
                kind: kind.into(),
                message: clean(&format!("the session went on without this node: {why}")),
            };
            member.fail(kind, why);
            if let Some(peer) = member.peer.as_ref().filter(|_| kind == "chain.lost" || kind == "chain.link") {
                peer.say(&abort);
            }
            // What the server itself told all nodes is said once, by whoever waits for the result.
            if kind != "chain.source" && kind != "chain.stopped" {
                (self.shared.notes)(Level::Error, &text);
            }
        }
        self.close_up(at, State::Out);
    }

    /// Nothing more comes of this node: it may go, and the next one in front feeds those that it fed.
    fn close_up(&mut self, at: usize, state: State) {
        let member = &mut self.members[at];
        member.close(state, self.started);
        if let Some(peer) = &member.peer {
            peer.say(&Message::Bye);
        }
        let orphans: Vec<usize> = self.tree.children(at + 1).into_iter().map(|child| child.0).collect();
        let told = self.tree.gone(at + 1);
        for orphan in orphans {
            let heir = self.tree.parent_of(orphan).unwrap_or(0);
            let repair = Repair {
                node: self.members[orphan - 1].report.name.clone(),
                from: self.members[at].report.name.clone(),
                to: if heir == 0 { "the server".into() } else { self.members[heir - 1].report.name.clone() },
                at: self.started.map_or(0.0, |started| started.elapsed().as_secs_f64()),
                seconds: 0.0,
            };
            self.note(
                Level::Warn,
                &format!("{} is fed by {} now, no longer by {}", repair.node, repair.to, repair.from),
            );
            self.mending.push((orphan - 1, self.members[orphan - 1].received, Instant::now(), self.repairs.len()));
            self.repairs.push(repair);
        }
        self.tell(told);
    }

    /// Whether all others wait for this node's sink, could go at least twice as fast, and it can be served afterwards.
    fn is_to_leave(&self, at: usize) -> bool {
        let member = &self.members[at];
        if self.options.slow != Slow::Evict || member.evicted.is_some() || member.slowness().is_none() {
            return false;
        }
        let others = self.members.iter().enumerate();
        let mut able: Vec<f64> = others
            .filter(|(other, m)| *other != at && m.is_active() && m.report.failure.is_none() && m.evicted.is_none())
            .map(|(_, other)| other.able())
            .collect();
        able.sort_by(f64::total_cmp);
        able.get(able.len() / 2).is_some_and(|median| *median >= member.able() * FASTER)
    }

    fn evict(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.evicted = member.slowness();
        if let Some(peer) = &member.peer {
            peer.say(&Message::Evict);
        }
    }

    /// A node left, and comes back for the rest: because it was told to, or because it came late.
    fn away(&mut self, at: usize) {
        let member = &mut self.members[at];
        let label = member.label();
        member.report.evicted = member.evicted;
        let why = match member.evicted {
            Some(speed) => format!(
                "its sink takes {speed:.1} MB/s: moved out of the chain at {}, served afterwards",
                format_size(member.report.bytes)
            ),
            None => {
                format!("joined late: has {} of the stream, the beginning follows", format_size(member.report.bytes))
            }
        };
        member.fail(AWAY, why.clone());
        self.note(Level::Warn, &format!("{label}: {why}"));
        self.causes.push(at);
        self.shared.absent.leave();
        self.close_up(at, State::Out);
    }

    /// Whether more came to a node whose feeder was replaced.
    fn mended(&mut self, at: usize) {
        let (repairs, received) = (&mut self.repairs, self.members[at].received);
        self.mending.retain(|(node, from, since, repair)| {
            let waits = *node != at || received <= *from;
            if !waits {
                repairs[*repair].seconds = since.elapsed().as_secs_f64();
            }
            waits
        });
    }

    pub(super) fn source_failed(&self, fault: &Fault) -> Fault {
        let sent = format_size(self.shared.sent.load(Ordering::Relaxed));
        let text = format!("the source `{}` failed at {sent}: {}", self.shared.source, fault.message);
        let mut failed = Fault::new("chain.source", text);
        failed.hints = fault.hints.clone();
        failed
    }

    /// Who has no complete copy, the causes first. With a report, who came back and has one by now is left out.
    pub(super) fn lossy(&self, report: Option<&Report>) -> Fault {
        let failed = |name: &str, address: &str| {
            let same = |node: &&NodeReport| node.name == name && node.address == address;
            report.is_none_or(|report| report.nodes.iter().find(same).is_none_or(|node| node.failure.is_some()))
        };
        let without = |at: &usize| {
            let member = &self.members[*at];
            member.state != State::Done && failed(&member.report.name, &member.report.address)
        };
        let mut lost = (0..self.members.len()).filter(without).count();
        let mut words = self.refusals();
        for at in self.causes.iter().filter(|at| without(at)) {
            let member = &self.members[*at];
            let failure = member.report.failure.as_ref();
            let (kind, message) = failure.map_or(("", ""), |f| (f.kind.as_str(), f.message.as_str()));
            let joint = if kind == "chain.lost" || kind == "chain.protocol" { " " } else { ": " };
            words.push(format!("{}{joint}{message}", member.label()));
        }
        let later = report.into_iter().flat_map(|report| &report.nodes).filter(|node| node.round > 1);
        for node in later {
            if let Some(failure) = &node.failure {
                lost += 1;
                words.push(format!("{}: {}", label(&node.name, &node.address), failure.message));
            }
        }
        let all = report.map_or(self.members.len() + self.declined.len(), |report| report.nodes.len());
        let text = format!("{} of {all} nodes have no complete copy: {}", lost + self.declined.len(), words.join("; "));
        Fault::new("chain.lossy", text)
    }

    /// Who did not come, and why.
    pub(super) fn refusals(&self) -> Vec<String> {
        let reason = |m: &Member| m.report.failure.as_ref().map_or(String::new(), |f| f.message.clone());
        self.declined.iter().map(|m| format!("{} declined: {}", m.label(), reason(m))).collect()
    }

    /// Whether all is well in the end.
    pub(super) fn judge(&self, report: Report) -> Result<Report> {
        if report.complete == report.nodes.len() {
            Ok(report)
        } else {
            Err(self.lossy(Some(&report)).with_report(as_json(&report)))
        }
    }
}
