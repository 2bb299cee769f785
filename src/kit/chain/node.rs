//! A node in a session, from its welcome to its result. One task decides; connections, links and sink only tell it
//! what happened.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use super::chunk::{Budget, End, Fan, Flow};
use super::message::{Message, Plan, clean, few};
use super::peer::{Peer, Said};
use super::proof::Secret;
use super::receive::{Joined, ReceiveOptions};
use super::report::{Failure, NodeReport, speed};
use super::sink::{SinkThread, Taken, panicked};
use super::{SILENCE, link, upstream};
use crate::host::{Cancel, Fault, Level, Result, format_size};

/// How often the position in the sink goes to the server.
const ACK: Duration = Duration::from_millis(250);
/// How long the server has for saying why the stream broke, before the node says so itself.
const GRACE: Duration = Duration::from_secs(4);

enum Event {
    Server(Said),
    /// What the data port let in, in the end.
    Upstream(std::result::Result<End, String>),
    /// The link to this position is over.
    Link(usize, std::result::Result<(), String>),
}

struct Node {
    joined: String,
    options: ReceiveOptions,
    session: String,
    secret: Secret,
    peer: Peer,
    sink: SinkThread,
    budget: Budget,
    tasks: JoinSet<()>,
    tell: mpsc::Sender<Event>,
    plan: Option<Plan>,
    /// Kept beside the one that is fed: the sink must not see an end before it is known why.
    fan: Fan,
    started: Instant,
    /// What there still is to hear from.
    links: usize,
    ended: bool,
    taken: Option<Result<Taken>>,
    /// Why the stream broke, and until when the server may say it better.
    cut: Option<(Instant, Fault)>,
}

pub async fn run(
    joined: Joined,
    secret: Secret,
    options: ReceiveOptions,
    sink: SinkThread,
    feed: std::sync::mpsc::Sender<Flow>,
    cancel: Cancel,
) -> Result<NodeReport> {
    let Joined { stream, server, session, listener } = joined;
    (options.notes)(Level::Info, &format!("joined session `{session}` at {server}"));
    let address = stream.local_addr().map(|a| a.ip().to_canonical().to_string()).unwrap_or_default();
    let (tell, mut events) = mpsc::channel(64);
    let peer = Peer::start(stream, tell.clone(), Event::Server);
    let budget = Budget::new(options.buffer);
    let mut node = Node {
        joined: format!("the server {server}"),
        options,
        session,
        secret,
        peer,
        sink,
        budget,
        tasks: JoinSet::new(),
        tell,
        plan: None,
        fan: Fan::default(),
        started: Instant::now(),
        links: 0,
        ended: false,
        taken: None,
        cut: None,
    };
    let mut entrance = Some((listener, feed));
    let outcome = node.work(&mut events, &mut entrance, &cancel).await;
    // Whatever is not used by now is let go before the sink is waited for.
    drop(entrance);
    node.close(outcome, &mut events, address).await
}

type Entrance = Option<(tokio::net::TcpListener, std::sync::mpsc::Sender<Flow>)>;

impl Node {
    /// Until there is a result: the sink's account, or why there is none.
    async fn work(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        entrance: &mut Entrance,
        cancel: &Cancel,
    ) -> Result<Taken> {
        let mut tick = interval(ACK);
        loop {
            let relaying = self.links > 0;
            match &self.taken {
                // A sink that failed ends it at once where nobody is behind.
                Some(Err(_)) if !relaying => {}
                Some(_) if self.ended && !relaying => {}
                _ => {
                    self.turn(events, entrance, cancel, &mut tick).await?;
                    continue;
                }
            }
            return self.taken.take().unwrap_or_else(|| Err(panicked("sink")));
        }
    }

    async fn turn(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        entrance: &mut Entrance,
        cancel: &Cancel,
        tick: &mut tokio::time::Interval,
    ) -> Result<()> {
        let cut = self.cut.as_ref().map(|(until, _)| *until);
        let grace = async {
            match cut {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return Err(Fault::stopped()),
            _ = tick.tick() => self.peer.ack(self.sink.written.load(Ordering::Relaxed)),
            taken = self.sink.outcome(), if self.taken.is_none() => {
                if let Err(fault) = &taken && self.links > 0 {
                    self.peer.say(&Message::Trouble { kind: fault.kind.to_string(), message: clean(&fault.message) });
                }
                self.taken = Some(taken);
            }
            () = grace => if let Some((_, fault)) = self.cut.take() { return Err(fault) },
            Some(event) = events.recv() => self.take(event, entrance)?,
        }
        Ok(())
    }

    fn take(&mut self, event: Event, entrance: &mut Entrance) -> Result<()> {
        match event {
            Event::Server(Said::Message(Message::Plan(plan))) => {
                let Some((listener, feed)) = entrance.take() else {
                    return Err(Fault::new("chain.protocol", format!("{} sent a second plan", self.joined)));
                };
                self.form(plan, listener, feed);
            }
            Event::Server(Said::Message(Message::Abort { kind, message, unless_ended })) => {
                if !(unless_ended && self.ended) {
                    return Err(Fault::new(clean(&kind), clean(&message)));
                }
            }
            Event::Server(Said::Gone(why)) => {
                let at = format_size(self.sink.written.load(Ordering::Relaxed));
                return Err(Fault::new("chain.server", format!("{} vanished: {why} at {at}", self.joined)));
            }
            Event::Server(Said::Message(_) | Said::Ack(_)) => {}
            Event::Upstream(Ok(_)) => self.ended = true,
            Event::Upstream(Err(why)) => {
                let from = self.plan.as_ref().map_or("the node in front", |plan| &plan.from);
                let fault = Fault::new("chain.link", format!("the link from {} broke: {why}", clean(from)));
                self.cut = Some((Instant::now() + GRACE, fault));
            }
            Event::Link(position, fed) => {
                self.links -= 1;
                if let Err(why) = fed {
                    self.peer.say(&Message::LinkDown { position, why: clean(&why) });
                }
            }
        }
        Ok(())
    }

    /// Takes its place: opens the data port for the node in front, connects to those behind.
    fn form(&mut self, plan: Plan, listener: tokio::net::TcpListener, feed: std::sync::mpsc::Sender<Flow>) {
        self.started = Instant::now();
        let mut fan = Fan { sink: Some(feed), ..Fan::default() };
        for next in plan.next.clone() {
            let (sender, queue) = mpsc::unbounded_channel();
            fan.links.push(sender);
            let (secret, session, tell, local) =
                (self.secret.clone(), self.session.clone(), self.tell.clone(), self.options.address);
            self.links += 1;
            self.tasks.spawn(async move {
                let fed = link::feed(&next, &session, &secret, local, queue).await;
                let _ = tell.send(Event::Link(next.position, fed)).await;
            });
        }
        self.fan = fan.clone();
        let (found, arrived) = mpsc::channel(1);
        let (secret, session, notes) = (self.secret.link(&plan.key), self.session.clone(), self.options.notes.clone());
        self.tasks.spawn(upstream::open(listener, secret, session, notes, found));
        let (tell, budget, written) = (self.tell.clone(), self.budget.clone(), self.sink.written.clone());
        self.tasks.spawn(async move {
            let pulled = pull(arrived, &budget, fan, &written).await;
            let _ = tell.send(Event::Upstream(pulled)).await;
        });
        self.plan = Some(plan);
    }

    /// Tells the server, lets the sink end, and makes the report.
    async fn close(
        mut self,
        outcome: Result<Taken>,
        events: &mut mpsc::Receiver<Event>,
        address: String,
    ) -> Result<NodeReport> {
        let relayed = self.ended && self.links == 0;
        self.budget.close();
        self.tasks.shutdown().await;
        let mut report = NodeReport {
            name: self.options.name.clone().unwrap_or_else(|| address.clone()),
            address,
            position: self.plan.as_ref().map_or(0, |plan| plan.position),
            seconds: self.started.elapsed().as_secs_f64(),
            ..NodeReport::default()
        };
        let word = match &outcome {
            Ok(taken) => {
                report.bytes = taken.bytes;
                report.digest = Some(taken.digest.clone());
                report.entries = taken.delivered.entries;
                report.warnings = taken.delivered.warnings.clone();
                Message::Done {
                    bytes: taken.bytes,
                    digest: taken.digest.clone(),
                    entries: taken.delivered.entries,
                    warnings: few(&taken.delivered.warnings),
                }
            }
            Err(fault) => {
                self.sink.abort(fault);
                report.failure = Some(Failure::from(fault));
                Message::Failed { kind: fault.kind.to_string(), message: clean(&fault.message), relayed }
            }
        };
        self.peer.say(&word);
        self.fan = Fan::default();
        if outcome.is_err() {
            self.sink.ended().await;
        }
        let server_gone = matches!(&outcome, Err(fault) if fault.kind == "chain.server");
        // The server writes the result down. Should it vanish here, what is in the sink stays whole and verified.
        let heard = async {
            while let Some(event) = events.recv().await {
                if matches!(event, Event::Server(Said::Message(Message::Bye) | Said::Gone(_))) {
                    return;
                }
            }
        };
        if !server_gone {
            let _ = tokio::time::timeout(SILENCE, heard).await;
        }
        self.peer.part().await;
        report.mb_per_s = speed(report.bytes, report.seconds);
        match outcome {
            Ok(_) => Ok(report),
            Err(fault) => {
                report.bytes = self.sink.written.load(Ordering::Relaxed);
                Err(fault.with_report(serde_json::to_value(&report).unwrap_or_default()))
            }
        }
    }
}

async fn pull(
    mut arrived: mpsc::Receiver<TcpStream>,
    budget: &Budget,
    fan: Fan,
    written: &Arc<std::sync::atomic::AtomicU64>,
) -> std::result::Result<End, String> {
    // The node in front is told of this one at the same time as this one of it.
    match tokio::time::timeout(SILENCE * 2, arrived.recv()).await {
        Ok(Some(stream)) => upstream::pull(stream, budget, fan, written).await,
        _ => Err("it did not connect".into()),
    }
}
