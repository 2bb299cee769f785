//! From options to kit and from kit to progress: what the functions of `chain` have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::prelude::*;
use super::{Open, Session};
use crate::host::{Meter, Worker, format_size};
use crate::kit::chain::{
    self, Compress, KnockOptions, NodeProgress, NodeReport, Notes, Offer, OfferOptions, Order, Progress,
    ReceiveOptions, Report, Rounds, Slow, Target,
};
use crate::kit::stream::{Delivered, Sink, Source};

/// How long a session or a node that was stopped has for leaving in order.
const LEAVE: Duration = Duration::from_secs(15);

/// The chain's notes, under the name of the node that this thread works for.
pub fn notes(host: &Host) -> Notes {
    let (host, worker) = (host.clone(), Worker::current());
    Arc::new(move |level, text| worker.clone().run(|| host.log(level, text)))
}

pub fn offer_options(host: &Host, opts: &Opts) -> Result<OfferOptions> {
    let mut options = OfferOptions::new(&opts.need("session", opts.text("session")?)?);
    options.nodes = opts.count("nodes", 1, 100_000)?.map(|nodes| nodes as usize);
    options.start_after = opts.time("start_after")?;
    if let Some(bind) = opts.text("bind")? {
        options.bind = chain::parse_bind(&bind)?;
    }
    options.arity = opts.count("arity", 1, 4)?.unwrap_or(1) as usize;
    options.order = match opts.text("order")?.as_deref() {
        None | Some("address") => Order::Address,
        Some("joined") => Order::Joined,
        Some(other) => return Err(opts.refuse("order", &format!("`{other}` is neither `address` nor `joined`"))),
    };
    options.timeout = opts.time("timeout")?.unwrap_or(options.timeout);
    options.buffer = buffer(opts)?;
    options.token = opts.text("token")?;
    options.encrypt = encrypt(opts)?;
    options.compress = compress(opts)?;
    options.release = opts.time("release")?;
    options.rounds = match opts.text("rounds")?.as_deref() {
        None | Some("late") => Rounds::Late,
        Some("keep") => Rounds::Keep,
        Some(other) => return Err(opts.refuse("rounds", &format!("`{other}` is neither `late` nor `keep`"))),
    };
    options.slow = match opts.text("slow")?.as_deref() {
        None | Some("wait") => Slow::Wait,
        Some("evict") => Slow::Evict,
        Some(other) => return Err(opts.refuse("slow", &format!("`{other}` is neither `wait` nor `evict`"))),
    };
    options.notes = notes(host);
    Ok(options)
}

/// The source, kept in a file where one is named.
pub fn spooled(source: Box<dyn Source>, path: Option<std::path::PathBuf>) -> Result<Box<dyn Source>> {
    match path {
        Some(path) => Ok(Box::new(chain::spool(source, &path)?)),
        None => Ok(source),
    }
}

fn compress(opts: &Opts) -> Result<Compress> {
    let Some(text) = opts.text("compress")? else { return Ok(Compress::Off) };
    let refuse = || opts.refuse("compress", &format!("`{text}` is none of `auto`, `zstd`, `zstd:1` to `zstd:19`"));
    match text.strip_prefix("zstd") {
        None if text == "auto" => Ok(Compress::Auto),
        Some("") => Ok(Compress::Level(3)),
        Some(level) => level
            .strip_prefix(':')
            .and_then(|level| level.parse().ok())
            .filter(|level| (1..=19).contains(level))
            .map(Compress::Level)
            .ok_or_else(refuse),
        None => Err(refuse()),
    }
}

pub fn buffer(opts: &Opts) -> Result<u64> {
    match opts.size("buffer")? {
        Some(bytes) if bytes < 1 << 20 => Err(opts.refuse("buffer", "less than 1 MiB holds no two pieces")),
        given => Ok(given.unwrap_or(chain::BUFFER)),
    }
}

pub fn target(opts: &Opts) -> Result<Target> {
    match (opts.text("server")?, opts.text("session")?) {
        (Some(server), session) => Ok(Target::Server(server, session)),
        (None, Some(session)) => Ok(Target::Session(session)),
        (None, None) => opts.need("session", None),
    }
}

/// Whether to encrypt; the key is made of the token.
pub fn encrypt(opts: &Opts) -> Result<bool> {
    let encrypt = opts.flag("encrypt")?;
    if encrypt && opts.text("token")?.is_none_or(|token| token.is_empty()) {
        return Err(opts.refuse("encrypt", "it needs a `token`: the key is made of it"));
    }
    Ok(encrypt)
}

/// The local address that the options name.
pub fn local(opts: &Opts) -> Result<Option<std::net::IpAddr>> {
    let Some(address) = opts.text("address")? else { return Ok(None) };
    address.parse().map(Some).map_err(|_| opts.refuse("address", &format!("`{address}` is no address")))
}

/// What `start` and `decline` share, and the session's name for the journal.
pub fn knocking(opts: &Opts, timeout: Duration) -> Result<(KnockOptions, String)> {
    let options = KnockOptions {
        target: target(opts)?,
        token: opts.text("token")?,
        encrypt: encrypt(opts)?,
        timeout: opts.time("timeout")?.unwrap_or(timeout),
    };
    Ok((options, opts.text("session")?.or(opts.text("server")?).unwrap_or_default()))
}

pub fn open(host: &Host, source: Box<dyn Source>, options: OfferOptions) -> Result<Session> {
    let session = options.session.clone();
    let offer = Arc::new(host.wait(Offer::open(source, options))?);
    let (held, runtime) = (offer.clone(), host.runtime().clone());
    let hold = host.hold("chain.close", &format!("session {session} at {}", offer.address()), move || {
        let _ = runtime.block_on(async { tokio::time::timeout(LEAVE, held.stop()).await });
        Ok(())
    });
    Ok(Session(Arc::new(Open { offer, hold })))
}

/// Nodes up to which each has a progress line of its own.
const LINES: usize = 20;

/// Waits for the result, with a line for the whole and, where they are few, one for each node.
pub fn wait(host: &Host, session: &str, offer: &Offer) -> Result<Report> {
    let mut lines = Lines {
        whole: host.meter(&format!("chain {session}"), offer.progress().total),
        shown: 0,
        nodes: BTreeMap::new(),
    };
    host.wait(async {
        let mut result = std::pin::pin!(offer.wait());
        loop {
            let pause = tokio::time::sleep(Duration::from_millis(200));
            tokio::select! {
                result = &mut result => return result,
                () = pause => lines.show(host, &offer.progress()),
            }
        }
    })
}

struct Lines {
    /// What has safely arrived at the slowest node.
    whole: Meter,
    shown: u64,
    /// By name and address.
    nodes: BTreeMap<(String, String), (Meter, u64)>,
}

impl Lines {
    fn show(&mut self, host: &Host, progress: &Progress) {
        if progress.phase == chain::Phase::Gathering {
            return self.whole.say(&format!("{} nodes joined", progress.nodes.len()));
        }
        let mut behind: Vec<_> = progress.nodes.iter().filter(|node| node.failure.is_none()).collect();
        behind.sort_by_key(|node| node.bytes);
        let lost = progress.nodes.len() - behind.len();
        if let Some(slowest) = behind.first() {
            self.whole.advance(slowest.bytes.saturating_sub(self.shown));
            self.shown = slowest.bytes.max(self.shown);
        }
        let words: Vec<String> = behind.iter().take(3).map(|node| said(node)).collect();
        let failed = if lost > 0 { format!(", {lost} failed") } else { String::new() };
        self.whole.say(&format!("{} nodes{failed}; slowest: {}", progress.nodes.len(), words.join(", ")));
        if progress.nodes.len() > LINES {
            return;
        }
        for node in &progress.nodes {
            // Nodes come late, and come back.
            let known = (node.name.clone(), node.address.clone());
            let line = self.nodes.entry(known).or_insert_with(|| (host.meter(&node.name, progress.total), 0));
            let (meter, shown) = line;
            meter.advance(node.bytes.saturating_sub(*shown));
            *shown = node.bytes.max(*shown);
            match (&node.failure, node.done) {
                (Some(failure), _) => meter.say(&failure.message),
                (None, true) => meter.say("done"),
                (None, false) => meter.say(&node.slow.map_or(String::new(), |_| "the others wait for it".into())),
            }
        }
    }
}

fn said(node: &NodeProgress) -> String {
    match node.slow {
        Some(speed) => format!("{} at {} ({speed:.1} MB/s, the others wait)", node.name, format_size(node.bytes)),
        None => format!("{} at {}", node.name, format_size(node.bytes)),
    }
}

/// A sink that shows how far it is.
struct Metered(Box<dyn Sink>, Meter);

impl Sink for Metered {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn heed(&mut self, cancel: &crate::host::Cancel) {
        self.0.heed(cancel);
    }

    fn expect(&mut self, bytes: u64) -> Result<()> {
        self.0.expect(bytes)
    }

    fn can_seek(&self) -> bool {
        self.0.can_seek()
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.0.seek(position)
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.0.write(data)?;
        self.1.advance(data.len() as u64);
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered> {
        self.0.finish()
    }

    fn abort(&mut self, why: &Fault) {
        self.0.abort(why);
    }
}

pub fn receive_into(host: &Host, sink: Box<dyn Sink>, options: ReceiveOptions) -> Result<NodeReport> {
    let cancel = host.cancel().child();
    let metered = Box::new(Metered(sink, host.meter("chain", None)));
    let mut work = host.runtime().spawn(chain::receive(metered, options, cancel.clone()));
    let joined = host.wait(async { Ok((&mut work).await) });
    match joined {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Fault::new("kar.panic", "a chain's node panicked: this is a bug in kar")),
        Err(fault) => {
            // The sink is aborted and the server told before the script goes on.
            cancel.set();
            let _ = host.runtime().block_on(async { tokio::time::timeout(LEAVE, work).await });
            Err(fault)
        }
    }
}
