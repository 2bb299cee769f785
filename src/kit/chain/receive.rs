//! A node's way into a session.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use super::channel::Channel;
use super::handshake::greet;
use super::harm::Harmed;
use super::message::{Hello, Role, Want};
use super::node::Step;
use super::proof::{Secret, nonce};
use super::report::NodeReport;
use super::sink::SinkThread;
use super::store::Store;
use super::wire::WireError;
use super::{Notes, SILENCE, discovery, node, place, socket};
use crate::host::{Cancel, Fault, Result, Worker, format_duration};
use crate::kit::stream::Sink;

/// Which session.
#[derive(Debug, Clone)]
pub enum Target {
    /// Found by its name.
    Session(String),
    /// At an address (`host` or `host:port`); a name given too must be that of the session there.
    Server(String, Option<String>),
}

/// How long a node that left the chain looks for the session when it comes back.
const BACK: Duration = Duration::from_secs(30);

pub struct ReceiveOptions {
    pub target: Target,
    pub token: Option<String>,
    /// Whether all connections are encrypted; needs a token.
    pub encrypt: bool,
    /// How long to look for the session.
    pub timeout: Duration,
    /// What this node is called in reports.
    pub name: Option<String>,
    /// The local address to work from and to be known by.
    pub address: Option<IpAddr>,
    /// Bytes of the stream that this node holds at most.
    pub buffer: u64,
    /// How long others wait for a sink that takes nothing at all; ten times as long where a disk is at work.
    pub stall: Duration,
    /// A folder whose files say what is to go wrong at this node, for a rehearsal of failures.
    pub faults: Option<PathBuf>,
    pub notes: Notes,
}

impl ReceiveOptions {
    pub fn new(target: Target) -> Self {
        ReceiveOptions {
            target,
            token: None,
            encrypt: false,
            timeout: Duration::from_secs(600),
            name: None,
            address: None,
            buffer: super::BUFFER,
            stall: super::STALL,
            faults: None,
            notes: super::no_notes(),
        }
    }
}

/// Takes part in a session: waits for its start, feeds `sink` and the nodes behind, and returns when the sink has
/// finished and all behind have what they need. Dropping the future closes the connections and aborts the sink; setting
/// `cancel` does so too, says why to the server, and waits for the sink. Must be polled in a tokio runtime.
///
/// # Errors
/// - `chain.timeout`: no such session in time; `chain.address`: no such server
/// - `chain.option`: encryption without a token
/// - `chain.token`, `chain.encrypt`, `chain.version`, `chain.session`, `chain.late`: refused, or the server is not the right one
/// - `chain.source`, `chain.stopped`: the server ended it; `chain.server`: the server vanished
/// - `chain.lost`: this node was silent and the session went on without it; `chain.link`: nobody reaches it
/// - `chain.stalled`: the sink took nothing and others waited; `chain.digest`: damaged on the way
/// - the sink's own fault
pub fn receive(
    sink: Box<dyn Sink>,
    options: ReceiveOptions,
    cancel: Cancel,
) -> impl Future<Output = Result<NodeReport>> + Send {
    let worker = Worker::current();
    async move {
        let secret = Secret::for_session(options.token.as_deref(), options.encrypt)?;
        let store = Store::new(options.buffer, true);
        let sink = match &options.faults {
            Some(folder) => Box::new(Harmed::new(sink, folder.clone())),
            None => sink,
        };
        let seeks = sink.can_seek();
        let mut thread = SinkThread::start(sink, store.clone(), worker)?;
        let mut until = Instant::now() + options.timeout;
        let (name, local) = (options.name.as_deref(), options.address);
        let mut guest = Guest { name, local, seeks, ..Guest::new(Role::Node) };
        loop {
            let joined = tokio::select! {
                joined = join(&options.target, &secret, guest, until) => joined,
                () = cancel.cancelled() => Err(Fault::stopped()),
            };
            let joined = match joined {
                Ok(joined) => joined,
                Err(fault) => {
                    thread.abort(&fault);
                    thread.ended().await;
                    return Err(fault);
                }
            };
            match node::run(joined, &secret, &options, &mut thread, &store, &cancel).await? {
                Step::Over(report) => return Ok(*report),
                Step::Away(want) => {
                    guest = Guest { want, back: true, ..guest };
                    until = until.max(Instant::now() + BACK);
                }
            }
        }
    }
}

/// A node or other guest that the server has welcomed.
pub struct Joined {
    pub stream: Channel,
    pub server: SocketAddr,
    pub session: String,
    /// Where data comes in; listens on the address the server knows.
    pub listener: TcpListener,
}

/// Who wants to come in, and what for.
#[derive(Clone, Copy)]
pub struct Guest<'a> {
    pub role: Role,
    pub name: Option<&'a str>,
    /// The local address to come from.
    pub local: Option<IpAddr>,
    pub reason: Option<&'a str>,
    /// What of the stream it wants, and whether its sink takes the end first.
    pub want: Want,
    pub seeks: bool,
    /// It was here before, and said that it would come again.
    pub back: bool,
}

impl Guest<'_> {
    pub fn new(role: Role) -> Self {
        Guest { role, name: None, local: None, reason: None, want: Want::default(), seeks: false, back: false }
    }
}

/// Finds the session and enters it, again and again until `until`: server and nodes may start in any order.
pub async fn join(target: &Target, secret: &Secret, guest: Guest<'_>, until: Instant) -> Result<Joined> {
    let local = guest.local;
    let begun = Instant::now();
    let late = |what: String| {
        let waited = format_duration(begun.elapsed());
        Fault::new("chain.timeout", format!("cannot join {what} within {waited}"))
    };
    loop {
        let (found, session) = match target {
            Target::Session(session) => match discovery::find(session, local, until).await {
                Ok(Ok(server)) => (vec![server], Some(session.as_str())),
                Ok(Err(version)) => {
                    let fault = late(format!("session `{session}`: no server answered"))
                        .hint("broadcasts do not cross routers: name the machine with `server: \"..\"`");
                    return Err(match version {
                        Some(version) => fault.hint(format!("a server that speaks version {version} was heard")),
                        None => fault,
                    });
                }
                Err(error) => {
                    return Err(Fault::io("chain.search", format_args!("look for session `{session}`"), error));
                }
            },
            Target::Server(server, session) => {
                let limit = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
                (place::resolve(server, limit).await?, session.as_deref())
            }
        };
        let mut failed = None;
        for server in found {
            match enter(server, secret, session, guest).await {
                Ok(joined) => return Ok(joined),
                Err(fault) if fault.kind == "chain.connect" => failed = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        let again = Instant::now() + Duration::from_millis(250);
        if again >= until {
            let why = failed.map_or(String::new(), |fault| fault.message);
            return Err(late(format!("the session: {why}")));
        }
        sleep_until(again).await;
    }
}

async fn enter(server: SocketAddr, secret: &Secret, session: Option<&str>, guest: Guest<'_>) -> Result<Joined> {
    let fail = |error: std::io::Error| {
        let text = format!("cannot connect to the server {server}: {}", WireError::from(error));
        Fault::new("chain.connect", text)
    };
    let mut stream = Channel::new(socket::connect(server, guest.local, SILENCE / 2).await.map_err(fail)?);
    let own = stream.local_addr().map_err(fail)?;
    let mut data = own;
    data.set_port(0);
    let listener = socket::listen(data).map_err(fail)?;
    let hello = Hello {
        session: session.map(str::to_string),
        name: guest.name.map(str::to_string),
        port: listener.local_addr().map_err(fail)?.port(),
        reason: guest.reason.map(str::to_string),
        want: guest.want,
        seeks: guest.seeks,
        back: guest.back,
        ..Hello::new(guest.role, nonce())
    };
    let welcome = greet(&mut stream, secret, hello, &format!("the server {server}")).await?;
    Ok(Joined { stream, server, session: welcome.session, listener })
}
