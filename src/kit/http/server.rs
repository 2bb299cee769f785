//! The server: listens, keeps clients within bounds, and hands each request on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::connection::Moving;
use super::respond::respond;
use super::tls::Identity;
use crate::host::{Cancel, Fault, Host, Result};
use crate::kit::net::Events;
use crate::kit::served::{Event, Reads, Root, Rules, Writes, journal};

pub struct Settings {
    pub bind: Vec<SocketAddr>,
    /// The folder read from.
    pub root: Option<PathBuf>,
    pub read: Option<Reads>,
    /// Decides on uploads; without it they go into `inbox`, and without that nowhere.
    pub write: Option<Writes>,
    pub inbox: Option<PathBuf>,
    /// Largest file taken from a client, bytes.
    pub limit: u64,
    /// Clients at once; one address may have half of them.
    pub connections: usize,
    pub tls: Option<Identity>,
    /// How long a request's head may take, a silence between two requests, a TLS handshake.
    pub head: Duration,
    /// How long nothing may move in the middle of a body.
    pub stall: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            bind: Vec::new(),
            root: None,
            read: None,
            write: None,
            inbox: None,
            limit: 64 << 20,
            connections: 400,
            tls: None,
            head: Duration::from_secs(15),
            stall: Duration::from_secs(30),
        }
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub rules: Rules,
    pub events: Events<Event>,
    pub stall: Duration,
    head: Duration,
    connections: usize,
    tls: Option<Identity>,
    /// Connections by address.
    busy: Mutex<HashMap<IpAddr, usize>>,
}

/// A running server. It ends when stopped or dropped; transfers under way end with it.
pub struct Server {
    cancel: Cancel,
    events: Events<Event>,
    /// What it listens on, in the order asked for.
    pub addresses: Vec<SocketAddr>,
    /// Closed when all listeners are gone.
    ended: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Server {
    /// # Errors
    /// `http.root`: a folder is missing; `http.bind`: an address is not ours, or in use, or may not be used.
    pub fn start(host: &Host, settings: Settings) -> Result<Server> {
        let Settings { bind, root, read, write, inbox, limit, connections, tls, head, stall } = settings;
        let open = |path: Option<PathBuf>| path.map(|path| Root::open("http", &path)).transpose();
        let rules = Rules { root: open(root)?, read, write, inbox: open(inbox)?, limit };
        let listeners: Vec<StdListener> = bind.into_iter().map(listen).collect::<Result<_>>()?;
        let addresses: Vec<SocketAddr> = listeners.iter().filter_map(|one| one.local_addr().ok()).collect();
        let events = journal(host, "http");
        let busy = Mutex::default();
        let shared = Arc::new(Shared { rules, events: events.clone(), stall, head, connections, tls, busy });
        let cancel = host.end().child();
        let (alive, ended) = std::sync::mpsc::channel();
        for listener in listeners {
            let (shared, cancel, alive) = (shared.clone(), cancel.clone(), alive.clone());
            host.runtime().spawn(async move {
                tokio::select! {
                    _ = cancel.cancelled() => {}
                    _ = accept(listener, shared.clone(), cancel.clone()) => {}
                }
                shared.events.close();
                drop(alive);
            });
        }
        Ok(Server { cancel, events, addresses, ended: Mutex::new(ended) })
    }

    pub fn events(&self) -> &Events<Event> {
        &self.events
    }

    /// Ends the server; its ports are free when this returns.
    pub fn stop(&self) {
        self.cancel.set();
        if let Ok(ended) = self.ended.lock() {
            let _ = ended.recv_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

fn listen(bind: SocketAddr) -> Result<StdListener> {
    let fail = |error: std::io::Error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let fault = Fault::io("http.bind", format_args!("listen on {bind} for HTTP"), error);
        if in_use { fault.hint("another server runs on this port: `ss -tlpn` shows it") } else { fault }
    };
    let listener = StdListener::bind(bind).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    Ok(listener)
}

async fn accept(listener: StdListener, shared: Arc<Shared>, cancel: Cancel) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, or a client that was gone at once: no reason to end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(seat) = Seat::take(&shared, peer.ip()) else {
            let _ =
                stream.try_write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            continue;
        };
        let cancel = cancel.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = cancel.cancelled() => {}
                _ = serve(stream, peer, &seat.0) => {}
            }
        });
    }
}

/// One connection's place among the allowed ones.
struct Seat(Arc<Shared>, IpAddr);

impl Seat {
    fn take(shared: &Arc<Shared>, address: IpAddr) -> Option<Seat> {
        let mut busy = shared.busy.lock().ok()?;
        let own = busy.get(&address).copied().unwrap_or(0);
        if busy.values().sum::<usize>() >= shared.connections || own >= shared.connections.div_ceil(2) {
            return None;
        }
        busy.insert(address, own + 1);
        Some(Seat(shared.clone(), address))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Ok(mut busy) = self.0.busy.lock() else { return };
        let left = busy.get(&self.1).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            busy.remove(&self.1);
        } else {
            busy.insert(self.1, left);
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let stream = Moving::new(stream, shared.stall);
    match &shared.tls {
        None => requests(stream, peer, shared).await,
        Some(identity) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(shared.head, identity.acceptor().accept(stream)).await {
                requests(stream, peer, shared).await;
            }
        }
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(respond(request, peer, shared).await) });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(shared.head).max_headers(64);
    // A client that breaks off, or writes nonsense: its connection ends, and hyper has told it why where it could.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
