//! The server: opens its sockets, runs its threads, ends them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::batch::Batch;
use super::counters::{Counters, count};
use super::disk::Disk;
use super::engine::{Engine, Job, Shared, now};
use super::hosts::Key;
use super::learned::Learned;
use super::leases::Lease;
use super::limit::{Limit, Verdict};
use super::packet::Packet;
use super::port::Port;
use super::probe::Probes;
use super::queue::Queue;
use super::request::{Event, Request};
use super::rules::{Rules, Wire};
use super::settings::{Changes, Mode, Settings};
use super::store::Store;
use super::{foreign, journal};
use crate::host::{Cancel, Fault, Host, Result};
use crate::kit::net::{self, Events, Interface};

/// A closure's word on one client.
pub enum Decided {
    /// What the settings say.
    Usual,
    Silence,
    Changes(Changes),
}

/// Called on a thread of its own kind while the client waits; has to bound its own time.
pub type Answer = Arc<dyn Fn(&Request) -> Result<Decided> + Send + Sync>;

/// Stack of the threads that call closures, bytes: what the script engine's limit on calls within calls can use. Only
/// what is used takes memory.
const STACK: usize = 64 << 20;

/// UDP ports; 67 and 68 unless a rehearsal or a test says otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Where the server listens; 0 takes a free one.
    pub server: Option<u16>,
    /// Where clients listen; on the loopback, where many share an address, each where it asked from.
    pub client: Option<u16>,
}

/// All that a server is started with.
#[derive(Clone, Default)]
pub struct Setup {
    pub interfaces: Vec<String>,
    pub ports: Ports,
    pub settings: Settings,
    pub answer: Option<Answer>,
    /// How long the wire is asked about an address before it is offered for the first time; zero: not at all.
    pub probe: Duration,
    /// How long another server is looked for before this one starts; zero: not at all.
    pub look: Duration,
}

/// A running server. It ends when stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    wake: Arc<dyn Fn() + Send + Sync>,
    cancel: Cancel,
    /// They alone hold the sockets.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Option 54, the server's own address on its first interface.
    pub address: Ipv4Addr,
    pub port: u16,
    /// A proxy's second port.
    pub second: Option<u16>,
}

impl Server {
    /// Starts to serve.
    ///
    /// # Errors
    /// `net.missing`; `dhcp.address`: an interface has none; `dhcp.foreign`: another server answers; `dhcp.bind`,
    /// `dhcp.settings`, `dhcp.leases`, `dhcp.hosts`.
    pub fn start(host: &Host, setup: Setup) -> Result<Server> {
        let Setup { interfaces, ports, settings, answer, probe, look } = setup;
        let interfaces = interfaces.iter().map(|name| net::find(name)).collect::<Result<Vec<_>>>()?;
        let wires = interfaces.iter().map(|interface| wire(interface, &settings)).collect::<Result<Vec<_>>>()?;
        let proxy = settings.mode == Mode::Proxy;
        let (leases, learned) = (settings.leases.clone(), settings.mode.clone());
        let mut rules = Rules::new(settings, wires.clone())?;
        let open = |(interface, wire): (Interface, &Wire)| {
            Port::open(interface, wire.address, ports, proxy, !probe.is_zero() && !proxy)
        };
        let ports = interfaces.into_iter().zip(&wires).map(open).collect::<Result<Vec<_>>>()?;
        let first = ports.first().ok_or_else(|| Fault::new("dhcp.option", "a DHCP server needs an interface"))?;
        if !proxy && !look.is_zero() {
            foreign::refuse(host, ports.iter().filter(|port| port.number() == 67), look)?;
        }
        let learned = match &learned {
            Mode::Discover(path) => Some(Learned::open(path)?),
            _ => None,
        };
        let store = leases.filter(|_| !proxy).map(|path| Store::open(&path)).transpose()?;
        let store = store.map(|(store, leases)| {
            rules.restore(leases, now());
            store
        });
        let (address, port) = (first.address, first.number());
        let second = first.second.as_ref().and_then(|socket| Some(socket.local_addr().ok()?.port()));
        let (wake, woken) =
            UnixStream::pair().map_err(|error| Fault::io("dhcp.bind", "make a pair of sockets", error))?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(|error| Fault::io("dhcp.bind", "set up a socket", error))?;
        }
        let shared =
            Arc::new(Shared { rules: Mutex::new(rules), events: journal::events(host), counters: Counters::default() });
        // A full pipe wakes as well.
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || drop((&wake).write(&[0])));
        let engine = Arc::new(Engine {
            shared: shared.clone(),
            ports,
            answer,
            queue: Queue::default(),
            probes: Mutex::new(Probes::new(probe)),
            busy: Mutex::default(),
            disk: store.is_some().then(Disk::default),
            learned,
            wake: wake.clone(),
        });
        let cancel = host.end().child();
        let threads = start(&engine, woken, store, cancel.clone())?;
        Ok(Server { shared, wake, cancel, threads: Mutex::new(threads), address, port, second })
    }

    /// The oldest happening not yet fetched; `None` once the server has ended.
    pub fn events(&self) -> &Events<Event> {
        &self.shared.events
    }

    /// What is acknowledged and not over.
    pub fn leases(&self) -> Vec<Lease> {
        self.shared.rules().bound(now())
    }

    /// What it has done so far.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.shared.counters.all()
    }

    pub fn reserve(&self, key: Key, given: Changes) -> Result<()> {
        self.shared.rules().reserve(key, given)
    }

    /// Ends the server; its port is free and its leases are on disk when this returns.
    pub fn stop(&self) {
        self.cancel.set();
        (self.wake)();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A panic in there is a bug that was told when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.set();
        (self.wake)();
    }
}

/// The server's address on an interface: one inside a network of its own, else the first.
fn wire(interface: &Interface, settings: &Settings) -> Result<Wire> {
    let addresses: Vec<Ipv4Addr> = interface.ipv4.iter().map(|(address, _)| *address).collect();
    let networks = || settings.networks.iter().map(|network| network.subnet);
    let inside = addresses.iter().find(|address| networks().any(|subnet| subnet.contains(**address)));
    let address = inside.or(addresses.first()).copied().ok_or_else(|| {
        let fault =
            Fault::new("dhcp.address", format!("cannot serve DHCP on {}: it has no IPv4 address", interface.name));
        match networks().next() {
            Some(subnet) => fault.hint(format!("give it one: ip addr add {subnet} dev {}", interface.name)),
            None => fault,
        }
    })?;
    Ok(Wire { name: interface.name.clone(), address, addresses })
}

fn start(engine: &Arc<Engine>, woken: UnixStream, store: Option<Store>, cancel: Cancel) -> Result<Vec<JoinHandle<()>>> {
    let thread = |name: &str, stack: usize, body: Box<dyn FnOnce(Arc<Engine>) + Send>| {
        let engine = engine.clone();
        std::thread::Builder::new()
            .name(name.into())
            .stack_size(stack)
            .spawn(move || body(engine))
            .map_err(|error| Fault::io("dhcp.bind", "start a thread", error))
    };
    let mut threads = vec![thread("dhcp", 2 << 20, Box::new(move |engine| listen(&engine, woken, &cancel)))?];
    if let Some(store) = store {
        let run = |engine: Arc<Engine>| {
            if let Some(disk) = &engine.disk {
                disk.run(store, &*engine);
            }
        };
        threads.push(thread("dhcp-disk", 2 << 20, Box::new(run))?);
    }
    if engine.answer.is_some() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..cores.clamp(2, 8) {
            threads.push(thread("dhcp-answer", STACK, Box::new(|engine| engine.answer_all()))?);
        }
    }
    Ok(threads)
}

/// Takes packets off the wires until the server ends.
fn listen(engine: &Engine, mut woken: UnixStream, cancel: &Cancel) {
    let (mut batch, mut limit, mut wait) = (Batch::default(), Limit::default(), None);
    while !cancel.is_set() {
        {
            let flag = PollFlags::POLLIN;
            let mut fds = vec![PollFd::new(woken.as_fd(), flag)];
            for port in &engine.ports {
                fds.push(PollFd::new(port.socket.as_fd(), flag));
                fds.extend(port.second.as_ref().map(|socket| PollFd::new(socket.as_fd(), flag)));
                fds.extend(port.arp.as_ref().map(|arp| PollFd::new(arp.as_fd(), flag)));
            }
            // At least once a second: leases end by themselves, and so does the run.
            let wait: Duration = wait.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(1));
            let wait = PollTimeout::try_from(wait.as_micros().div_ceil(1000) as i32).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut fds, wait);
        }
        while woken.read(&mut [0; 64]).is_ok_and(|count| count == 64) {}
        // In pieces: offers whose time has come wait for a flood no longer than for one of them.
        for (number, port) in engine.ports.iter().enumerate() {
            for second in [false, true] {
                let socket = if second { port.second.as_ref() } else { Some(&port.socket) };
                let Some(socket) = socket else { continue };
                let heard = |bytes: &[u8], from| hear(engine, &mut limit, bytes, from, number, second);
                // An error here is an ICMP message about some earlier reply, or the interface going down and up again.
                let _ = batch.receive(socket, heard);
            }
            let mut buffer = [0; 128];
            while let Some(count) = port.arp.as_ref().and_then(|arp| arp.receive(&mut buffer).ok()) {
                engine.heard(&buffer[..count]);
            }
        }
        wait = engine.settle();
        let over = engine.rules().sweep(now());
        engine.tell(over);
    }
    engine.queue.close();
    if let Some(disk) = &engine.disk {
        disk.end();
    }
    engine.events.close();
}

fn hear(engine: &Engine, limit: &mut Limit, bytes: &[u8], from: SocketAddrV4, port: usize, second: bool) {
    // A header and the opcode of clients, before any more work goes into it.
    let Some(client) = bytes.get(28..44).filter(|_| bytes.len() >= 240 && bytes[0] == 1) else {
        return count(&engine.counters.malformed);
    };
    count(&engine.counters.received);
    let heard = Instant::now();
    let verdict = limit.look(client, heard);
    if verdict == Verdict::Drop {
        return count(&engine.counters.limited);
    }
    let Ok(packet) = Packet::parse(bytes) else { return count(&engine.counters.malformed) };
    if verdict == Verdict::First {
        count(&engine.counters.limited);
        return engine.tell(vec![Event::of("limited", &packet, None, "asks too often")]);
    }
    engine.take(Job { packet, port, from, second, heard, tries: 0 });
}
