//! The server: nodes connect, and what they say becomes happenings.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::board::{Board, Happening, Node, happening};
use super::wire::{FromNode, FromServer, VERSION, parse_from_node, read_line, write_line};
use crate::host::{Cancel, Fault, Planned, Result};
use crate::kit::net::Events;

/// Connections at once; a node has one.
const CONNECTIONS: usize = 2000;
/// For the first line of a connection, and for one that takes no answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// For every further one: a node says something each second, and one whose power is cut closes no connection.
const QUIET: Duration = Duration::from_secs(30);

pub struct Options {
    pub bind: SocketAddr,
    /// Nothing heard of a running node for so long: it is silent.
    pub silent: Duration,
    /// The same for one that boots.
    pub boot: Duration,
}

/// A running server. Ends when dropped.
pub struct Watch {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: Cancel,
}

impl Planned for Watch {}

struct Shared {
    board: Mutex<Board>,
    events: Events<Happening>,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, new: impl IntoIterator<Item = Happening>) {
        new.into_iter().for_each(|happening| self.events.push(happening));
    }
}

impl Watch {
    /// # Errors
    /// `watch.bind`: cannot listen there.
    pub async fn start(options: Options, end: Cancel) -> Result<Watch> {
        let fail = |error| Fault::io("watch.bind", format_args!("listen on {}", options.bind), error);
        let listener = TcpListener::bind(options.bind).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared { board: Mutex::default(), events: Events::default() });
        tokio::spawn(serve(listener, shared.clone(), options, end.clone()));
        Ok(Watch { address, shared, end })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A boot of a node begins: gives the token by which its kar is known.
    pub fn admit(&self, name: &str, work: &str) -> String {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let new = self.shared.board().admit(name, work, token.clone());
        self.shared.tell([new]);
        token
    }

    /// The oldest happening not yet fetched; none once the server has ended.
    pub fn next(&self) -> impl Future<Output = Option<Happening>> + Send + use<> {
        self.shared.events.next()
    }

    pub fn nodes(&self) -> Vec<Node> {
        self.shared.board().nodes()
    }

    pub fn stop(&self) {
        self.end.set();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, options: Options, end: Cancel) {
    let mut connections = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            _ = end.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let shared = shared.clone();
                    // A client that breaks the rules, or a network that breaks, ends its own connection only.
                    connections.spawn(async move { drop(attend(stream, &shared).await) });
                }
                // Out of descriptors: somebody will go.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = tick.tick() => {
                let silent = shared.board().silent(options.silent, options.boot);
                shared.tell(silent);
            }
        }
    }
    shared.events.close();
}

async fn answer(to: &mut (impl AsyncWrite + Unpin), word: &FromServer) -> Result<()> {
    let late = |_| Fault::new("watch.line", "the node takes no answer");
    tokio::time::timeout(PATIENCE, write_line(to, word)).await.map_err(late)?
}

async fn attend(stream: TcpStream, shared: &Shared) -> Result<()> {
    let _ = stream.set_nodelay(true);
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let late = |_| Fault::new("watch.line", "no word in time");
    tokio::time::timeout(PATIENCE, read_line(&mut from, &mut line)).await.map_err(late)??;
    let FromNode::Hello { version, token, run } = parse_from_node(&line)? else {
        return Err(Fault::new("watch.line", "the first line is no hello"));
    };
    if version != VERSION {
        let why = format!("the node's kar tells in form {version}, this server hears form {VERSION}");
        let name = shared.board().name_of(&token);
        shared.tell(name.map(|name| happening("warn", &name, &format!("nothing will be heard of it: {why}"))));
        return answer(&mut to, &FromServer::Refused { why }).await;
    }
    let known = shared.board().hello(&token, &run);
    let Some((name, number, back)) = known else {
        let why = "its token is of no boot of this server".into();
        return answer(&mut to, &FromServer::Refused { why }).await;
    };
    shared.tell(back);
    answer(&mut to, &FromServer::Have { number }).await?;
    loop {
        line.clear();
        let silent = |_| Fault::new("watch.line", format!("{name} says nothing"));
        if !tokio::time::timeout(QUIET, read_line(&mut from, &mut line)).await.map_err(silent)?? {
            return Ok(());
        }
        let said = parse_from_node(&line).inspect_err(|fault| {
            shared.tell([happening("warn", &name, &format!("its connection is closed: {}", fault.message))]);
        })?;
        match said {
            FromNode::Hello { .. } => return Err(Fault::new("watch.line", "a second hello")),
            FromNode::Alive { bytes } => {
                let Some(new) = shared.board().alive(&name, &run, bytes) else { return Ok(()) };
                shared.tell(new);
            }
            FromNode::Event(event) => {
                let Some((number, new)) = shared.board().event(&name, &run, event) else { return Ok(()) };
                shared.tell(new);
                answer(&mut to, &FromServer::Have { number }).await?;
            }
        }
    }
}
