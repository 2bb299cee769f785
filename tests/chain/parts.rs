//! Sources and sinks that can be held, broken and looked into, and the nodes and servers of a test.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kar::host::{Cancel, Fault, Result};
use kar::kit::chain::{NodeReport, Offer, OfferOptions, ReceiveOptions, Target, receive};
use kar::kit::stream::{Delivered, Sink, Source};
use tokio::task::JoinHandle;

/// As long as anything may take on a busy machine; no test waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const TOKEN: &str = "open sesame";

/// Bytes that tell where they are.
pub fn pattern(at: u64) -> u8 {
    (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

pub fn bytes(length: u64) -> Vec<u8> {
    (0..length).map(pattern).collect()
}

/// A door that a source or sink waits at.
#[derive(Clone, Default)]
pub struct Door(Arc<AtomicBool>);

impl Door {
    pub fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn pass(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.0.load(Ordering::SeqCst) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// `length` bytes of the pattern; waits at a door or fails at an offset.
pub struct Pattern {
    length: u64,
    sized: bool,
    at: u64,
    hold: Option<(u64, Door)>,
    fail: Option<u64>,
}

impl Pattern {
    pub fn of(length: u64) -> Box<Pattern> {
        Box::new(Pattern { length, sized: true, at: 0, hold: None, fail: None })
    }

    pub fn held(length: u64, at: u64, door: &Door) -> Box<Pattern> {
        Box::new(Pattern { length, sized: true, at: 0, hold: Some((at, door.clone())), fail: None })
    }

    /// The same, of which nobody knows how long it will be.
    pub fn without_size(self) -> Box<Pattern> {
        Box::new(Pattern { sized: false, ..self })
    }

    pub fn failing(length: u64, at: u64) -> Box<Pattern> {
        Box::new(Pattern { length, sized: true, at: 0, hold: None, fail: Some(at) })
    }
}

impl Source for Pattern {
    fn describe(&self) -> String {
        "a pattern".into()
    }

    fn size(&self) -> Option<u64> {
        self.sized.then_some(self.length)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut end = self.length;
        if let Some(at) = self.fail {
            end = at;
            if self.at == at {
                return Err(Fault::new("test.unreadable", "Input/output error (os error 5)").hint("look at dmesg"));
            }
        }
        if let Some((at, door)) = &self.hold {
            if self.at == *at {
                door.pass();
            } else if self.at < *at {
                end = *at;
            }
        }
        let length = (buffer.len() as u64).min(end - self.at);
        for (byte, at) in buffer.iter_mut().zip(self.at..self.at + length) {
            *byte = pattern(at);
        }
        self.at += length;
        Ok(length as usize)
    }
}

/// What became of a sink.
#[derive(Clone, Default)]
pub struct Kept {
    pub data: Arc<Mutex<Vec<u8>>>,
    /// 0 open, 1 finished, 2 aborted, 3 both (never).
    end: Arc<AtomicU8>,
    pub why: Arc<Mutex<String>>,
}

impl Kept {
    pub fn finished(&self) -> bool {
        self.end.load(Ordering::SeqCst) == 1
    }

    pub fn aborted(&self) -> bool {
        self.end.load(Ordering::SeqCst) == 2
    }

    /// Whether it holds the whole pattern and was ended well.
    pub fn whole(&self, length: u64) -> bool {
        let data = self.data.lock().unwrap();
        self.finished() && data.len() as u64 == length && data.iter().zip(0..).all(|(byte, at)| *byte == pattern(at))
    }

    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(Keep(self.clone(), None))
    }

    /// A sink on a device with room for so many bytes.
    pub fn small(&self, room: usize) -> Box<dyn Sink> {
        Box::new(Keep(self.clone(), Some(room)))
    }
}

struct Keep(Kept, Option<usize>);

impl Sink for Keep {
    fn describe(&self) -> String {
        "a kept sink".into()
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let mut kept = self.0.data.lock().unwrap();
        if self.1.is_some_and(|room| kept.len() + data.len() > room) {
            return Err(Fault::new("test.full", "No space left on device (os error 28)"));
        }
        kept.extend_from_slice(data);
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered> {
        self.0.end.fetch_add(1, Ordering::SeqCst);
        let bytes = self.0.data.lock().unwrap().len() as u64;
        Ok(Delivered { bytes, entries: 7, warnings: vec!["a socket was skipped".into()] })
    }

    fn abort(&mut self, why: &Fault) {
        self.0.end.fetch_add(2, Ordering::SeqCst);
        *self.0.why.lock().unwrap() = why.to_string();
    }
}

/// The loopback addresses of one test: no other test, and hardly another run, has them.
#[derive(Clone, Copy)]
pub struct Net(pub u8);

impl Net {
    pub fn address(self, host: u8) -> IpAddr {
        let own = 64 + (std::process::id() % 120) as u8;
        IpAddr::from([127, own, self.0, host])
    }

    pub fn session(self) -> String {
        format!("test {} {}", self.0, std::process::id())
    }

    pub fn offering(self) -> OfferOptions {
        OfferOptions { bind: (Some(self.address(254)), Some(0)), ..OfferOptions::new(&self.session()) }
    }

    pub async fn offer(self, source: Box<dyn Source>, nodes: usize) -> Offer {
        Offer::open(source, OfferOptions { nodes: Some(nodes), ..self.offering() }).await.unwrap()
    }

    pub fn receiving(self, offer: &Offer, host: u8) -> ReceiveOptions {
        ReceiveOptions {
            name: Some(format!("node{host}")),
            address: Some(self.address(host)),
            timeout: PATIENCE,
            ..ReceiveOptions::new(Target::Server(offer.address().to_string(), None))
        }
    }

    /// The same for a session that is encrypted.
    pub fn sealed_offering(self) -> OfferOptions {
        OfferOptions { token: Some(TOKEN.into()), encrypt: true, ..self.offering() }
    }

    pub fn sealed_receiving(self, offer: &Offer, host: u8) -> ReceiveOptions {
        ReceiveOptions { token: Some(TOKEN.into()), encrypt: true, ..self.receiving(offer, host) }
    }

    pub fn node(self, offer: &Offer, host: u8, sink: Box<dyn Sink>) -> JoinHandle<Result<NodeReport>> {
        tokio::spawn(receive(sink, self.receiving(offer, host), Cancel::new()))
    }

    /// Nodes 1 to `count`, all well.
    pub fn nodes(self, offer: &Offer, count: u8) -> Vec<(Kept, JoinHandle<Result<NodeReport>>)> {
        let node = |host| {
            let kept = Kept::default();
            let task = self.node(offer, host, kept.sink());
            (kept, task)
        };
        (1..=count).map(node).collect()
    }

    /// Local addresses of this test on which somebody listens.
    pub fn listening(self) -> Vec<String> {
        let IpAddr::V4(address) = self.address(0) else { unreachable!() };
        let [a, b, c, _] = address.octets();
        let own = format!("{c:02X}{b:02X}{a:02X}:");
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines
            .filter(|words| words.get(3) == Some(&"0A") && words[1][2..].starts_with(&own))
            .map(|words| words[1].to_string())
            .collect()
    }

    /// Nothing is left of the test. Tasks that were aborted close their sockets a moment later.
    pub async fn clean(self) {
        eventually("all ports closed", || self.listening().is_empty()).await;
    }
}

/// Where else than at the server somebody of this test listens: the nodes' data ports.
pub fn listening_on(net: Net, offer: &Offer) -> Vec<SocketAddr> {
    let port = |line: &String| u16::from_str_radix(line.split(':').nth(1).unwrap(), 16).unwrap();
    let host = |line: &String| u8::from_str_radix(&line[..2], 16).unwrap();
    let all = net.listening();
    all.iter().map(|l| SocketAddr::new(net.address(host(l)), port(l))).filter(|a| *a != offer.address()).collect()
}

/// Waits until `so`, looking often.
pub async fn eventually(what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result of something that has to end.
pub async fn ends<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it ends")
}
