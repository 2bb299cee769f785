//! The server: opens its sockets, runs its threads, ends them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::batch::{Batch, MANY};
use super::counters::{Counters, count};
use super::disk::Disk;
use super::echo::Echo;
use super::engine::{Engine, Shared, now};
use super::hosts::Key;
use super::learned::Learned;
use super::leases::Lease;
use super::limit::{Limit, Verdict};
use super::outbox::Outbox;
use super::packet::Packet;
use super::port::Port;
use super::probe::Probes;
use super::queue::{Heard, Queue};
use super::request::{Event, Request};
use super::rules::{Rules, Wire};
use super::settings::{Changes, Mode, Settings};
use super::store::Store;
use super::{foreign, journal, limit};
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
pub type Answer = Arc<dyn Fn(&Request<'_>) -> Result<Decided> + Send + Sync>;

/// Stack of the threads that call closures, bytes: what the script engine's limit on calls within calls can use. Only
/// what is used takes memory.
const STACK: usize = 64 << 20;

/// While clients keep coming, those of this time are answered together: to be woken for each would cost more than the answer.
const GATHER: Duration = Duration::from_millis(1);

/// For the last replies, once their leases are on disk.
const LAST: Duration = Duration::from_secs(2);

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
    /// Packets that one client may send in a second, for long; zero: as many as it likes; none: [`limit::USUAL`].
    pub limit: Option<u32>,
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
        let Setup { interfaces, ports, settings, answer, probe, look, limit: rate } = setup;
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
            // Without the right to it addresses behind relays are not asked for.
            echo: if probe.is_zero() || proxy { None } else { Echo::open().ok() },
            busy: Mutex::default(),
            disk: store.is_some().then(Disk::default),
            outbox: Outbox::default(),
            learned,
            wake: wake.clone(),
            asleep: AtomicBool::new(false),
            news: AtomicBool::new(false),
            written: AtomicBool::new(store.is_none()),
        });
        let cancel = host.end().child();
        let threads = start(&engine, woken, store, Limit::new(rate.unwrap_or(limit::USUAL)), cancel.clone())?;
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

fn start(
    engine: &Arc<Engine>,
    woken: UnixStream,
    store: Option<Store>,
    limit: Limit,
    cancel: Cancel,
) -> Result<Vec<JoinHandle<()>>> {
    let thread = |name: &str, stack: usize, body: Box<dyn FnOnce(Arc<Engine>) + Send>| {
        let engine = engine.clone();
        std::thread::Builder::new()
            .name(name.into())
            .stack_size(stack)
            .spawn(move || body(engine))
            .map_err(|error| Fault::io("dhcp.bind", "start a thread", error))
    };
    let mut threads = vec![thread("dhcp", 2 << 20, Box::new(move |engine| listen(&engine, woken, limit, &cancel)))?];
    if let Some(store) = store {
        threads.push(thread("dhcp-disk", 2 << 20, Box::new(|engine| engine.write_all(store)))?);
    }
    if engine.answer.is_some() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..cores.clamp(2, 8) {
            threads.push(thread("dhcp-answer", STACK, Box::new(|engine| engine.answer_all()))?);
        }
    }
    Ok(threads)
}

/// Takes packets off the wires and sends replies, until the server ends.
fn listen(engine: &Engine, mut woken: UnixStream, mut limit: Limit, cancel: &Cancel) {
    let (mut batch, mut wait, mut busy) = (Batch::default(), None, false);
    let mut last = Instant::now();
    while !cancel.is_set() {
        if busy {
            std::thread::sleep(GATHER);
        } else {
            // At least once a second: leases end by themselves, and so does the run.
            sleep(engine, &woken, wait.unwrap_or(Duration::from_secs(1)));
        }
        while woken.read(&mut [0; 64]).is_ok_and(|count| count == 64) {}
        let (mut heard, mut full) = (Vec::new(), false);
        for (number, port) in engine.ports.iter().enumerate() {
            for second in [false, true] {
                let Some(socket) = (if second { port.second.as_ref() } else { Some(&port.socket) }) else { continue };
                let each = |bytes: &[u8], from| heard.extend(hear(engine, &mut limit, bytes, from, number, second));
                // An error here is an ICMP message about some earlier reply, or the interface going down and up again.
                full |= batch.receive(socket, each).is_ok_and(|count| count == MANY);
            }
            let mut buffer = [0; 128];
            while let Some(count) = port.arp.as_ref().and_then(|arp| arp.receive(&mut buffer).ok()) {
                engine.heard(&buffer[..count]);
            }
        }
        while let Some(ip) = engine.echo.as_ref().and_then(Echo::heard) {
            engine.is_taken(ip, None);
        }
        // Two rounds shortly one after the other: more will come.
        let now = Instant::now();
        busy = !heard.is_empty() && !full && now.duration_since(last) < 2 * GATHER;
        if !heard.is_empty() {
            last = now;
        }
        engine.take(heard);
        wait = engine.settle();
        if engine.queue.prod() {
            wait = Some(wait.map_or(GATHER, |wait| wait.min(GATHER)));
        }
        let over = engine.rules().sweep(self::now());
        engine.tell(over);
    }
    engine.queue.close();
    if let Some(disk) = &engine.disk {
        disk.end();
    }
    // The last replies go as soon as their leases are on disk; a wire that takes none holds up nobody.
    let mut end = Instant::now() + LAST;
    loop {
        engine.settle();
        let now = Instant::now();
        match engine.written.load(Ordering::SeqCst) {
            true if engine.outbox.is_empty() || now > end => break,
            true => {}
            false => end = now + LAST,
        }
        std::thread::sleep(GATHER);
    }
    engine.events.close();
}

/// Until a packet comes, the time is over or another thread has something to send.
fn sleep(engine: &Engine, woken: &UnixStream, time: Duration) {
    let flag = PollFlags::POLLIN;
    let mut fds = vec![PollFd::new(woken.as_fd(), flag)];
    for port in &engine.ports {
        fds.push(PollFd::new(port.socket.as_fd(), flag));
        fds.extend(port.second.as_ref().map(|socket| PollFd::new(socket.as_fd(), flag)));
        fds.extend(port.arp.as_ref().map(|arp| PollFd::new(arp.as_fd(), flag)));
    }
    fds.extend(engine.echo.as_ref().map(|echo| PollFd::new(echo.as_fd(), flag)));
    engine.asleep.store(true, Ordering::SeqCst);
    // What came before that was seen wakes nobody.
    let time = if engine.news.load(Ordering::SeqCst) { Duration::ZERO } else { time.min(Duration::from_secs(1)) };
    let time = PollTimeout::try_from(time.as_micros().div_ceil(1000) as i32).unwrap_or(PollTimeout::ZERO);
    let _ = poll(&mut fds, time);
    engine.asleep.store(false, Ordering::SeqCst);
}

/// A packet worth an answer.
fn hear(
    engine: &Engine,
    limit: &mut Limit,
    bytes: &[u8],
    from: SocketAddrV4,
    port: usize,
    second: bool,
) -> Option<Heard> {
    // A header and the opcode of clients, before any more work goes into it.
    let client = bytes.get(28..44).and_then(<[u8]>::first_chunk).filter(|_| bytes.len() >= 240 && bytes[0] == 1);
    let Some(client) = client else {
        count(&engine.counters.malformed);
        return None;
    };
    count(&engine.counters.received);
    let at = Instant::now();
    match limit.look(*client, at) {
        Verdict::Pass => return Some(Heard { bytes: bytes.to_vec(), port, from, second, at, tries: 0 }),
        Verdict::Drop => {}
        Verdict::First => {
            if let Ok(packet) = Packet::parse(bytes) {
                engine.tell(vec![Event::of("limited", &packet, None, "asks too often")]);
            }
        }
    }
    count(&engine.counters.limited);
    None
}
