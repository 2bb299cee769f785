//! A session before its stream: who joins, who leaves again, when it starts, and in which order.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::channel::Channel;
use super::gate::Arrival;
use super::member::Member;
use super::message::{Child, Message, Plan, Want, clean};
use super::peer::{Peer, Said};
use super::report::Phase;
use super::session::{Event, Session, stopped};
use super::tree::Tree;
use super::{PULSE, QUIET, plan};
use crate::host::{Fault, Level, Result, format_duration, format_size};

/// Bytes still to be sent for which joining a running chain is worth two rounds.
const WORTH: u64 = 4 << 20;

impl Session {
    /// Waits until it is time to start.
    pub(super) async fn gather(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        let cancel = self.cancel.clone();
        let deadline = shared.opened + self.options.timeout;
        let after = self.options.start_after.map(|time| shared.opened + time);
        while self.options.nodes.is_none_or(|nodes| self.members.len() + self.declined.len() < nodes) {
            tokio::select! {
                _ = cancel.cancelled() => return Err(stopped()),
                () = shared.go() => break,
                Some(arrival) = self.arrivals.recv() => self.enter(arrival),
                Some(event) = self.events.recv() => self.leave(event),
                () = sleep_until(after.unwrap_or(deadline).min(deadline)) => {
                    if self.members.is_empty() || after.is_none_or(|after| after > deadline) {
                        return Err(self.too_few());
                    }
                    break;
                }
            }
        }
        // Who stands at the door already is in.
        while self.options.nodes.is_none()
            && let Ok(arrival) = self.arrivals.try_recv()
        {
            self.enter(arrival);
        }
        // The last of them may have left between the word to start and now.
        if self.members.is_empty() { Err(self.too_few()) } else { Ok(()) }
    }

    fn too_few(&self) -> Fault {
        let waited = format_duration(self.shared.opened.elapsed());
        let session = &self.shared.session;
        if !self.declined.is_empty() && self.members.is_empty() {
            let text = format!("nobody is left to send to in session `{session}`: {}", self.refusals().join("; "));
            return Fault::new("chain.nobody", text);
        }
        if self.members.is_empty() {
            return Fault::new("chain.nobody", format!("nobody joined session `{session}` in {waited}"))
                .hint("a node joins with `chain::receive(sink, #{ session: .. })` or, across routers, `server: ..`");
        }
        let names: Vec<String> = self.members.iter().map(Member::label).collect();
        let wanted = self.options.nodes.map_or("the start".into(), |nodes| format!("{nodes} nodes"));
        let text = format!(
            "session `{session}` waited {waited} for {wanted}, {} joined: {}",
            self.members.len(),
            names.join(", ")
        );
        Fault::new("chain.timeout", text).hint("`start_after` starts with whoever is there")
    }

    fn enter(&mut self, arrival: Arrival) {
        let who = Member::introduce(&arrival);
        match arrival.stream {
            Some(stream) => self.join(who, arrival.hello.want, stream),
            None => self.decline(who, arrival.hello.reason.as_deref().unwrap_or("")),
        }
    }

    /// A node that will not come. One that had joined under this name and address is struck off.
    fn decline(&mut self, who: (String, SocketAddr, u16), reason: &str) {
        let member = Member::declined(who, clean(reason), self.shared.opened.elapsed().as_secs_f64());
        self.note(Level::Error, &format!("{} declined: {}", member.label(), clean(reason)));
        self.members.retain(|joined| joined.label() != member.label());
        self.declined.retain(|before| before.label() != member.label());
        self.declined.push(member);
        self.show();
    }

    pub(super) fn join(&mut self, who: (String, SocketAddr, u16), want: Want, stream: Channel) {
        let id = self.next_id;
        self.next_id += 1;
        let peer = Peer::start(stream, PULSE, QUIET, self.tell.clone(), move |said| Event::Node(id, said));
        let member = Member::new(id, peer, who, want, self.shared.opened.elapsed().as_secs_f64());
        self.note(Level::Info, &format!("{} joined session `{}`", member.label(), self.shared.session));
        self.members.push(member);
        self.show();
    }

    /// Before the start a node that leaves was never there.
    pub(super) fn leave(&mut self, event: Event) {
        let (id, why) = match event {
            Event::Node(id, Said::Gone(why)) => (id, why),
            Event::Node(id, Said::Message(Message::Failed { message, .. })) => (id, clean(&message)),
            _ => return,
        };
        if let Some(at) = self.members.iter().position(|member| member.id == id) {
            let member = self.members.remove(at);
            self.note(Level::Warn, &format!("{} left before the start: {why}", member.label()));
            self.show();
        }
    }

    /// Puts the nodes in order and tells each its place and whom it feeds.
    pub(super) fn form(&mut self) {
        self.shared.view().0 = Phase::Streaming;
        let joined: Vec<_> = self.members.iter().map(|m| (m.data.ip(), m.id)).collect();
        let mut members: Vec<Option<Member>> = std::mem::take(&mut self.members).into_iter().map(Some).collect();
        self.members =
            plan::sequence(&joined, self.options.order).into_iter().filter_map(|at| members[at].take()).collect();
        // Who has more already can be fed by who has less, not the other way round.
        self.members.sort_by_key(|member| member.want.from);
        self.tree = Tree::new(self.members.len(), self.options.arity);
        for at in 0..self.members.len() {
            let next = self.next(at + 1);
            let member = &mut self.members[at];
            (member.report.position, member.seq) = (at + 1, 1);
            let plan = Plan { position: at + 1, key: member.key.clone(), seq: 1, next, late: false };
            if let Some(peer) = &member.peer {
                peer.say(&Message::Plan(plan));
            }
        }
        self.store.change(|ledger| ledger.begin(self.base()));
        let next = self.next(0);
        self.feeder.feed(next);
        self.show();
    }

    /// Where the stream begins and ends for these nodes: all have what is before, nobody wants what is behind.
    pub(super) fn base(&self) -> u64 {
        self.members.first().map_or(0, |member| member.want.from)
    }

    pub(super) fn until(&self) -> Option<u64> {
        self.members.iter().map(|member| member.want.until).try_fold(0, |most, until| Some(most.max(until?)))
    }

    /// A node that comes while the stream flows and whose sink can take the end first: it joins the chain where that stands,
    /// and gets what it missed in a following round.
    pub(super) fn joins_late(&self, arrival: &Arrival) -> bool {
        let sent = self.shared.sent.load(Ordering::Relaxed);
        self.shared.takes_late
            && arrival.stream.is_some()
            && arrival.hello.seeks
            && arrival.hello.want == Want::default()
            && !arrival.hello.back
            && self.source_done.is_none()
            && self.shared.total.is_none_or(|total| total.saturating_sub(sent) >= WORTH)
    }

    pub(super) fn append(&mut self, arrival: Arrival) {
        let who = Member::introduce(&arrival);
        let Some(stream) = arrival.stream else { return };
        self.join(who, Want::default(), stream);
        let (position, parent) = self.tree.append(self.options.arity);
        let sent = format_size(self.shared.sent.load(Ordering::Relaxed));
        let Some(member) = self.members.last_mut() else { return };
        (member.report.position, member.seq) = (position, 1);
        let text = format!("{} joins the chain at {sent}; what it missed follows", member.label());
        let plan = Plan { position, key: member.key.clone(), seq: 1, next: Vec::new(), late: true };
        if let Some(peer) = &member.peer {
            peer.say(&Message::Plan(plan));
        }
        self.note(Level::Info, &text);
        self.tell(vec![parent]);
    }

    /// Whom `position` feeds as of now; the server is 0.
    pub(super) fn next(&self, position: usize) -> Vec<Child> {
        let children = self.tree.children(position).into_iter();
        children
            .map(|(position, epoch, tries)| {
                let member = &self.members[position - 1];
                Child { position, address: member.data, key: member.key.clone(), epoch, tries }
            })
            .collect()
    }

    pub(super) fn turn_away(&mut self, late: Arrival) {
        let Some(stream) = late.stream else { return };
        let (tell, _) = mpsc::channel::<()>(1);
        let peer = Peer::start(stream, PULSE, QUIET, tell, |_| ());
        let message = format!("session `{}` has started without it", self.shared.session);
        peer.say(&Message::Abort { kind: "chain.late".into(), message });
        self.tasks.spawn(peer.part());
    }
}
