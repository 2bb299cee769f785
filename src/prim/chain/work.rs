//! From options to kit and from kit to progress: what the functions of `chain` have in common.

use std::sync::Arc;
use std::time::Duration;

use super::super::prelude::*;
use super::{Open, Session};
use crate::host::{Meter, Worker, format_size};
use crate::kit::chain::{
    self, KnockOptions, NodeReport, Notes, Offer, OfferOptions, Order, Progress, ReceiveOptions, Report, Target,
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
    options.notes = notes(host);
    Ok(options)
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

/// Waits for the result, with a progress line of what has safely arrived at the slowest node.
pub fn wait(host: &Host, session: &str, offer: &Offer) -> Result<Report> {
    let meter = host.meter(&format!("chain {session}"), offer.progress().total);
    let mut shown = 0;
    host.wait(async {
        let mut result = std::pin::pin!(offer.wait());
        loop {
            let pause = tokio::time::sleep(Duration::from_millis(200));
            tokio::select! {
                result = &mut result => return result,
                () = pause => show(&meter, &offer.progress(), &mut shown),
            }
        }
    })
}

fn show(meter: &Meter, progress: &Progress, shown: &mut u64) {
    let slowest = progress.nodes.iter().filter(|node| node.failure.is_none()).min_by_key(|node| node.bytes);
    match slowest {
        Some(node) if progress.phase != chain::Phase::Gathering => {
            meter.advance(node.bytes.saturating_sub(*shown));
            *shown = node.bytes.max(*shown);
            meter.say(&format!("{} nodes, {} at {}", progress.nodes.len(), node.name, format_size(node.bytes)));
        }
        _ => meter.say(&format!("{} nodes joined", progress.nodes.len())),
    }
}

/// A sink that shows how far it is.
struct Metered(Box<dyn Sink>, Meter);

impl Sink for Metered {
    fn describe(&self) -> String {
        self.0.describe()
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
