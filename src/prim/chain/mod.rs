//! `chain`: one stream from one machine to many, node by node.

mod work;

use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use crate::host::{Hold, Worker};
use crate::kit::chain::{self, NodeReport, Offer, ReceiveOptions, Report};
use work::{buffer, encrypt, knocking, local, notes, offer_options, open, receive_into, spooled, target, wait};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<Session>("chain session");
}

/// A session that this machine offers. Its port is closed when the last copy is dropped.
#[derive(Clone)]
pub struct Session(Arc<Open>);

struct Open {
    offer: Arc<Offer>,
    hold: Hold,
}

impl Planned for Session {}
impl Planned for Report {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Report::default())
    }
}
impl Planned for NodeReport {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(NodeReport::default())
    }
}

#[export_module]
pub mod module {
    /// Sends a source to many nodes at once: waits for them, puts them in a chain, streams, and returns every node's
    /// result. Each node feeds its own sink and the node behind it, so the time hardly depends on their number.
    ///
    /// It starts when `nodes` have joined, after `start_after` with whoever is there, or at a `chain::start`. A node that
    /// is gone is passed over. The report: `#{ session, source, bytes, seconds, mb_per_s, digest, arity, complete, repairs:
    /// [ #{ node, from, to, at, seconds } ], nodes: [ #{ name, address, position, round, joined, bytes, seconds, mb_per_s,
    /// stalled, evicted, pause, digest, entries, warnings, failure } ] }`; `stalled` is how long the others waited for this node's sink, `pause`
    /// the longest time in which it got nothing, both in seconds; `evicted` the MB/s of a sink that was served afterwards.
    ///
    /// # Options
    /// - `session` (text): the name under which nodes find it
    /// - `nodes` (int): how many nodes to wait for
    /// - `bind` (text, any address): address and port to listen on; port 30765, or any free one where that is taken;
    ///   `":0"` takes any free one
    /// - `arity` (int, 1): nodes that each one feeds, 1 to 4
    /// - `order` (text, "address"): of the nodes in the chain, by `"address"` (as numbers) or as they `"joined"`
    /// - `start_after` (time): start with whoever is there after this time
    /// - `timeout` (time, "1h"): how long to wait for the start
    /// - `buffer` (size, "32MiB"): bytes of the stream held at most
    /// - `token` (text): known to the server and its nodes; without it nobody joins
    /// - `encrypt` (flag): encrypts every connection, of server and nodes and among nodes, with a key made of `token`
    /// - `compress` (text): on the wire: `"zstd"`, `"zstd:9"` (level 1 to 19), or `"auto"`, which compresses as long as the
    ///   network is what all wait for
    /// - `release` (time): nodes that are through wait until all are, then leave with this pause between them; `"0s"`: all at
    ///   once. Unless said each leaves when it is through
    /// - `rounds` (text, "late"): nodes that come after the start get the whole stream in a round of their own where the
    ///   source can be read again (a disk joins the running chain, and gets what it missed afterwards); `"keep"` keeps the session open for them until `chain::start`, `.start()` or the end of
    ///   `timeout`
    /// - `slow` (text, "wait"): a node for whose sink all others wait is named; with `"evict"`, where the others could go twice
    ///   as fast, it leaves the chain too and gets the rest of the stream when they have it all. Takes a source that can be read
    ///   again
    /// - `spool` (path): a file to keep the stream in as long as the session lasts; makes any source one that can be read again
    ///
    /// # Errors
    /// - `chain.nobody`: no node joined in time
    /// - `chain.timeout`: too few nodes joined in time
    /// - `chain.source`: the source failed; no node has a whole copy, and none takes it for whole
    /// - `chain.lossy`: a node has no complete copy; names it and the cause, `report` has the others
    /// - `chain.bind`: cannot listen there
    ///
    /// # Example
    /// ```rhai
    /// let node = task::start(|| chain::receive(stream::discard(), #{ session: "doc send" }));
    /// let report = chain::send(stream::blob("hello".to_blob()), #{ session: "doc send", nodes: 1, bind: ":0" });
    /// report.complete                    // => 1
    /// node.wait().bytes                  // => 5
    /// ```
    #[rhai_fn(return_raw)]
    pub fn send(ctx: NativeCallContext, source: SourceValue, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "chain::send", options)?;
        let (options, kept) = (offer_options(&host, &opts)?, opts.path("spool")?);
        let effect =
            Effect::new("chain.send", format!("{} to session {}", source.name(), options.session), Weight::Open);
        let report = host.perform(effect, || {
            let name = options.session.clone();
            let session = open(&host, spooled(source.take()?, kept)?, options)?;
            wait(&host, &name, &session.0.offer)
        })?;
        Ok(to_dynamic(&report))
    }

    /// Offers a source as `chain::send` does, and goes on at once. The session works until it is done, stopped, or the
    /// handle is dropped.
    ///
    /// # Options
    /// - `session` (text): the name under which nodes find it
    /// - `nodes` (int): how many nodes to wait for
    /// - `bind` (text, any address): address and port to listen on; port 30765, or any free one where that is taken;
    ///   `":0"` takes any free one
    /// - `arity` (int, 1): nodes that each one feeds, 1 to 4
    /// - `order` (text, "address"): of the nodes in the chain, by `"address"` (as numbers) or as they `"joined"`
    /// - `start_after` (time): start with whoever is there after this time
    /// - `timeout` (time, "1h"): how long to wait for the start
    /// - `buffer` (size, "32MiB"): bytes of the stream held at most
    /// - `token` (text): known to the server and its nodes; without it nobody joins
    /// - `encrypt` (flag): encrypts every connection, of server and nodes and among nodes, with a key made of `token`
    /// - `compress` (text): on the wire: `"zstd"`, `"zstd:9"` (level 1 to 19), or `"auto"`, which compresses as long as the
    ///   network is what all wait for
    /// - `release` (time): nodes that are through wait until all are, then leave with this pause between them; `"0s"`: all at
    ///   once. Unless said each leaves when it is through
    /// - `rounds` (text, "late"): nodes that come after the start get the whole stream in a round of their own where the
    ///   source can be read again (a disk joins the running chain, and gets what it missed afterwards); `"keep"` keeps the session open for them until `chain::start`, `.start()` or the end of
    ///   `timeout`
    /// - `slow` (text, "wait"): a node for whose sink all others wait is named; with `"evict"`, where the others could go twice
    ///   as fast, it leaves the chain too and gets the rest of the stream when they have it all. Takes a source that can be read
    ///   again
    /// - `spool` (path): a file to keep the stream in as long as the session lasts; makes any source one that can be read again
    ///
    /// # Errors
    /// - `chain.bind`: cannot listen there
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("hello".to_blob()), #{ session: "doc offer", bind: "127.0.0.1:0" });
    /// session.joined                     // => []
    /// session.start()                    // => throws chain.nobody
    /// let node = task::start(|| chain::receive(stream::discard(), #{ session: "doc offer", name: "n1" }));
    /// while session.joined.is_empty() { task::sleep("5ms"); }
    /// session.start();
    /// session.wait().complete            // => 1
    /// ```
    #[rhai_fn(return_raw)]
    pub fn offer(ctx: NativeCallContext, source: SourceValue, options: Map) -> Raw<Session> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "chain::offer", options)?;
        let (options, kept) = (offer_options(&host, &opts)?, opts.path("spool")?);
        let effect =
            Effect::new("chain.offer", format!("{} as session {}", source.name(), options.session), Weight::Open);
        Ok(host.perform(effect, || open(&host, spooled(source.take()?, kept)?, options))?)
    }

    /// Takes part in a session as a node: waits for it and for its start, feeds `sink` and the nodes behind this one.
    ///
    /// # Options
    /// - `session` (text): its name, found by broadcast on every network of this machine
    /// - `server` (text): where it is instead: `"host"` or `"host:port"`
    /// - `token` (text): what the server was given
    /// - `encrypt` (flag): as the server has it
    /// - `timeout` (time, "10m"): how long to look for the session
    /// - `name` (text, the task's name): what this node is called in reports
    /// - `address` (text): the local address to work from and to be known by
    /// - `buffer` (size, "32MiB"): bytes of the stream held at most
    /// - `stall` (time, "3s"): how long the others wait for a sink that takes nothing at all; ten times as long where a
    ///   disk is at work below it
    /// - `faults` (path): for rehearsals of failures, see `std/faults`: a folder where the file `corrupt` has the next frame
    ///   come damaged, `slow` holds the MB/s that the sink takes, and `wedge` stops it
    ///
    /// # Errors
    /// - `chain.timeout`: no such session in time
    /// - `chain.token`: the token is not the server's
    /// - `chain.encrypt`: one side encrypts and the other one does not
    /// - `chain.session`: the server has another session
    /// - `chain.version`: the server speaks another version
    /// - `chain.late`: the session has started without this node
    /// - `chain.source`: the server's source failed
    /// - `chain.server`: the server vanished
    /// - `chain.lost`: this node was silent for too long, and the session went on without it
    /// - `chain.link`: no other node reaches this one
    /// - `chain.stalled`: the sink took nothing while others waited
    /// - `chain.digest`: the stream was damaged on its way
    /// - and the sink's own
    ///
    /// # Example
    /// ```rhai
    /// chain::receive(stream::discard(), #{ session: "doc nobody", timeout: "50ms" })   // => throws chain.timeout
    /// ```
    #[rhai_fn(return_raw)]
    pub fn receive(ctx: NativeCallContext, sink: SinkValue, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "chain::receive", options)?;
        let mut options = ReceiveOptions::new(target(&opts)?);
        options.token = opts.text("token")?;
        options.encrypt = encrypt(&opts)?;
        options.timeout = opts.time("timeout")?.unwrap_or(options.timeout);
        options.name = opts.text("name")?.or_else(|| Worker::current().label);
        options.address = local(&opts)?;
        options.buffer = buffer(&opts)?;
        options.stall = opts.time("stall")?.unwrap_or(options.stall);
        options.faults = opts.path("faults")?;
        options.notes = notes(&host);
        let effect = Effect::new("chain.receive", sink.name(), Weight::Change);
        let report = host.perform(effect, || receive_into(&host, sink.take()?, options))?;
        Ok(to_dynamic(&report))
    }

    /// Tells a session that waits for nodes, here or on another machine, to start with whoever is there.
    ///
    /// # Options
    /// - `session` (text): its name, found by broadcast
    /// - `server` (text): where it is instead: `"host"` or `"host:port"`
    /// - `token` (text): what the server was given
    /// - `encrypt` (flag): as the server has it
    /// - `timeout` (time, "10s"): how long to look for it
    ///
    /// # Errors
    /// - `chain.nobody`: nobody has joined it yet
    /// - `chain.timeout`: no such session in time
    /// - `chain.token`: the token is not the server's
    /// - `chain.encrypt`: one side encrypts and the other one does not
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("hello".to_blob()), #{ session: "doc start", bind: "127.0.0.1:0" });
    /// chain::start(#{ server: session.address })         // => throws chain.nobody
    /// ```
    #[rhai_fn(return_raw)]
    pub fn start(ctx: NativeCallContext, options: Map) -> Raw<()> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "chain::start", options)?;
        let (options, object) = knocking(&opts, Duration::from_secs(10))?;
        Ok(host.perform(Effect::new("chain.start", object, Weight::Open), || host.wait(chain::start(options)))?)
    }

    /// Tells a session that waits for nodes that this one will not come: it waits for it no longer, and names it in
    /// its result. Whether a session was there to be told; one that has started takes no notice.
    ///
    /// # Options
    /// - `session` (text): its name, found by broadcast
    /// - `server` (text): where it is instead: `"host"` or `"host:port"`
    /// - `token` (text): what the server was given
    /// - `encrypt` (flag): as the server has it
    /// - `timeout` (time, "3s"): how long to look for it
    /// - `name` (text, the task's name): what this node is called in reports
    /// - `address` (text): the local address to work from and to be known by
    /// - `reason` (text): why, in one line
    ///
    /// # Errors
    /// - `chain.token`: the token is not the server's
    /// - `chain.encrypt`: one side encrypts and the other one does not
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("hello".to_blob()), #{ session: "doc decline", nodes: 1, bind: "127.0.0.1:0" });
    /// chain::decline(#{ server: session.address, name: "n1", reason: "no disk" })      // => true
    /// session.wait()                     // => throws chain.nobody
    /// ```
    #[rhai_fn(return_raw)]
    pub fn decline(ctx: NativeCallContext, options: Map) -> Raw<bool> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "chain::decline", options)?;
        let (options, object) = knocking(&opts, Duration::from_secs(3))?;
        let name = opts.text("name")?.or_else(|| Worker::current().label);
        let (local, reason) = (local(&opts)?, opts.text("reason")?.unwrap_or_else(|| "no reason given".into()));
        let mut told = true;
        host.perform(Effect::new("chain.decline", object, Weight::Open), || {
            match host.wait(chain::decline(options, name.as_deref(), local, &reason)) {
                Err(fault) if fault.kind == "chain.timeout" => told = false,
                other => other?,
            }
            Ok(())
        })?;
        Ok(told)
    }

    /// Where the session listens: `"10.0.0.1:30765"`.
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()), #{ session: "doc address", bind: "127.0.0.1:0" });
    /// session.address.starts_with("127.0.0.1:")          // => true
    /// ```
    #[rhai_fn(global, get = "address", pure)]
    pub fn address(session: &mut Session) -> ImmutableString {
        session.0.offer.address().to_string().into()
    }

    /// The port where the session listens.
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()), #{ session: "doc port", bind: "127.0.0.1:0" });
    /// session.port > 0                   // => true
    /// ```
    #[rhai_fn(global, get = "port", pure)]
    pub fn port(session: &mut Session) -> i64 {
        session.0.offer.address().port().into()
    }

    /// Names of the nodes that joined, addresses for those without a name.
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()), #{ session: "doc joined", bind: "127.0.0.1:0" });
    /// session.joined                     // => []
    /// ```
    #[rhai_fn(global, get = "joined", pure)]
    pub fn joined(session: &mut Session) -> Array {
        session.0.offer.joined().into_iter().map(Dynamic::from).collect()
    }

    /// Starts with whoever is there.
    ///
    /// # Errors
    /// - `chain.nobody`: nobody is
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()), #{ session: "doc go", bind: "127.0.0.1:0" });
    /// session.start()                    // => throws chain.nobody
    /// ```
    #[rhai_fn(global, name = "start", return_raw)]
    pub fn start_now(ctx: NativeCallContext, session: &mut Session) -> Raw<()> {
        host_of(&ctx);
        Ok(session.0.offer.start()?)
    }

    /// Where it stands: `#{ phase, sent, total, nodes: [ #{ name, address, bytes, slow, done, failure } ] }`; `bytes` are
    /// those safely in the node's sink, `slow` its speed in MB/s where the others wait for it, `phase` is `gathering`,
    /// `streaming` or `ended`.
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()), #{ session: "doc progress", bind: "127.0.0.1:0" });
    /// session.progress().phase           // => "gathering"
    /// ```
    #[rhai_fn(global, pure)]
    pub fn progress(session: &mut Session) -> Dynamic {
        to_dynamic(&session.0.offer.progress())
    }

    /// Waits for the end and gives the report, as `chain::send` does.
    ///
    /// # Errors
    /// - those of `chain::send`; `chain.stopped` after `.stop()`
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()),
    ///     #{ session: "doc wait", bind: "127.0.0.1:0", timeout: "50ms" });
    /// session.wait()                     // => throws chain.nobody
    /// ```
    #[rhai_fn(global, name = "wait", return_raw)]
    pub fn wait_for(ctx: NativeCallContext, session: &mut Session) -> Raw<Dynamic> {
        let report = wait(&host_of(&ctx), "session", &session.0.offer)?;
        Ok(to_dynamic(&report))
    }

    /// Ends the session now: nodes are told, their sinks abort, the port is closed. A second call does nothing.
    ///
    /// # Example
    /// ```rhai
    /// let session = chain::offer(stream::blob("x".to_blob()), #{ session: "doc stop", bind: "127.0.0.1:0" });
    /// session.stop();
    /// session.wait()                     // => throws chain.stopped
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn stop(ctx: NativeCallContext, session: &mut Session) -> Raw<()> {
        host_of(&ctx);
        Ok(session.0.hold.release()?)
    }
}
