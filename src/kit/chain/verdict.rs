//! What is heard of the nodes while the stream flows, and what it means for the others and for the whole.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::member::{Member, State};
use super::message::{Message, clean};
use super::peer::Said;
use super::plan;
use super::report::Report;
use super::session::{Session, as_json};
use crate::host::{Fault, Level, Result, format_size};

/// How long a node whose link broke has for saying why, or for being noticed as gone.
const GRACE: Duration = Duration::from_secs(2);

impl Session {
    pub(super) fn hear(&mut self, at: usize, said: Said) {
        let member = &mut self.members[at];
        let sent = self.shared.sent.load(Ordering::Relaxed);
        match said {
            Said::Ack(position) => member.report.bytes = position.min(sent),
            Said::Gone(why) => {
                let why = format!("vanished: {why} at {}", format_size(member.report.bytes));
                self.lost(at, "chain.lost", why, false);
            }
            Said::Message(Message::Done { bytes, digest, entries, warnings }) => {
                let report = &mut member.report;
                (report.bytes, report.digest, report.entries) = (bytes, Some(clean(&digest)), entries);
                report.warnings = warnings.iter().map(|warning| clean(warning)).collect();
                member.close(State::Done, self.started);
                if let Some(peer) = &member.peer {
                    peer.say(&Message::Bye);
                }
            }
            Said::Message(Message::Trouble { kind, message }) => {
                let message = clean(&message);
                member.fail(&clean(&kind), message.clone());
                self.causes.push(at);
                let text = format!("{} goes on relaying, but its sink failed: {message}", self.members[at].label());
                self.note(Level::Error, &text);
            }
            Said::Message(Message::Failed { kind, message, relayed }) => {
                self.lost(at, &clean(&kind), clean(&message), relayed);
            }
            Said::Message(Message::LinkDown { position, why }) => {
                let fed = plan::behind(at + 1, self.options.arity, self.members.len());
                if fed.contains(&position) {
                    let from = self.members[at].label();
                    self.suspect(position, format!("the link from {from}: {}", clean(&why)));
                }
            }
            Said::Message(_) => self.lost(at, "chain.protocol", "said something out of order".into(), false),
        }
    }

    /// A node that will say nothing more. Unless it has relayed all, those behind it are told.
    pub(super) fn lost(&mut self, at: usize, kind: &str, why: String, relayed: bool) {
        let label = self.members[at].label();
        let behind = self.members[at].behind.clone();
        // The chain's own words follow the name; what a sink says stands for itself.
        let joint = if kind == "chain.lost" || kind == "chain.protocol" { " " } else { ": " };
        let text = format!("{label}{joint}{why}");
        let member = &mut self.members[at];
        if member.report.failure.is_none() {
            if kind != "chain.behind" {
                self.causes.push(at);
            }
            member.fail(kind, why);
            // What the server itself told all nodes is said once, by whoever waits for the result.
            if kind != "chain.source" && kind != "chain.stopped" {
                (self.shared.notes)(Level::Error, &text);
            }
        }
        member.close(State::Out, self.started);
        if let Some(peer) = &member.peer {
            peer.say(&Message::Bye);
        }
        if relayed {
            return;
        }
        let root = behind.unwrap_or(text);
        for position in plan::behind(at + 1, self.options.arity, self.members.len()) {
            let member = &mut self.members[position - 1];
            if member.is_active() {
                member.behind = Some(root.clone());
                if let Some(peer) = &member.peer {
                    let message = format!("cut off by a node in front: {root}");
                    peer.say(&Message::Abort { kind: "chain.behind".into(), message, unless_ended: true });
                }
            }
        }
    }

    pub(super) fn suspect(&mut self, position: usize, why: String) {
        if self.members[position - 1].is_active() {
            self.suspects.push((Instant::now() + GRACE, position, why));
        }
    }

    /// Nodes whose link broke and that are still there: without a link they get nothing.
    pub(super) fn try_suspects(&mut self) {
        let now = Instant::now();
        let (over, rest) = std::mem::take(&mut self.suspects).into_iter().partition(|(until, ..)| *until <= now);
        self.suspects = rest;
        for (_, position, why) in over {
            let member = &mut self.members[position - 1];
            if member.is_active() && member.behind.is_none() {
                let message = format!("cut off: {why} broke");
                if let Some(peer) = &member.peer {
                    peer.say(&Message::Abort { kind: "chain.link".into(), message, unless_ended: true });
                }
            }
        }
    }

    pub(super) fn source_failed(&self, fault: &Fault) -> Fault {
        let sent = format_size(self.shared.sent.load(Ordering::Relaxed));
        let text = format!("the source `{}` failed at {sent}: {}", self.shared.source, fault.message);
        let mut failed = Fault::new("chain.source", text);
        failed.hints = fault.hints.clone();
        failed
    }

    /// Who has no complete copy, the causes first.
    pub(super) fn lossy(&self) -> Fault {
        let without: Vec<usize> = (0..self.members.len()).filter(|at| self.members[*at].state != State::Done).collect();
        let mut words = self.refusals();
        for at in &self.causes {
            let member = &self.members[*at];
            let failure = member.report.failure.as_ref();
            let (kind, message) = failure.map_or(("", ""), |f| (f.kind.as_str(), f.message.as_str()));
            let joint = if kind == "chain.lost" || kind == "chain.protocol" { " " } else { ": " };
            words.push(format!("{}{joint}{message}", member.label()));
        }
        let rest: Vec<String> =
            without.iter().filter(|at| !self.causes.contains(at)).map(|at| self.members[*at].label()).collect();
        if !rest.is_empty() {
            words.push(format!("cut off behind: {}", rest.join(", ")));
        }
        let all = self.members.len() + self.declined.len();
        let text = format!(
            "{} of {all} nodes have no complete copy: {}",
            without.len() + self.declined.len(),
            words.join("; ")
        );
        Fault::new("chain.lossy", text)
    }

    /// Who did not come, and why.
    pub(super) fn refusals(&self) -> Vec<String> {
        let reason = |m: &Member| m.report.failure.as_ref().map_or(String::new(), |f| f.message.clone());
        self.declined.iter().map(|m| format!("{} declined: {}", m.label(), reason(m))).collect()
    }

    /// Whether all is well in the end.
    pub(super) fn judge(&self, report: Report) -> Result<Report> {
        if report.complete == report.nodes.len() { Ok(report) } else { Err(self.lossy().with_report(as_json(&report))) }
    }
}
