//! The server's handle on a session: opened, watched, started, waited for, stopped.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::absent::Absent;
use super::pack::Compress;
use super::proof::Secret;
use super::report::{AWAY, NodeProgress, Phase, Progress, Report};
use super::rounds::{Later, Rounds};
use super::session::Session;
use super::sink::panicked;
use super::{Notes, PORT, discovery, gate, socket};
use crate::host::{Cancel, Fault, Level, Result, Worker};
use crate::kit::stream::Source;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By address, as a number: neighbours stay on one switch.
    Address,
    /// As they came.
    Joined,
}

/// What becomes of a node for whose sink all others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// It is named; all go at its pace.
    Wait,
    /// It leaves the chain, and gets the rest of the stream afterwards.
    Evict,
}

#[derive(Clone)]
pub struct OfferOptions {
    pub session: String,
    /// Starts when so many have joined.
    pub nodes: Option<usize>,
    /// Starts with whoever is there after this time.
    pub start_after: Option<Duration>,
    /// Address and port to listen on. Without a port: 30765, or any free one where that is taken; port 0: any free one.
    pub bind: (Option<IpAddr>, Option<u16>),
    /// How many nodes each one feeds: 1 is a chain, 2 to 4 a tree.
    pub arity: usize,
    pub order: Order,
    /// How long to wait for the start.
    pub timeout: Duration,
    /// Bytes of the stream that the server holds at most.
    pub buffer: u64,
    pub token: Option<String>,
    /// Whether all connections are encrypted; needs a token.
    pub encrypt: bool,
    /// Compression on the wire.
    pub compress: Compress,
    /// Nodes that are through wait until all are, and leave with this pause between them. `None`: each leaves once it is
    /// through.
    pub release: Option<Duration>,
    pub rounds: Rounds,
    pub slow: Slow,
    pub notes: Notes,
}

impl OfferOptions {
    pub fn new(session: &str) -> Self {
        OfferOptions {
            session: session.into(),
            nodes: None,
            start_after: None,
            bind: (None, None),
            arity: 1,
            order: Order::Address,
            timeout: Duration::from_secs(3600),
            buffer: super::BUFFER,
            token: None,
            encrypt: false,
            compress: Compress::Off,
            release: None,
            rounds: Rounds::Late,
            slow: Slow::Wait,
            notes: super::no_notes(),
        }
    }
}

/// What the session's task, its door and its handle share.
pub(super) struct Shared {
    pub session: String,
    pub source: String,
    pub total: Option<u64>,
    pub secret: Secret,
    pub notes: Notes,
    pub opened: Instant,
    /// Bytes read from the source.
    pub sent: Arc<AtomicU64>,
    /// Who said that it leaves and comes back, and has not come yet.
    pub absent: Arc<Absent>,
    /// How often the start was asked for.
    go: watch::Sender<u32>,
    /// Whether who comes after the start can be served.
    pub takes_late: bool,
    /// The rounds of those who came late.
    rounds: Mutex<Vec<Arc<Shared>>>,
    view: Mutex<(Phase, Vec<NodeProgress>)>,
}

impl Shared {
    pub fn new(options: &OfferOptions, source: &dyn Source) -> Result<Arc<Shared>> {
        Ok(Arc::new(Shared {
            session: options.session.clone(),
            source: source.describe(),
            total: source.size(),
            secret: Secret::for_session(options.token.as_deref(), options.encrypt)?,
            notes: options.notes.clone(),
            opened: Instant::now(),
            sent: Arc::default(),
            absent: Arc::default(),
            go: watch::Sender::new(0),
            takes_late: source.again().is_some(),
            rounds: Mutex::default(),
            view: Mutex::new((Phase::Gathering, Vec::new())),
        }))
    }

    pub fn view(&self) -> MutexGuard<'_, (Phase, Vec<NodeProgress>)> {
        self.view.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn started(&self) -> bool {
        self.view().0 != Phase::Gathering
    }

    /// # Errors
    /// `chain.nobody`: there is nobody to start with.
    pub fn start(&self) -> Result<()> {
        if self.view().1.is_empty() {
            let text = format!("cannot start session `{}`: nobody has joined it", self.session);
            return Err(Fault::new("chain.nobody", text));
        }
        self.begin();
        Ok(())
    }

    /// The same, whoever is there: with nobody the session ends.
    pub fn begin(&self) {
        self.go.send_modify(|asked| *asked += 1);
    }

    pub fn asked(&self) -> u32 {
        *self.go.borrow()
    }

    /// Resolves once the start is asked for more often than that.
    pub async fn asked_again(&self, before: u32) {
        let _ = self.go.subscribe().wait_for(|asked| *asked > before).await;
    }

    /// The same session for those who came late.
    pub fn round(&self) -> Arc<Shared> {
        let round = Arc::new(Shared {
            session: self.session.clone(),
            source: self.source.clone(),
            total: self.total,
            secret: self.secret.clone(),
            notes: self.notes.clone(),
            opened: Instant::now(),
            sent: Arc::default(),
            absent: self.absent.clone(),
            go: watch::Sender::new(0),
            takes_late: false,
            rounds: Mutex::default(),
            view: Mutex::new((Phase::Gathering, Vec::new())),
        });
        self.rounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(round.clone());
        round
    }

    /// Resolves once the start is asked for.
    pub async fn go(&self) {
        self.asked_again(0).await;
    }
}

/// Name and port of each session that this process offers.
static HERE: Mutex<Vec<(String, u16)>> = Mutex::new(Vec::new());

/// Whether this very process offers the session.
pub(super) fn is_here(session: &str, port: u16) -> bool {
    let here = HERE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    here.iter().any(|(name, at)| name == session && *at == port)
}

/// A session of this machine. Dropping it stops it.
pub struct Offer {
    shared: Arc<Shared>,
    address: SocketAddr,
    cancel: Cancel,
    outcome: watch::Receiver<Option<Result<Report>>>,
}

impl Offer {
    /// Opens a session: from now on nodes find and join it, and the stream starts as the options say. Must be called
    /// in a tokio runtime, which then works for it.
    ///
    /// # Errors
    /// `chain.option`: arity not from 1 to 4, no nodes to wait for, no name or one too long,
    /// encryption without a token; `chain.bind`: cannot listen there.
    pub async fn open(source: Box<dyn Source>, options: OfferOptions) -> Result<Offer> {
        if !(1..=4).contains(&options.arity) {
            return Err(Fault::new("chain.option", format!("arity {} is not from 1 to 4", options.arity)));
        }
        // The name has to pass in one datagram.
        if !(1..=200).contains(&options.session.len()) {
            let text = format!("a session's name has 1 to 200 bytes, not {}", options.session.len());
            return Err(Fault::new("chain.option", text));
        }
        if options.nodes == Some(0) {
            return Err(Fault::new("chain.option", "a chain of 0 nodes has nobody to send to"));
        }
        let listener = listen(options.bind)?;
        let address = listener.local_addr().map(socket::canonical).map_err(|e| bind_fault(options.bind, e))?;
        let (done, outcome) = watch::channel(None);
        let again = source.again();
        if options.slow == Slow::Evict && again.is_none() {
            let text = format!(
                "`slow: \"evict\"` takes a source that can be read again, which `{}` cannot",
                source.describe()
            );
            return Err(Fault::new("chain.option", text)
                .hint("`spool: \"FILE\"` keeps it in a file as long as the session lasts"));
        }
        let shared = Shared::new(&options, &*source)?;
        HERE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((options.session.clone(), address.port()));
        let cancel = Cancel::new();
        let (arrivals, queue) = mpsc::channel(16);
        let door = gate::open(listener, shared.clone(), arrivals);
        let ear = ear(&shared, &options, address);
        // It outlives the call: what ends it is the cancel of its own.
        let worker = Worker { cancel: None, ..Worker::current() };
        let later = Later::new(again, options.clone(), shared.clone(), cancel.child(), worker.clone());
        let session = Session::new(shared.clone(), options, queue, cancel.clone(), worker);
        let ended = shared.clone();
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = session.run(source, Some(later)) => outcome,
                () = door => Err(panicked("door of a chain")),
                () = ear => Err(panicked("ear of a chain")),
            };
            // The port is closed by now: the losing branches are dropped.
            ended.view().0 = Phase::Ended;
            done.send_replace(Some(outcome));
        });
        Ok(Offer { shared, address, cancel, outcome })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Names of the nodes that joined (their addresses where they have no name).
    pub fn joined(&self) -> Vec<String> {
        self.shared.view().1.iter().map(|node| node.name.clone()).collect()
    }

    /// Starts with whoever is there.
    ///
    /// # Errors
    /// `chain.nobody`: nobody is.
    pub fn start(&self) -> Result<()> {
        self.shared.start()
    }

    pub fn progress(&self) -> Progress {
        let (phase, mut nodes) = self.shared.view().clone();
        let rounds = self.shared.rounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        for node in rounds.iter().flat_map(|round| round.view().1.clone()) {
            // Who left and came back is one node.
            let away = |before: &NodeProgress| before.failure.as_ref().is_some_and(|failure| failure.kind == AWAY);
            nodes.retain(|before| !away(before) || (&before.name, &before.address) != (&node.name, &node.address));
            nodes.push(node);
        }
        Progress { phase, sent: self.shared.sent.load(Ordering::Relaxed), total: self.shared.total, nodes }
    }

    /// The result, once every node's is known. May be asked again.
    ///
    /// # Errors
    /// - `chain.timeout`: too few nodes in time; `chain.nobody`: none
    /// - `chain.source`: the source failed; `chain.lossy`: a node has no complete copy. Both carry the [`Report`].
    /// - `chain.stopped`: by [`Offer::stop`]
    pub async fn wait(&self) -> Result<Report> {
        match self.outcome.clone().wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(panicked("session of a chain"))),
            Err(_) => Err(panicked("session of a chain")),
        }
    }

    /// Ends it now, tells the nodes, and returns when the port is closed.
    pub async fn stop(&self) {
        self.cancel.set();
        let _ = self.wait().await;
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.cancel.set();
        let mut here = HERE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        here.retain(|(name, port)| *name != self.shared.session || *port != self.address.port());
    }
}

fn bind_fault((address, port): (Option<IpAddr>, Option<u16>), error: io::Error) -> Fault {
    let place = match address {
        Some(address) => SocketAddr::new(address, port.unwrap_or(PORT)).to_string(),
        None => format!("port {}", port.unwrap_or(PORT)),
    };
    Fault::io("chain.bind", format_args!("listen on {place}"), error)
        .hint("`bind: \":0\"` takes any free port; nodes find it by the session's name")
}

fn listen(bind: (Option<IpAddr>, Option<u16>)) -> Result<TcpListener> {
    let open = |port| match bind.0 {
        Some(address) => socket::listen(SocketAddr::new(address, port)),
        None => socket::listen_all(port),
    };
    let listener = match bind.1 {
        Some(port) => open(port),
        // Several servers on one machine: discovery tells which port is whose.
        None => match open(PORT) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => open(0),
            other => other,
        },
    };
    listener.map_err(|error| bind_fault(bind, error))
}

/// Discovery, where it can be had: without it nodes still come by address.
fn ear(shared: &Shared, options: &OfferOptions, address: SocketAddr) -> impl Future<Output = ()> + Send + 'static {
    let ears = discovery::ears();
    if let Err(error) = &ears {
        let text =
            format!("session `{}` is not found by name, only by address: UDP port {PORT}: {error}", shared.session);
        (shared.notes)(Level::Warn, &text);
    }
    let (session, bound) = (shared.session.clone(), options.bind.0.filter(|ip| !ip.is_unspecified()));
    async move {
        let mut answering = tokio::task::JoinSet::new();
        for ear in ears.into_iter().flatten() {
            answering.spawn(discovery::answer(ear, session.clone(), address.port(), bound));
        }
        std::future::pending().await
    }
}
