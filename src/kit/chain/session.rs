//! The server's side of a session, from the first node to the last result. One task decides; connections, source and
//! links only tell it what happened.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::chunk::End;
use super::feeder::{Feeder, Over};
use super::gate::Arrival;
use super::member::{Member, State};
use super::message::{Message, clean};
use super::offer::{OfferOptions, Shared};
use super::peer::Said;
use super::report::{Repair, Report, speed};
use super::rounds::Later;
use super::source;
use super::store::Store;
use super::tree::Tree;
use crate::host::{Cancel, Fault, Level, Result, Worker};
use crate::kit::stream::Source;

/// How long nodes have for ending once they were told to.
const SETTLE: Duration = Duration::from_secs(5);
/// How long the source has for that: one that hangs in a read cannot be ended from here, and is left to itself.
const HANG: Duration = Duration::from_secs(1);

pub(super) enum Event {
    Node(usize, Said),
    Source(Result<End>),
}

pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) options: OfferOptions,
    pub(super) arrivals: mpsc::Receiver<Arrival>,
    pub(super) cancel: Cancel,
    pub(super) worker: Worker,
    pub(super) tell: mpsc::Sender<Event>,
    pub(super) events: mpsc::Receiver<Event>,
    /// In the order of joining, then of the chain: position - 1.
    pub(super) members: Vec<Member>,
    /// Who said that it will not come: waited for no longer, and part of the result.
    pub(super) declined: Vec<Member>,
    pub(super) next_id: usize,
    pub(super) started: Option<Instant>,
    pub(super) store: Arc<Store>,
    pub(super) feeder: Feeder,
    over: mpsc::UnboundedReceiver<Over>,
    pub(super) tree: Tree,
    /// What else works for the session; ends with it.
    pub(super) tasks: JoinSet<()>,
    source_cancel: Cancel,
    pub(super) source_done: Option<Result<End>>,
    /// Who was fed by one that is gone; and which of these have yet to hear from the new one: index, bytes then, when,
    /// and which repair it is.
    pub(super) repairs: Vec<Repair>,
    pub(super) mending: Vec<(usize, u64, Instant, usize)>,
    /// Positions in the order in which they were found to have failed by themselves.
    pub(super) causes: Vec<usize>,
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
        let store = Store::new(options.buffer, false);
        let local = options.bind.0.filter(|ip| !ip.is_unspecified());
        let (feeder, over) = Feeder::new(store.clone(), &shared.session, &shared.secret, local);
        Session {
            shared,
            options,
            arrivals,
            cancel,
            worker,
            tell,
            events,
            members: Vec::new(),
            declined: Vec::new(),
            next_id: 0,
            started: None,
            store,
            feeder,
            over,
            tree: Tree::new(0, 1),
            tasks: JoinSet::new(),
            source_cancel: Cancel::new(),
            source_done: None,
            repairs: Vec::new(),
            mending: Vec::new(),
            causes: Vec::new(),
        }
    }

    /// `later` serves who comes after the start.
    pub async fn run(mut self, source: Box<dyn Source>, mut later: Option<Later>) -> Result<Report> {
        let outcome = match self.gather().await {
            Ok(()) => self.stream(source, &mut later).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &outcome {
            self.abort_all(&fault.kind, &fault.message);
            self.settle().await;
        }
        if let Some(later) = later.as_mut().filter(|_| self.started.is_some()) {
            match &outcome {
                Err(fault) if fault.kind != "chain.lossy" => later.cancel.set(),
                _ => later.wait(&mut self.arrivals).await,
            }
        }
        if outcome.is_ok() {
            self.release().await;
        }
        self.store.cut(&stopped());
        let mut report = self.report();
        if let Some(later) = later {
            later.report(&mut report).await;
        }
        self.part().await;
        match outcome {
            Ok(_) => self.judge(report),
            Err(fault) if fault.kind == "chain.lossy" => self.judge(report),
            Err(fault) if self.started.is_some() => Err(fault.with_report(as_json(&report))),
            Err(fault) => Err(fault),
        }
    }

    pub(super) fn note(&self, level: Level, text: &str) {
        (self.shared.notes)(level, text);
    }

    pub(super) fn show(&self) {
        self.shared.view().1 = self.members.iter().map(Member::progress).collect();
    }

    /// From the start to the last result.
    async fn stream(&mut self, source: Box<dyn Source>, later: &mut Option<Later>) -> Result<End> {
        self.form();
        self.started = Some(Instant::now());
        let names: Vec<String> = self.members.iter().map(Member::label).collect();
        self.note(Level::Info, &format!("session `{}` starts: {}", self.shared.session, names.join(" > ")));
        let source = match self.until() {
            Some(until) => source::up_to(source, until),
            None => source,
        };
        let read = source::start(
            source,
            self.base(),
            self.store.clone(),
            self.shared.sent.clone(),
            self.options.compress,
            &self.source_cancel,
            self.worker.clone(),
        )?;
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            let read = read.await.unwrap_or_else(|_| Err(Fault::stopped()));
            let _ = tell.send(Event::Source(read)).await;
        });
        let cancel = self.cancel.clone();
        loop {
            let missing = self.members.iter().any(|member| member.is_active() && !member.whole);
            match (&self.source_done, missing) {
                (Some(Err(fault)), _) => return Err(self.source_failed(fault)),
                (Some(Ok(end)), false) => {
                    let end = *end;
                    // That all behind have it is on its way still, node by node, and no news.
                    for at in 0..self.members.len() {
                        if self.members[at].is_active() {
                            self.done(at);
                        }
                    }
                    self.show();
                    return Ok(end);
                }
                _ => {}
            }
            if self.members.iter().all(|m| m.report.failure.is_some()) {
                // Whoever is left only relays, to nobody who wants it.
                return Err(self.lossy(None));
            }
            tokio::select! {
                _ = cancel.cancelled() => return Err(stopped()),
                Some(event) = self.events.recv() => self.take(event),
                Some(arrival) = self.arrivals.recv() => {
                    let late = match later {
                        Some(_) if self.joins_late(&arrival) => {
                            self.append(arrival);
                            None
                        }
                        Some(later) => later.take(arrival),
                        None => Some(arrival),
                    };
                    if let Some(late) = late {
                        self.turn_away(late);
                    }
                }
                Some(over) = self.over.recv() => if let Err(why) = over.result {
                    self.broken(over.position, over.epoch, &format!("the link from the server: {why}"));
                },
            }
            self.show();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Source(done) => self.source_done = Some(done),
            Event::Node(id, said) => {
                if let Some(at) = self.members.iter().position(|m| m.id == id && m.is_active()) {
                    self.hear(at, said);
                }
            }
        }
    }

    /// Lets the nodes go: together, or one after the other so that they do not all boot at once.
    async fn release(&mut self) {
        let Some(pause) = self.options.release else { return };
        self.note(Level::Info, "all nodes are through: released");
        let waiting = self.members.iter().filter(|member| member.state == State::Done);
        for (at, peer) in waiting.filter_map(|member| member.peer.as_ref()).enumerate() {
            if at > 0 && !pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.cancel.cancelled() => {}
                }
            }
            peer.say(&Message::Bye);
        }
    }

    fn report(&mut self) -> Report {
        // Nodes that failed leave the stream what it was. That of a part says nothing about the whole, which is what nodes
        // have by then.
        let end = self.source_done.as_ref().and_then(|done| done.as_ref().ok());
        let digest = end.filter(|_| self.until().is_none()).map(|end| end.hex());
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
            repairs: self.repairs.clone(),
            nodes: self.members.iter().chain(&self.declined).map(|m| m.report.clone()).collect(),
        }
    }

    fn abort_all(&mut self, kind: &str, message: &str) {
        self.store.cut(&Fault::new(kind.to_string(), message));
        self.source_cancel.set();
        for member in self.members.iter().filter(|m| m.is_active()) {
            if let Some(peer) = &member.peer {
                let message = Message::Abort { kind: kind.into(), message: clean(message) };
                peer.say(&message);
            }
        }
    }

    /// Lets nodes and source end; a while at most.
    async fn settle(&mut self) {
        let (patient, brief) = (Instant::now() + SETTLE, Instant::now() + HANG);
        let nodes = |session: &Session| session.members.iter().any(Member::is_active);
        let busy = |session: &Session| nodes(session) || (session.started.is_some() && session.source_done.is_none());
        while busy(self) {
            let until = if nodes(self) { patient } else { brief };
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
        for member in &mut self.members {
            match member.peer.take() {
                // Nobody waits for one that says nothing any more.
                Some(peer) if member.state == State::Out => drop(tokio::spawn(peer.part())),
                Some(peer) => drop(parting.spawn(peer.part())),
                None => {}
            }
        }
        // Events nobody waits for any more must not hold up a connection's end.
        self.events.close();
        let _ = timeout(SETTLE, parting.join_all()).await;
        self.tasks.abort_all();
        self.feeder.shutdown().await;
    }
}

pub(super) fn stopped() -> Fault {
    Fault::new("chain.stopped", "the server stopped the session")
}

pub(super) fn as_json(report: &Report) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::stream::blob;

    /// Nodes that have nothing to do with the digest do not take it away: who comes back is compared with it.
    #[test]
    fn a_stream_that_was_read_to_its_end_has_a_digest_whoever_failed() {
        let options = OfferOptions::new("session");
        let shared = Shared::new(&options, &blob(Vec::new())).unwrap();
        let (_door, arrivals) = mpsc::channel(1);
        let mut session = Session::new(shared, options, arrivals, Cancel::new(), Worker::current());
        let who = ("node1".into(), ([127, 0, 0, 1], 1).into(), 1);
        session.members.push(Member::declined(who, "its sink failed".into(), 0.0));
        assert_eq!(session.report().digest, None);
        let end = End { length: 3, digest: [7; 32] };
        session.source_done = Some(Ok(end));
        assert_eq!(session.report().digest, Some(end.hex()));
        session.source_done = Some(Err(stopped()));
        assert_eq!(session.report().digest, None);
    }
}
