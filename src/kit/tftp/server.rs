//! The server: async-tftp on a thread of its own (twice as cheap there as under tokio).

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use async_tftp::server::TftpServerBuilder;

use super::handler::{Event, Files, Reads, Writes};
use super::root::Root;
use crate::host::{Cancel, Fault, Host, Level, Result};
use crate::kit::net::Events;

pub struct Settings {
    pub bind: SocketAddr,
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
}

/// Blocks sent without waiting, at most: what is buffered for one client is this times its block size.
const WINDOW: u16 = 64;
/// Before a packet is sent again, unless the client says otherwise (RFC 2349).
const TIMEOUT: Duration = Duration::from_secs(1);
/// A boot ROM that asks for the size and then anew is answered only when its first question has run out (async-tftp
/// ignores its ERROR): few and short tries keep that wait short.
const RETRIES: u32 = 5;

/// A running server. It ends when stopped or dropped; transfers under way end with it.
pub struct Server {
    cancel: Cancel,
    thread: Mutex<Option<JoinHandle<()>>>,
    events: Events<Event>,
    pub address: SocketAddr,
}

impl Server {
    /// # Errors
    /// `tftp.root`: a folder is missing; `tftp.bind`: the address is not ours, or in use, or may not be used.
    pub fn start(host: &Host, settings: Settings) -> Result<Server> {
        let Settings { bind, root, read, write, inbox, block, limit } = settings;
        let events = journal(host);
        let open = |path: Option<PathBuf>| path.map(|path| Root::open(&path)).transpose();
        let (root, inbox) = (open(root)?, open(inbox)?);
        let runtime = host.runtime().clone();
        let files = Files { root, read, write, inbox, limit, events: events.clone(), runtime, overran: None };
        let fail = |error: std::io::Error| Fault::io("tftp.bind", format_args!("listen on {bind} for TFTP"), error);
        let socket = UdpSocket::bind(bind).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                fail(error).hint("another TFTP server runs on this machine: `ss -ulpn` shows it")
            }
            _ => fail(error),
        })?;
        let address = socket.local_addr().map_err(fail)?;
        let cancel = host.end().child();
        let (stop, ended) = (cancel.clone(), events.clone());
        let serve = move || {
            async_io::block_on(futures_lite::future::or(stop.cancelled(), serve(socket, files, block)));
            ended.close();
        };
        let thread = std::thread::Builder::new().name("tftp".into()).spawn(serve).map_err(fail)?;
        Ok(Server { cancel, thread: Mutex::new(Some(thread)), events, address })
    }

    pub fn events(&self) -> &Events<Event> {
        &self.events
    }

    /// Ends the server; its port is free when this returns.
    pub fn stop(&self) {
        self.cancel.set();
        if let Some(thread) = self.thread.lock().ok().and_then(|mut thread| thread.take()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

/// Every transfer's end stands in the journal; a closure that failed is told to the person as well.
fn journal(host: &Host) -> Events<Event> {
    let host = host.clone();
    Events::watched(move |event: &Event| {
        let object = format!("{} {}", event.path, event.client);
        let verb = match (event.kind, event.event) {
            (_, "started") => return,
            ("read", "finished") => return host.note("tftp.read", &object, None),
            ("write", "finished") => return host.note("tftp.write", &object, None),
            ("read", _) => "tftp.read",
            _ => "tftp.write",
        };
        let fault = Fault::new(format!("tftp.{}", event.event), event.message.clone());
        host.note(verb, &object, Some(&fault));
        if event.event == "failed" {
            host.log(Level::Warn, &format!("TFTP, {object}: {}", event.message));
        }
    })
}

/// An error on the listening socket ends async-tftp's server; one bad moment is no reason to end ours.
async fn serve(socket: UdpSocket, files: Files, block: u16) {
    loop {
        let Ok(socket) = socket.try_clone() else { return };
        let builder = TftpServerBuilder::with_handler(files.clone())
            .std_socket(socket)
            .map(|builder| builder.block_size_limit(block).window_size_limit(WINDOW));
        if let Ok(builder) = builder
            && let Ok(server) = builder.timeout(TIMEOUT).max_send_retries(RETRIES).build().await
        {
            let _ = server.serve().await;
        }
        async_io::Timer::after(Duration::from_millis(50)).await;
    }
}
