//! A node in a session, from its welcome to its result. One task decides; connections, links and sink only tell it
//! what happened.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::feeder::{Feeder, Over};
use super::message::{Child, Message, Plan, State, Want, clean, few};
use super::offer;
use super::peer::{Peer, Said};
use super::proof::Secret;
use super::receive::{Joined, ReceiveOptions};
use super::report::{Failure, NodeReport, speed};
use super::sink::{SinkThread, Taken, panicked};
use super::store::Store;
use super::upstream::{self, News};
use super::{PING, SILENCE, upstream::Link};
use crate::host::{Cancel, Fault, Level, Result, format_duration, format_size};

/// How often a node looks at itself, and how many looks it tells the server of: every second one, each of which costs the server's port a
/// packet in return, but all of them for a while where others wait for it or its link broke.
const LOOK: Duration = Duration::from_millis(200);
const TOLD: u32 = 2;
const WHILE: u32 = 10;

/// What became of a node's part in a chain.
pub enum Step {
    Over(Box<NodeReport>),
    /// It left, and comes back for this.
    Away(Want),
}

/// How the work ended.
enum Outcome {
    Taken(Taken),
    Away,
}

struct Node<'a> {
    server: String,
    options: &'a ReceiveOptions,
    session: String,
    secret: Secret,
    peer: Peer,
    store: Arc<Store>,
    sink: &'a mut SinkThread,
    feeder: Feeder,
    over: mpsc::UnboundedReceiver<Over>,
    tasks: JoinSet<()>,
    news: mpsc::Sender<News>,
    position: usize,
    /// The last order about whom to feed.
    seq: u64,
    /// Whether the server was told that the sink has it all; and as of which order all behind have it too.
    done: bool,
    drained: Option<u64>,
    /// Looks so far, and up to which one each is told.
    looks: u32,
    eager: u32,
    /// How long others waited for its sink.
    stalled: Duration,
    started: Instant,
    taken: Option<Result<Taken>>,
}

pub async fn run(
    joined: Joined,
    secret: &Secret,
    options: &ReceiveOptions,
    sink: &mut SinkThread,
    store: &Arc<Store>,
    cancel: &Cancel,
) -> Result<Step> {
    let Joined { stream, server, session, listener } = joined;
    // A server in the same process has just said so.
    if !offer::is_here(&session, server.port()) {
        (options.notes)(Level::Info, &format!("joined session `{session}` at {server}"));
    }
    let address = stream.local_addr().map(|a| a.ip().to_canonical().to_string()).unwrap_or_default();
    let scope = match stream.local_addr() {
        Ok(std::net::SocketAddr::V6(own)) => own.scope_id(),
        _ => 0,
    };
    let (tell, mut events) = mpsc::channel(64);
    let peer = Peer::start(stream, PING, SILENCE, tell, |said| said);
    let (news, mut heard) = mpsc::channel(8);
    let (mut feeder, over) = Feeder::new(store.clone(), &session, secret, options.address);
    feeder.scope = scope;
    let mut node = Node {
        server: format!("the server {server}"),
        options,
        session,
        secret: secret.clone(),
        peer,
        store: store.clone(),
        sink,
        feeder,
        over,
        tasks: JoinSet::new(),
        news,
        position: 0,
        seq: 0,
        done: false,
        drained: None,
        looks: 0,
        eager: 0,
        stalled: Duration::ZERO,
        started: Instant::now(),
        taken: None,
    };
    let mut entrance = Some(listener);
    let outcome = node.work(&mut events, &mut heard, &mut entrance, cancel).await;
    node.close(outcome, &mut events, address).await
}

impl Node<'_> {
    /// Until there is a result: the sink's account, or why there is none.
    async fn work(
        &mut self,
        events: &mut mpsc::Receiver<Said>,
        heard: &mut mpsc::Receiver<News>,
        entrance: &mut Option<TcpListener>,
        cancel: &Cancel,
    ) -> Result<Outcome> {
        let mut tick = interval(LOOK);
        let store = self.store.clone();
        loop {
            let drained = store.look(|ledger| ledger.drained());
            match &self.taken {
                // Who has no copy is here for those behind alone.
                Some(Err(_)) if drained || !store.look(|ledger| ledger.feeds()) => break,
                Some(Ok(taken)) => {
                    if !self.done {
                        self.peer.say(&Message::State(self.state(false)));
                        self.peer.say(&done(taken));
                        self.done = true;
                    }
                    if drained && self.drained != Some(self.seq) {
                        self.peer.say(&Message::Drained { seq: self.seq });
                        self.drained = Some(self.seq);
                    }
                }
                // The rest of the stream comes another time; those behind have what there is.
                None if drained && self.sink.missing().is_some() => return Ok(Outcome::Away),
                _ => {}
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(Fault::stopped()),
                _ = tick.tick() => self.tick(),
                taken = self.sink.outcome(), if self.taken.is_none() => self.ended(taken),
                () = store.drained(), if !drained => {}
                Some(over) = self.over.recv() => {
                    if let Err(why) = over.result {
                        let (position, epoch, why) = (over.position, over.epoch, clean(&why));
                        self.peer.say(&Message::LinkDown { position, epoch, why });
                    }
                }
                Some(News::Broken { epoch, why }) = heard.recv() => {
                    self.eager = self.looks + WHILE;
                    self.peer.say(&Message::FeedDown { epoch, why: clean(&why) });
                }
                Some(said) = events.recv() => match said {
                    // Who has it all, or has no sink any more, holds up nobody.
                    Said::Message(Message::Evict) if store.end().is_some() || self.taken.is_some() => {}
                    Said::Message(Message::Evict) => return Ok(Outcome::Away),
                    said => if self.take(said, entrance)? { break },
                },
            }
        }
        self.taken.take().unwrap_or_else(|| Err(panicked("sink"))).map(Outcome::Taken)
    }

    fn tick(&mut self) {
        self.store.nudge();
        if self.taken.is_none() && self.sink.is_wedged(self.options.stall) {
            let at = format_size(self.sink.written());
            let stuck = format_duration(self.sink.stuck());
            self.sink.give_up();
            self.ended(Err(Fault::new("chain.stalled", format!("its sink took nothing for {stuck} at {at}"))
                .hint("`stall` says how long others wait for a sink that takes nothing")));
        }
        let waits =
            self.store.look(|ledger| ledger.sink().is_some_and(|sink| sink < ledger.high() && sink <= ledger.acked()));
        let waits = waits && self.store.is_full();
        if waits {
            self.stalled += LOOK;
            self.eager = self.looks + WHILE;
        }
        if self.looks < self.eager || self.looks.is_multiple_of(TOLD) {
            self.peer.say(&Message::State(self.state(waits)));
        }
        self.looks += 1;
    }

    fn state(&self, waits: bool) -> State {
        State {
            written: self.sink.written(),
            received: self.store.look(|ledger| ledger.high()),
            busy: self.sink.busy().as_millis() as u64,
            waits,
            stalled: self.stalled.as_millis() as u64,
            pause: self.store.pause().as_millis() as u64,
        }
    }

    /// The sink is through. One that failed costs nobody behind anything.
    fn ended(&mut self, taken: Result<Taken>) {
        if let Err(fault) = &taken {
            self.store.change(|ledger| ledger.drop_sink());
            if self.store.look(|ledger| ledger.feeds()) {
                self.peer.say(&Message::Trouble { kind: fault.kind.to_string(), message: clean(&fault.message) });
            }
        }
        self.taken = Some(taken);
    }

    /// Whether the server says: leave, all is well.
    fn take(&mut self, said: Said, entrance: &mut Option<TcpListener>) -> Result<bool> {
        match said {
            Said::Message(Message::Plan(plan)) => {
                let Some(listener) = entrance.take() else {
                    return Err(Fault::new("chain.protocol", format!("{} sent a second plan", self.server)));
                };
                self.form(plan, listener);
            }
            Said::Message(Message::Feed { seq, next }) => self.feed(seq, next),
            Said::Message(Message::Abort { kind, message }) => {
                return Err(Fault::new(clean(&kind), clean(&message)));
            }
            Said::Message(Message::Bye) => return Ok(self.done),
            // Whoever has it all and was told to go in a moment needs no server any more.
            Said::Gone(_) if self.done && self.drained == Some(self.seq) => return Ok(true),
            Said::Gone(why) => {
                let at = format_size(self.sink.written());
                return Err(Fault::new("chain.server", format!("{} vanished: {why} at {at}", self.server)));
            }
            Said::Message(_) => {}
        }
        Ok(false)
    }

    fn feed(&mut self, seq: u64, next: Vec<Child>) {
        self.seq = seq;
        self.feeder.feed(next);
    }

    /// Takes its place: opens the data port for the node in front, connects to those behind.
    fn form(&mut self, plan: Plan, listener: TcpListener) {
        self.started = Instant::now();
        self.position = plan.position;
        let (found, arrived) = mpsc::channel::<Link>(4);
        let (secret, session, notes) = (self.secret.link(&plan.key), self.session.clone(), self.options.notes.clone());
        let newest = Arc::new(AtomicU64::new(0));
        if plan.late {
            self.store.open();
        }
        let lane = self.feeder.lane().runtime();
        let faults = self.options.faults.clone();
        self.tasks.spawn_on(upstream::open(listener, secret, session.clone(), notes, newest, found), lane);
        self.tasks.spawn_on(upstream::take(arrived, session, self.store.clone(), faults, self.news.clone()), lane);
        self.feed(plan.seq, plan.next);
    }

    /// Tells the server, lets the sink end, and makes the report.
    async fn close(
        mut self,
        outcome: Result<Outcome>,
        events: &mut mpsc::Receiver<Said>,
        address: String,
    ) -> Result<Step> {
        let mut report = NodeReport {
            name: self.options.name.clone().unwrap_or_else(|| address.clone()),
            address,
            position: self.position,
            seconds: self.started.elapsed().as_secs_f64(),
            stalled: self.stalled.as_secs_f64(),
            pause: self.store.pause().as_secs_f64(),
            ..NodeReport::default()
        };
        // At once: whom it feeds is to be fed by somebody else.
        if let Err(fault) = &outcome {
            self.sink.abort(fault);
            report.failure = Some(Failure::from(fault));
            self.peer.say(&Message::Failed { kind: fault.kind.to_string(), message: clean(&fault.message) });
        }
        // What came is known once nothing more comes.
        self.tasks.shutdown().await;
        self.feeder.shutdown().await;
        match &outcome {
            Ok(Outcome::Away) => {
                self.peer.say(&Message::Away);
                self.feeder.feed(Vec::new());
                noted(events).await;
            }
            Ok(Outcome::Taken(taken)) => {
                report.bytes = taken.bytes;
                report.digest = Some(taken.digest.clone());
                report.entries = taken.delivered.entries;
                report.warnings = taken.delivered.warnings.clone();
            }
            Err(fault) => {
                self.sink.ended().await;
                if fault.kind != "chain.server" {
                    noted(events).await;
                }
            }
        }
        self.peer.part().await;
        report.mb_per_s = speed(report.bytes, report.seconds);
        match outcome {
            Ok(Outcome::Away) => {
                let missing = self.sink.missing();
                if missing.is_some() {
                    self.sink.goes_on();
                }
                let rest = Want { from: self.store.look(|ledger| ledger.high()), until: None };
                Ok(Step::Away(missing.unwrap_or(rest)))
            }
            Ok(Outcome::Taken(_)) => Ok(Step::Over(Box::new(report))),
            Err(fault) => {
                report.bytes = self.sink.written();
                Err(fault.with_report(serde_json::to_value(&report).unwrap_or_default()))
            }
        }
    }
}

/// Waits until the server has written down what it was told last.
async fn noted(events: &mut mpsc::Receiver<Said>) {
    let heard = async {
        while let Some(said) = events.recv().await {
            if matches!(said, Said::Message(Message::Bye | Message::Abort { .. }) | Said::Gone(_)) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(SILENCE, heard).await;
}

fn done(taken: &Taken) -> Message {
    Message::Done {
        bytes: taken.bytes,
        digest: taken.digest.clone(),
        entries: taken.delivered.entries,
        warnings: few(&taken.delivered.warnings),
    }
}
