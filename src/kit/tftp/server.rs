//! The server: listens, and gives each request a thread.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::listen::{Knock, Listener};
use super::table::Table;
use super::transfer::{Shared, transfer};
use crate::host::{Cancel, Fault, Host, Result};
use crate::kit::net::Events;
use crate::kit::served::{Event, Reads, Root, Rules, Writes, journal};

pub struct Settings {
    pub bind: Vec<SocketAddr>,
    /// The folder read from.
    pub root: Option<PathBuf>,
    pub read: Option<Reads>,
    /// Decides on writes; without it they go into `inbox`, and without that nowhere.
    pub write: Option<Writes>,
    pub inbox: Option<PathBuf>,
    /// Largest block, bytes.
    pub block: u16,
    /// Largest file taken from a client, bytes.
    pub limit: u64,
    /// Largest file sent to a client, bytes.
    pub longest: u64,
    /// Transfers at once; one address may have half of them.
    pub transfers: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            bind: Vec::new(),
            root: None,
            read: None,
            write: None,
            inbox: None,
            block: 65464,
            limit: 64 << 20,
            longest: u64::MAX,
            transfers: 400,
        }
    }
}

/// Of a transfer's thread, bytes; what it does not use is not there.
const STACK: usize = 256 << 10;

/// A running server. It ends when stopped or dropped; transfers under way end with it.
pub struct Server {
    cancel: Cancel,
    table: Arc<Table>,
    events: Events<Event>,
    /// What it listens on, in the order asked for.
    pub addresses: Vec<SocketAddr>,
    /// Closed when all listeners are gone.
    ended: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Server {
    /// # Errors
    /// `tftp.root`: a folder is missing; `tftp.bind`: an address is not ours, or in use, or may not be used.
    pub fn start(host: &Host, settings: Settings) -> Result<Server> {
        let Settings { bind, root, read, write, inbox, block, limit, longest, transfers } = settings;
        let open = |path: Option<PathBuf>| path.map(|path| Root::open("tftp", &path)).transpose();
        let rules = Rules { root: open(root)?, read, write, inbox: open(inbox)?, limit };
        let runtime = host.runtime().clone();
        let listeners: Vec<Listener> = {
            let _inside = runtime.enter();
            bind.into_iter().map(listen).collect::<Result<_>>()?
        };
        let addresses: Vec<SocketAddr> = listeners.iter().map(|one| one.address).collect();
        let events = journal(host, "tftp");
        let shared = Arc::new(Shared { rules, events: events.clone(), block, longest, runtime: runtime.clone() });
        let (cancel, table) = (host.end().child(), Table::new(transfers));
        let (alive, ended) = std::sync::mpsc::channel();
        for listener in listeners {
            let (shared, table, cancel, alive) = (shared.clone(), table.clone(), cancel.clone(), alive.clone());
            runtime.spawn(async move {
                tokio::select! {
                    _ = cancel.cancelled() => {}
                    _ = accept(&listener, &shared, &table, &cancel) => {}
                }
                table.end();
                drop(listener);
                shared.events.close();
                drop(alive);
            });
        }
        Ok(Server { cancel, table, events, addresses, ended: Mutex::new(ended) })
    }

    pub fn events(&self) -> &Events<Event> {
        &self.events
    }

    /// Ends the server; its ports are free when this returns.
    pub fn stop(&self) {
        self.cancel.set();
        self.table.end();
        if let Ok(ended) = self.ended.lock() {
            let _ = ended.recv_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.set();
        self.table.end();
    }
}

fn listen(bind: SocketAddr) -> Result<Listener> {
    Listener::bind(bind).map_err(|error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let fault = Fault::io("tftp.bind", format_args!("listen on {bind} for TFTP"), error);
        if in_use { fault.hint("another TFTP server runs on this machine: `ss -ulpn` shows it") } else { fault }
    })
}

async fn accept(listener: &Listener, shared: &Arc<Shared>, table: &Arc<Table>, cancel: &Cancel) {
    loop {
        let Ok(knock) = listener.next().await else {
            // One bad moment of the socket is no reason to end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        begin(knock, shared, table, cancel);
    }
}

fn begin(knock: Knock, shared: &Arc<Shared>, table: &Arc<Table>, cancel: &Cancel) {
    // Requests only: whatever else comes here belongs to nobody.
    if !matches!(knock.bytes.get(..2), Some([0, 1 | 2])) {
        return;
    }
    let Some(place) = table.admit(knock.peer, &knock.bytes, cancel) else { return };
    let shared = shared.clone();
    let thread = std::thread::Builder::new().name("tftp".into()).stack_size(STACK);
    // Where there is no thread to be had the place is free again, and the client asks once more.
    let _ = thread.spawn(move || transfer(&shared, &knock, &place));
}
