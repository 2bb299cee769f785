//! The server: takes packets off the wire, asks the closure, lets the rules answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

use super::packet::{Kind, Packet};
use super::rules::{Event, Request, Rules};
use super::settings::{Changes, Settings};
use super::{Lease, socket};
use crate::host::{Cancel, Fault, Host, Level, Result};
use crate::kit::net::{self, Events, Mac};

/// A closure's word on one client.
pub enum Decided {
    /// What the settings say.
    Usual,
    Silence,
    Changes(Changes),
}

/// Called on a blocking thread while the client waits; has to bound its own time.
pub type Answer = Arc<dyn Fn(&Request) -> Result<Decided> + Send + Sync>;

/// Packets worked on at a time; beyond, the kernel's buffer queues, and then clients ask again.
const AT_ONCE: usize = 64;

/// UDP ports; 67 and 68 unless a rehearsal or a test says otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Where the server listens; 0 takes a free one.
    pub server: Option<u16>,
    /// Where clients listen; on the loopback, where many share an address, each where it asked from.
    pub client: Option<u16>,
}

/// A running server. It ends when stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    cancel: Cancel,
    ended: Mutex<std::sync::mpsc::Receiver<()>>,
    /// Option 54, the server's own address.
    pub address: Ipv4Addr,
    pub port: u16,
}

struct Shared {
    rules: Mutex<Rules>,
    answer: Option<Answer>,
    events: Events<Event>,
    client_port: Option<u16>,
}

impl Server {
    /// Starts to serve one interface.
    ///
    /// # Errors
    /// `net.missing`, `dhcp.address` (the interface has none), `dhcp.bind`, `dhcp.settings`, `dhcp.leases`.
    pub fn start(
        host: &Host,
        interface: &str,
        ports: Ports,
        settings: Settings,
        answer: Option<Answer>,
    ) -> Result<Server> {
        let interface = net::find(interface)?;
        let inside = interface.ipv4.iter().find(|(address, _)| settings.subnet.contains(*address));
        let (address, _) = *inside.or(interface.ipv4.first()).ok_or_else(|| {
            Fault::new("dhcp.address", format!("cannot serve DHCP on {}: it has no IPv4 address", interface.name)).hint(
                format!(
                    "give it one: ip addr add {}/{} dev {}",
                    settings.subnet.network, settings.subnet.prefix, interface.name
                ),
            )
        })?;
        let rules = Rules::new(settings, address)?;
        let _runtime = host.runtime().enter();
        let socket = socket::open(&interface, ports.server.unwrap_or(67), false)?;
        let port = socket.local_addr().map_err(|error| Fault::io("dhcp.bind", "ask for the port", error))?.port();
        let shared = Arc::new(Shared {
            rules: Mutex::new(rules),
            answer,
            events: journal(host),
            client_port: ports.client.or((!interface.loopback).then_some(68)),
        });
        let cancel = host.end().child();
        let (end, ended) = std::sync::mpsc::channel();
        tokio::spawn(serve(shared.clone(), Arc::new(socket), cancel.clone(), end));
        Ok(Server { shared, cancel, ended: Mutex::new(ended), address, port })
    }

    /// The oldest happening not yet fetched; `None` once the server has ended.
    pub fn events(&self) -> &Events<Event> {
        &self.shared.events
    }

    /// What is acknowledged and not over.
    pub fn leases(&self) -> Vec<Lease> {
        self.shared.rules().bound(now())
    }

    pub fn reserve(&self, mac: Mac, host: Changes) -> Result<()> {
        self.shared.rules().reserve(mac, host)
    }

    /// Ends the server; its port is free when this returns.
    pub fn stop(&self) {
        self.cancel.set();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // The sender is dropped by the end: an error is the good case.
        let _ = ended.recv_timeout(Duration::from_secs(5));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

impl Shared {
    /// A panic in the rules is a bug, but no reason to stop serving.
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything but the sending, on a blocking thread: the closure may take its time, the leases file its fsync.
    fn decide(&self, packet: &Packet) -> Option<Packet> {
        let question = self.answer.is_some().then(|| self.rules().question(packet, now())).flatten();
        let decided = match (&self.answer, question) {
            (Some(answer), Some(question)) => answer(&question).unwrap_or_else(|fault| {
                self.events.push(Event::failed(packet, &fault));
                Decided::Usual
            }),
            _ => Decided::Usual,
        };
        let changes = match decided {
            Decided::Silence => return None,
            Decided::Usual => Changes::default(),
            Decided::Changes(changes) => changes,
        };
        match self.rules().handle(packet, &changes, now()) {
            Ok(outcome) => {
                outcome.events.into_iter().for_each(|event| self.events.push(event));
                outcome.reply
            }
            Err(fault) => {
                self.events.push(Event::failed(packet, &fault));
                None
            }
        }
    }

    /// Where a reply goes (RFC 2131, 4.1). A client without an address hears broadcasts: unicast to it would need its
    /// hardware address in the kernel's table first.
    fn destination(&self, question: &Packet, reply: &Packet, from: SocketAddr) -> SocketAddr {
        let client = match self.client_port {
            Some(port) => port,
            None => return from,
        };
        if !question.giaddr.is_unspecified() {
            return SocketAddr::from((question.giaddr, 67));
        }
        let known = !question.ciaddr.is_unspecified() && reply.kind() != Some(Kind::Nak);
        SocketAddr::from((if known { question.ciaddr } else { Ipv4Addr::BROADCAST }, client))
    }
}

/// The socket is held here and by the answers under way, by nobody else: with them it closes.
async fn serve(shared: Arc<Shared>, socket: Arc<UdpSocket>, cancel: Cancel, end: std::sync::mpsc::Sender<()>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { break };
        let received = tokio::select! {
            _ = cancel.cancelled() => break,
            received = socket.recv_from(&mut buffer) => received,
        };
        // An error here is an ICMP message about some earlier reply, or the interface going down and up again.
        let Ok((length, from)) = received else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Ok(packet) = Packet::parse(&buffer[..length]) else { continue };
        if packet.op != 1 {
            continue;
        }
        let (shared, socket) = (shared.clone(), socket.clone());
        tokio::spawn(async move {
            let worker = shared.clone();
            let work = tokio::task::spawn_blocking(move || (worker.decide(&packet), packet));
            if let Ok((Some(reply), packet)) = work.await {
                let to = shared.destination(&packet, &reply, from);
                if let Ok(bytes) = reply.encode()
                    && let Err(error) = socket.send_to(&bytes, to).await
                {
                    let fault = Fault::io("dhcp.send", format_args!("answer {to}"), error);
                    shared.events.push(Event::failed(&packet, &fault));
                }
            }
            drop(socket);
            drop(place);
        });
    }
    // Those still at work hold the socket: wait for them, so that the port is free afterwards.
    let _ = tokio::time::timeout(Duration::from_secs(4), room.acquire_many(AT_ONCE as u32)).await;
    shared.events.close();
    drop(socket);
    drop(end);
}

/// Everything but questions stands in the journal; what failed is told to the person as well.
fn journal(host: &Host) -> Events<Event> {
    let host = host.clone();
    Events::watched(move |event: &Event| {
        let object = format!("{} {}", event.mac, event.ip);
        match event.event {
            "discovered" | "offered" | "informed" => {}
            "acknowledged" => host.note("dhcp.lease", object.trim_end(), None),
            "released" => host.note("dhcp.release", object.trim_end(), None),
            other => {
                let fault = Fault::new(format!("dhcp.{other}"), event.message.clone());
                host.note("dhcp.lease", object.trim_end(), Some(&fault));
                if matches!(other, "failed" | "exhausted") {
                    host.log(Level::Warn, &format!("DHCP, {}: {}", object.trim_end(), event.message));
                }
            }
        }
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
