//! The server's side of a session, from the first node to the last result. One task decides; connections, source and
//! links only tell it what happened.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::chunk::{Budget, End, Fan};
use super::gate::Arrival;
use super::member::{Member, State};
use super::message::{Message, Next, Plan, clean};
use super::offer::{OfferOptions, Shared};
use super::peer::{Peer, Said};
use super::report::{Phase, Report, speed};
use super::{link, plan, source};
use crate::host::{Cancel, Fault, Level, Result, Worker, format_duration, format_size};
use crate::kit::stream::Source;

/// How long a node whose link broke has for saying why, or for being noticed as gone.
const GRACE: Duration = Duration::from_secs(2);
/// How long nodes, and the source, have for ending once they were told to.
const SETTLE: Duration = Duration::from_secs(5);

enum Event {
    Node(usize, Said),
    /// The server's own link to the node at this position is over.
    Link(usize, std::result::Result<(), String>),
    Source(Result<End>),
}

pub struct Session {
    shared: Arc<Shared>,
    options: OfferOptions,
    arrivals: mpsc::Receiver<Arrival>,
    cancel: Cancel,
    worker: Worker,
    tell: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    /// In the order of joining, then of the chain: position - 1.
    members: Vec<Member>,
    next_id: usize,
    started: Option<Instant>,
    budget: Budget,
    /// Links and what else works for the session; ends with it.
    tasks: JoinSet<()>,
    source_done: Option<Result<End>>,
    /// Positions whose link broke, and until when they may say why.
    suspects: Vec<(Instant, usize, String)>,
    /// Positions in the order in which they were found to have failed by themselves.
    causes: Vec<usize>,
}

impl Session {
    pub fn new(
        shared: Arc<Shared>,
        options: OfferOptions,
        arrivals: mpsc::Receiver<Arrival>,
        cancel: Cancel,
        worker: Worker,
    ) -> Self {
        let (tell, events) = mpsc::channel(64);
        let budget = Budget::new(options.buffer);
        Session {
            shared,
            options,
            arrivals,
            cancel,
            worker,
            tell,
            events,
            members: Vec::new(),
            next_id: 0,
            started: None,
            budget,
            tasks: JoinSet::new(),
            source_done: None,
            suspects: Vec::new(),
            causes: Vec::new(),
        }
    }

    pub async fn run(mut self, source: Box<dyn Source>) -> Result<Report> {
        let outcome = match self.gather().await {
            Ok(()) => self.stream(source).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &outcome {
            self.abort_all(&fault.kind, &fault.message);
            self.settle().await;
        }
        self.budget.close();
        let report = self.report(outcome.as_ref().ok().copied());
        self.part().await;
        match outcome {
            Ok(_) => self.judge(report),
            Err(fault) if self.started.is_some() => Err(fault.with_report(as_json(&report))),
            Err(fault) => Err(fault),
        }
    }

    fn note(&self, level: Level, text: &str) {
        (self.shared.notes)(level, text);
    }

    fn show(&self) {
        self.shared.view().1 = self.members.iter().map(Member::progress).collect();
    }

    /// Waits until it is time to start.
    async fn gather(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        let cancel = self.cancel.clone();
        let deadline = shared.opened + self.options.timeout;
        let after = self.options.start_after.map(|time| shared.opened + time);
        while self.options.nodes.is_none_or(|nodes| self.members.len() < nodes) {
            tokio::select! {
                _ = cancel.cancelled() => return Err(stopped()),
                () = shared.go() => break,
                Some(arrival) = self.arrivals.recv() => self.join(arrival),
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

    fn join(&mut self, arrival: Arrival) {
        let id = self.next_id;
        self.next_id += 1;
        let who = Member::introduce(&arrival);
        let peer = Peer::start(arrival.stream, self.tell.clone(), move |said| Event::Node(id, said));
        let member = Member::new(id, peer, who, self.shared.opened.elapsed().as_secs_f64());
        self.note(Level::Info, &format!("{} joined session `{}`", member.label(), self.shared.session));
        self.members.push(member);
        self.show();
    }

    /// Before the start a node that leaves was never there.
    fn leave(&mut self, event: Event) {
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
    fn form(&mut self) -> Fan {
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

    /// From the start to the last result.
    async fn stream(&mut self, source: Box<dyn Source>) -> Result<End> {
        let fan = self.form();
        self.started = Some(Instant::now());
        let names: Vec<String> = self.members.iter().map(Member::label).collect();
        self.note(Level::Info, &format!("session `{}` starts: {}", self.shared.session, names.join(" > ")));
        let read = source::start(source, self.budget.clone(), fan, self.shared.sent.clone(), self.worker.clone())?;
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            let read = read.await.unwrap_or_else(|_| Err(Fault::stopped()));
            let _ = tell.send(Event::Source(read)).await;
        });
        let cancel = self.cancel.clone();
        loop {
            match (&self.source_done, self.members.iter().any(Member::is_active)) {
                (Some(Err(fault)), _) => return Err(self.source_failed(fault)),
                (Some(Ok(end)), false) => return Ok(*end),
                _ => {}
            }
            if self.members.iter().all(|m| m.report.failure.is_some()) {
                // Whoever is left only relays, to nobody who wants it.
                return Err(self.lossy());
            }
            let grace = self.suspects.iter().map(|(until, ..)| *until).min();
            let grace_over = async {
                match grace {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = cancel.cancelled() => return Err(stopped()),
                Some(event) = self.events.recv() => self.take(event),
                Some(late) = self.arrivals.recv() => self.turn_away(late),
                () = grace_over => self.try_suspects(),
            }
            self.show();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Source(done) => self.source_done = Some(done),
            Event::Link(_, Ok(())) => {}
            Event::Link(position, Err(why)) => self.suspect(position, format!("the link from the server: {why}")),
            Event::Node(id, said) => {
                if let Some(at) = self.members.iter().position(|m| m.id == id && m.is_active()) {
                    self.hear(at, said);
                }
            }
        }
    }

    fn hear(&mut self, at: usize, said: Said) {
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
    fn lost(&mut self, at: usize, kind: &str, why: String, relayed: bool) {
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
            (self.shared.notes)(Level::Error, &text);
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

    fn suspect(&mut self, position: usize, why: String) {
        if self.members[position - 1].is_active() {
            self.suspects.push((Instant::now() + GRACE, position, why));
        }
    }

    /// Nodes whose link broke and that are still there: without a link they get nothing.
    fn try_suspects(&mut self) {
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

    fn turn_away(&mut self, late: Arrival) {
        let (tell, _) = mpsc::channel::<()>(1);
        let peer = Peer::start(late.stream, tell, |_| ());
        let message = format!("session `{}` has started without it", self.shared.session);
        peer.say(&Message::Abort { kind: "chain.late".into(), message, unless_ended: false });
        self.tasks.spawn(peer.part());
    }

    fn source_failed(&self, fault: &Fault) -> Fault {
        let sent = format_size(self.shared.sent.load(Ordering::Relaxed));
        let text = format!("the source `{}` failed at {sent}: {}", self.shared.source, fault.message);
        let mut failed = Fault::new("chain.source", text);
        failed.hints = fault.hints.clone();
        failed
    }

    /// Who has no complete copy, the causes first.
    fn lossy(&self) -> Fault {
        let without: Vec<usize> = (0..self.members.len()).filter(|at| self.members[*at].state != State::Done).collect();
        let mut words: Vec<String> = Vec::new();
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
        let text =
            format!("{} of {} nodes have no complete copy: {}", without.len(), self.members.len(), words.join("; "));
        Fault::new("chain.lossy", text)
    }

    /// Whether all is well in the end.
    fn judge(&self, report: Report) -> Result<Report> {
        if report.complete == report.nodes.len() { Ok(report) } else { Err(self.lossy().with_report(as_json(&report))) }
    }

    fn report(&mut self, end: Option<End>) -> Report {
        let digest = end.map(|end| end.hex());
        for member in &mut self.members {
            if member.state == State::Done && digest.is_some() && member.report.digest != digest {
                member.fail("chain.digest", "its digest is not that of the stream".into());
                member.state = State::Out;
            }
            if member.state != State::Done {
                member.fail("chain.cut", "the stream was cut short".into());
            }
        }
        self.show();
        let seconds = self.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let bytes = self.shared.sent.load(Ordering::Relaxed);
        Report {
            session: self.shared.session.clone(),
            source: self.shared.source.clone(),
            bytes,
            seconds,
            mb_per_s: speed(bytes, seconds),
            digest,
            arity: self.options.arity,
            complete: self.members.iter().filter(|m| m.state == State::Done).count(),
            nodes: self.members.iter().map(|m| m.report.clone()).collect(),
        }
    }

    fn abort_all(&mut self, kind: &str, message: &str) {
        self.budget.close();
        for member in self.members.iter().filter(|m| m.is_active()) {
            if let Some(peer) = &member.peer {
                let message = Message::Abort { kind: kind.into(), message: clean(message), unless_ended: false };
                peer.say(&message);
            }
        }
    }

    /// Lets nodes and source end; a while at most.
    async fn settle(&mut self) {
        let until = Instant::now() + SETTLE;
        let busy = |session: &Session| {
            session.members.iter().any(Member::is_active)
                || (session.started.is_some() && session.source_done.is_none())
        };
        while busy(self) {
            match timeout_at(until, self.events.recv()).await {
                Ok(Some(event)) => match (event, self.started) {
                    (event, Some(_)) => self.take(event),
                    (event, None) => self.leave(event),
                },
                _ => return,
            }
        }
    }

    /// Closes all connections after the last words.
    async fn part(&mut self) {
        let mut parting = JoinSet::new();
        for peer in self.members.iter_mut().filter_map(|m| m.peer.take()) {
            parting.spawn(peer.part());
        }
        // Events nobody waits for any more must not hold up a connection's end.
        self.events.close();
        let _ = timeout(SETTLE, parting.join_all()).await;
        self.tasks.abort_all();
    }
}

fn stopped() -> Fault {
    Fault::new("chain.stopped", "the server stopped the session")
}

fn as_json(report: &Report) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_default()
}
