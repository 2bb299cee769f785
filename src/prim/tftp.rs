//! `tftp`: a server for boot files, and a client.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use super::prelude::*;
use super::served::{HttpServer, Inbox, binds, data_of, inbox, reads, shown, text_or_blob};
use crate::host::Hold;
use crate::kit::net::Events;
use crate::kit::tftp::{self, Event, Settings, client};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<TftpServer>("tftpserver");
}

/// A running server; it ends with its last copy.
#[derive(Clone)]
pub struct TftpServer {
    server: Arc<tftp::Server>,
    hold: Arc<Hold>,
    /// HTTP servers that it takes along.
    joined: Arc<Mutex<Vec<HttpServer>>>,
}

impl TftpServer {
    fn joined(&self) -> Vec<HttpServer> {
        self.joined.lock().map(|joined| joined.clone()).unwrap_or_default()
    }
}

impl Planned for Arc<tftp::Server> {}

fn client_options(opts: &Opts) -> Result<client::Options> {
    let usual = client::Options::default();
    Ok(client::Options {
        blksize: opts.count("blksize", 8, 65464)?.map_or(usual.blksize, |n| n as u16),
        windowsize: opts.count("windowsize", 1, 65535)?.map_or(usual.windowsize, |n| n as u16),
        timeout: opts.time("timeout")?.unwrap_or(usual.timeout),
        retries: opts.count("retries", 0, 1000)?.map_or(usual.retries, |n| n as u32),
        limit: opts.size("limit")?.unwrap_or(usual.limit),
    })
}

/// Files read into a script stay in its memory.
const MEMORY: u64 = 64 << 20;

#[export_module]
pub mod module {
    /// Serves boot files, from a folder, from a closure, or both.
    ///
    /// `read: |req| ..` gets `#{ path, client, port }` and returns a text or a blob (the content), `#{ path: "file" }`, `()`
    /// for what it does not have (then the folder is asked), or `false` to refuse. `write: |req| ..` gets the same and
    /// `size`, and returns `true` (into the folder, by the name asked for), `#{ path: "file" }`, or anything else to
    /// refuse. Each call is bounded to 5 s; one that fails is told with its place, and that client gets an error.
    /// Names are made relative, `\` is `/`; `..` is refused, and links are followed only inside the folder.
    ///
    /// # Options
    /// - `root` (path, none): the folder read from
    /// - `bind` (text or list, "0.0.0.0:69"): addresses and ports to listen on; port 0 takes a free one
    /// - `read` (closure, none): makes up files
    /// - `write` (closure or path, none): decides on writes, or the folder they go into; none are taken without it
    /// - `block` (int, 65464): largest block, bytes
    /// - `limit` (size, "64MiB"): largest file taken from a client
    /// - `longest` (size, none): largest file sent to a client
    /// - `transfers` (int, 400): transfers at once; one address may have half of them, and who comes then asks again
    ///
    /// # Errors
    /// - `tftp.root`: a folder is missing
    /// - `tftp.bind`: the address is not this machine's, or in use, or may not be used
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{
    ///     bind: "127.0.0.1:0",
    ///     read: |req| if req.path == "steps/10.0.0.7" { "ready\n" },
    /// });
    /// tftp::get(server.address, "steps/10.0.0.7")    // => "ready\n"
    /// tftp::get(server.address, "other")             // => throws tftp.missing
    /// ```
    #[rhai_fn(return_raw)]
    pub fn serve(ctx: NativeCallContext, options: Map) -> Raw<TftpServer> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "tftp::serve", options)?;
        let bind = binds(&opts, 69)?;
        let read = opts.value::<FnPtr>("read", "a closure")?.map(|f| reads("tftp", Callback::of(&ctx, f)));
        let Inbox { write, inbox } = inbox(&ctx, &opts, "write")?;
        let usual = Settings::default();
        let settings = Settings {
            bind: bind.clone(),
            root: opts.path("root")?,
            read,
            write,
            inbox,
            block: opts.count("block", 8, 65464)?.map_or(usual.block, |n| n as u16),
            limit: opts.size("limit")?.unwrap_or(usual.limit),
            longest: opts.size("longest")?.unwrap_or(usual.longest),
            transfers: opts.count("transfers", 1, 100_000)?.map_or(usual.transfers, |n| n as usize),
        };
        if settings.root.is_none() && settings.read.is_none() && settings.write.is_none() && settings.inbox.is_none() {
            let fault = Fault::new("tftp.option", "`tftp::serve` has nothing to serve");
            return Err(fault.hint("give it a folder (`root`) or a closure (`read`)").into());
        }
        let effect = Effect::new("tftp.serve", shown(&bind), Weight::Open);
        let server = host.perform(effect, || Ok(Arc::new(tftp::Server::start(&host, settings)?)))?;
        let held = server.clone();
        // By where it listens, which is not what was asked for where that was any free port.
        let hold = host.hold("tftp.stop", &shown(&server.addresses), move || {
            held.stop();
            Ok(())
        });
        Ok(TftpServer { server, hold: Arc::new(hold), joined: Arc::default() })
    }

    /// The port it listens on.
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.port > 0                           // => true
    /// ```
    #[rhai_fn(global, get = "port", pure)]
    pub fn port(server: &mut TftpServer) -> i64 {
        server.server.addresses[0].port().into()
    }

    /// Address and port, as `tftp::get` takes them.
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.address == `127.0.0.1:${server.port}`   // => true
    /// ```
    #[rhai_fn(global, get = "address", pure)]
    pub fn address(server: &mut TftpServer) -> String {
        server.server.addresses[0].to_string()
    }

    /// All it listens on, as `address` has it, in the order of `bind`.
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: ["127.0.0.1:0", "[::1]:0"], root: "." });
    /// server.addresses.len()                    // => 2
    /// ```
    #[rhai_fn(global, get = "addresses", pure)]
    pub fn addresses(server: &mut TftpServer) -> Array {
        server.server.addresses.iter().map(|address| address.to_string().into()).collect()
    }

    /// Ends it; transfers under way end with it.
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.stop();
    /// server.next()                             // => ()
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn stop(ctx: NativeCallContext, server: &mut TftpServer) -> Raw<()> {
        host_of(&ctx);
        for joined in server.joined() {
            joined.hold.release()?;
        }
        Ok(server.hold.release()?)
    }

    /// Takes an HTTP server along: what happens there comes out of `next` as well, and `stop` ends both. std/netboot
    /// answers over both so.
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// let web = http::serve(#{ bind: "127.0.0.1:0", get: |req| "x" });
    /// server.join(web);
    /// http::get(web.url + "a");
    /// let event = server.next();
    /// `${event.kind} ${event.path}`             // => "get a"
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn join(ctx: NativeCallContext, server: &mut TftpServer, other: HttpServer) -> Raw<()> {
        host_of(&ctx);
        if let Ok(mut joined) = server.joined.lock() {
            joined.push(other);
        }
        Ok(())
    }

    /// The HTTP servers that it takes along, as `join` was given them.
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.join(http::serve(#{ bind: "127.0.0.1:0", root: "." }));
    /// server.joined[0].port > 0                 // => true
    /// ```
    #[rhai_fn(global, get = "joined", pure)]
    pub fn joined(server: &mut TftpServer) -> Array {
        TftpServer::joined(server).into_iter().map(Dynamic::from).collect()
    }

    /// As below, without an end.
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next(ctx: NativeCallContext, server: &mut TftpServer) -> Raw<Dynamic> {
        next_with(ctx, server, Map::new())
    }

    /// The next happening: `#{ event, kind, path, client, bytes, seconds, rate, message }`, event one of `started`,
    /// `finished`, `aborted`, `refused`, `failed`, kind `read` or `write`; `()` when the time is over or the server has
    /// ended. A file counts as finished when the client has acknowledged its last block, or has been told that what it
    /// wrote is safely stored. Servers that were joined tell theirs here, too, kind `get` or `put`. `rate` is in 10^6 bytes a second, `message` why it did not finish: a boot ROM that only
    /// asked for the size ends with `aborted`.
    ///
    /// # Options
    /// - `timeout` (time, for ever): how long to wait for one
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", read: |req| "x" });
    /// tftp::get(server.address, "a");
    /// server.next().event                       // => "started"
    /// server.next(#{ timeout: "10s" }).event    // => "finished"
    /// ```
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next_with(ctx: NativeCallContext, server: &mut TftpServer, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let timeout = options_of(&ctx, "tftpserver.next", options)?.time("timeout")?.unwrap_or(Duration::MAX);
        let mut queues = vec![server.server.events().clone()];
        queues.extend(server.joined().iter().map(|joined| joined.server.events().clone()));
        let event = host.wait(async { Ok(tokio::time::timeout(timeout, first_of(&queues)).await.ok().flatten()) })?;
        Ok(event.map_or(Dynamic::UNIT, |event| to_dynamic(&event)))
    }

    /// As below, with nothing said.
    #[rhai_fn(name = "get", return_raw)]
    pub fn get(ctx: NativeCallContext, server: &str, path: &str) -> Raw<Dynamic> {
        get_with(ctx, server, path, Map::new())
    }

    /// Reads a file of a server (`"host"` or `"host:port"`): a text where it is one, else a blob. At most 64 MiB.
    ///
    /// # Options
    /// - `blksize` (int, 1468): bytes in a block, 8 to 65464
    /// - `windowsize` (int, 8): blocks sent without waiting
    /// - `timeout` (time, "1s"): before a packet is sent again
    /// - `retries` (int, 6): how often in a row
    /// - `limit` (size, "64MiB"): the longest file taken
    ///
    /// # Errors
    /// - `tftp.missing`, `tftp.refused`: the server does not have it, does not give it
    /// - `tftp.timeout`: the server is silent
    /// - `tftp.server`: no such server
    /// - `tftp.limit`: longer than taken
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", read: |req| "hello " + req.path });
    /// tftp::get(server.address, "\\Boot\\BCD")                  // => "hello Boot/BCD"
    /// tftp::get(server.address, "x", #{ blksize: 512 })         // => "hello x"
    /// tftp::get(server.address, "../x")                         // => throws tftp.refused
    /// ```
    #[rhai_fn(name = "get", return_raw)]
    pub fn get_with(ctx: NativeCallContext, server: &str, path: &str, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let mut options = client_options(&options_of(&ctx, "tftp::get", options)?)?;
        options.limit = options.limit.min(MEMORY);
        let bytes = host.wait(client::get_bytes(server, path, &options))?;
        Ok(text_or_blob(bytes))
    }

    /// Reads a file of a server to disk, where it appears whole or not at all. Returns `#{ bytes, seconds, blksize,
    /// windowsize }`.
    ///
    /// # Options
    /// - `to` (path): where to
    /// - `blksize` (int, 1468): bytes in a block, 8 to 65464
    /// - `windowsize` (int, 8): blocks sent without waiting
    /// - `timeout` (time, "1s"): before a packet is sent again
    /// - `retries` (int, 6): how often in a row
    /// - `limit` (size, none): the longest file taken
    ///
    /// # Errors
    /// - as `tftp::get`, and `tftp.write`: the file cannot be written
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", read: |req| "kernel" });
    /// tftp::fetch(server.address, "vmlinuz", #{ to: "vmlinuz" }).bytes    // => 6
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fetch(ctx: NativeCallContext, server: &str, path: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "tftp::fetch", options)?;
        let to = opts.need("to", opts.path("to")?)?;
        let options = client_options(&opts)?;
        let effect = Effect::new("tftp.fetch", format!("{server} {path} {}", to.display()), Weight::Change);
        let report = host.perform(effect, || Ok(Fetched(host.wait(client::fetch(server, path, &to, &options))?)))?;
        Ok(to_dynamic(&report.0).cast())
    }

    /// Writes a file to a server: the text or blob `data`, or the file `from`. Returns as `tftp::fetch`.
    ///
    /// # Options
    /// - `data` (text or blob): what to write
    /// - `from` (path): the file to write, instead
    /// - `blksize` (int, 1468): bytes in a block, 8 to 65464
    /// - `windowsize` (int, 8): blocks sent without waiting
    /// - `timeout` (time, "1s"): before a packet is sent again
    /// - `retries` (int, 6): how often in a row
    ///
    /// # Errors
    /// - `tftp.refused`: the server takes no such file
    /// - `tftp.full`: its disk is full, or the file larger than it takes
    /// - `tftp.timeout`, `tftp.server`, `tftp.read`
    ///
    /// # Example
    /// ```rhai
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", write: "." });
    /// tftp::put(server.address, "report", #{ data: "done\n" }).bytes      // => 5
    /// ```
    #[rhai_fn(return_raw)]
    pub fn put(ctx: NativeCallContext, server: &str, path: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "tftp::put", options)?;
        let options = client_options(&opts)?;
        let bytes = data_of(&opts)?;
        let from = opts.path("from")?;
        let (mut source, size): (Box<dyn std::io::Read + Send>, u64) = match (bytes, &from) {
            (Some(bytes), None) => {
                let size = bytes.len() as u64;
                (Box::new(std::io::Cursor::new(bytes)), size)
            }
            (None, Some(from)) => open_source(from)?,
            _ => return Err(Fault::new("tftp.option", "`tftp::put` needs one of the options `data` and `from`").into()),
        };
        let effect = Effect::new("tftp.put", format!("{server} {path}"), Weight::Change);
        let work = client::put(server, path, &options, &mut *source, size);
        let report = host.perform(effect, || Ok(Fetched(host.wait(work)?)))?;
        Ok(to_dynamic(&report.0).cast())
    }
}

/// What a transfer reports; a plan moves nothing.
struct Fetched(client::Report);

impl Planned for Fetched {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Fetched(client::Report::default()))
    }
}

/// The next event of any of these; `None` once all have ended.
async fn first_of(queues: &[Events<Event>]) -> Option<Event> {
    type Next = Pin<Box<dyn Future<Output = Option<Event>> + Send>>;
    let mut nexts: Vec<Next> = queues.iter().map(|queue| Box::pin(queue.next()) as Next).collect();
    std::future::poll_fn(|context| {
        let mut at = 0;
        while at < nexts.len() {
            match nexts[at].as_mut().poll(context) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) => drop(nexts.remove(at)),
                Poll::Pending => at += 1,
            }
        }
        if nexts.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

fn open_source(path: &Path) -> Result<(Box<dyn std::io::Read + Send>, u64)> {
    let fail = |error| Fault::io("tftp.read", format_args!("read `{}`", path.display()), error);
    let file = std::fs::File::open(path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    Ok((Box::new(file), size))
}
