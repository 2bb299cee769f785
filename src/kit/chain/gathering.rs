//! A session before its stream: who joins, who leaves again, when it starts, and in which order.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::chunk::Fan;
use super::gate::Arrival;
use super::member::Member;
use super::message::{Message, Next, Plan, clean};
use super::peer::{Peer, Said};
use super::report::Phase;
use super::session::{Event, Session, stopped};
use super::{link, plan};
use crate::host::{Fault, Level, Result, format_duration};

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
            Some(stream) => self.join(who, stream),
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

    fn join(&mut self, who: (String, SocketAddr, u16), stream: TcpStream) {
        let id = self.next_id;
        self.next_id += 1;
        let peer = Peer::start(stream, self.tell.clone(), move |said| Event::Node(id, said));
        let member = Member::new(id, peer, who, self.shared.opened.elapsed().as_secs_f64());
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

    /// Puts the nodes in order and tells each its place; gives the outlets of the source.
    pub(super) fn form(&mut self) -> Fan {
        self.shared.view().0 = Phase::Streaming;
        let joined: Vec<_> = self.members.iter().map(|m| (m.data.ip(), m.id)).collect();
        let mut members: Vec<Option<Member>> = std::mem::take(&mut self.members).into_iter().map(Some).collect();
        self.members =
            plan::sequence(&joined, self.options.order).into_iter().filter_map(|at| members[at].take()).collect();
        let (arity, count) = (self.options.arity, self.members.len());
        let next = |position: usize, members: &[Member]| -> Vec<Next> {
            plan::behind(position, arity, count)
                .map(|p| Next { position: p, address: members[p - 1].data, key: members[p - 1].key.clone() })
                .collect()
        };
        for position in 1..=count {
            let from = match plan::front(position, arity) {
                0 => "the server".to_string(),
                front => self.members[front - 1].label(),
            };
            let next = next(position, &self.members);
            let member = &mut self.members[position - 1];
            member.report.position = position;
            let plan = Plan { position, key: member.key.clone(), from, next };
            if let Some(peer) = &member.peer {
                peer.say(&Message::Plan(plan));
            }
        }
        let mut fan = Fan::default();
        for next in next(0, &self.members) {
            let (sender, queue) = mpsc::unbounded_channel();
            fan.links.push(sender);
            let (shared, tell) = (self.shared.clone(), self.tell.clone());
            let local = self.options.bind.0.filter(|ip| !ip.is_unspecified());
            self.tasks.spawn(async move {
                let fed = link::feed(&next, &shared.session, &shared.secret, local, queue).await;
                let _ = tell.send(Event::Link(next.position, fed)).await;
            });
        }
        self.show();
        fan
    }

    pub(super) fn turn_away(&mut self, late: Arrival) {
        let Some(stream) = late.stream else { return };
        let (tell, _) = mpsc::channel::<()>(1);
        let peer = Peer::start(stream, tell, |_| ());
        let message = format!("session `{}` has started without it", self.shared.session);
        peer.say(&Message::Abort { kind: "chain.late".into(), message, unless_ended: false });
        self.tasks.spawn(peer.part());
    }
}
