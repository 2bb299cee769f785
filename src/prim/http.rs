//! `http`: a server for boot files and reports, and a client.

use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use super::served::{HttpServer, Inbox, binds, data_of, inbox, reads, shown, text_or_blob};
use crate::kit::http::{self, Fetch, Identity, Method, Options, Payload, Settings};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<HttpServer>("httpserver");
}

impl Planned for Arc<http::Server> {}

/// Files read into a script stay in its memory.
const MEMORY: u64 = 64 << 20;

fn client_options(opts: &Opts) -> Result<Options> {
    let usual = Options::default();
    let text = |(name, value): (rhai::Identifier, Dynamic)| (name.to_string(), value.to_string());
    Ok(Options {
        timeout: opts.time("timeout")?.unwrap_or(usual.timeout),
        retries: opts.count("retries", 0, 1000)?.map_or(usual.retries, |n| n as u32),
        limit: opts.size("limit")?.unwrap_or(usual.limit),
        ca: opts.path("ca")?,
        headers: opts.map("headers")?.unwrap_or_default().into_iter().map(text).collect(),
    })
}

/// `#{ cert, key }`.
fn identity(opts: &Opts) -> Result<Option<Identity>> {
    let Some(map) = opts.map("tls")? else { return Ok(None) };
    let path = |name: &str| map.get(name).and_then(|value| value.clone().into_string().ok());
    match (path("cert"), path("key")) {
        (Some(cert), Some(key)) if map.len() == 2 => Identity::read(cert.as_ref(), key.as_ref()).map(Some),
        _ => Err(opts.refuse("tls", "it takes exactly #{ cert: \"file.pem\", key: \"file.pem\" }")),
    }
}

#[export_module]
pub mod module {
    /// Serves boot files and takes reports, from and into folders, by closures, or both.
    ///
    /// `get: |req| ..` gets `#{ path, client, port, method, query, headers }` (`query` a map of what follows the `?`,
    /// decoded) and returns a text or a blob (the content), `#{ path: "file" }`, `()` for what it does not have (then the
    /// folder is asked), or `false` to refuse. `put: |req| ..` gets the same and `size`, and returns `true` (into the
    /// folder, by the name asked for), `#{ path: "file" }`, or anything else to refuse; PUT and POST both store a file,
    /// whole or not at all. Each call is bounded to 5 s and delays its own client only; one that fails is told with its
    /// place. Names are decoded, then made relative, `\` is `/`; `..` is refused, links are followed only inside the
    /// folder, and folders are not listed. Ranges, HEAD and conditional requests are answered; every length is right.
    ///
    /// # Options
    /// - `root` (path, none): the folder read from
    /// - `bind` (text or list, "0.0.0.0:80"): addresses and ports to listen on; port 0 takes a free one
    /// - `get` (closure, none): makes up files
    /// - `put` (closure or path, none): decides on uploads, or the folder they go into; none are taken without it
    /// - `limit` (size, "64MiB"): largest file taken from a client
    /// - `connections` (int, 400): clients at once; one address may have half of them
    /// - `tls` (map, none): `#{ cert, key }`, PEM files; the address then begins with https
    /// - `head` (time, "15s"): for the head of a request, and between two requests
    /// - `stall` (time, "30s"): how long nothing may move in the middle of a file
    ///
    /// # Errors
    /// - `http.root`: a folder is missing
    /// - `http.bind`: an address is not this machine's, or in use, or may not be used
    /// - `http.tls`: no certificate and key that belong together
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{
    ///     bind: "127.0.0.1:0",
    ///     get: |req| if req.path == "boot.ipxe" { "#!ipxe\n# " + req.query.mac + "\n" },
    /// });
    /// http::get(server.url + "boot.ipxe?mac=52:54:00:12:34:56")    // => "#!ipxe\n# 52:54:00:12:34:56\n"
    /// http::get(server.url + "other")                              // => throws http.missing
    /// ```
    #[rhai_fn(return_raw)]
    pub fn serve(ctx: NativeCallContext, options: Map) -> Raw<HttpServer> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "http::serve", options)?;
        let tls = identity(&opts)?;
        let bind = binds(&opts, if tls.is_some() { 443 } else { 80 })?;
        let read = opts.value::<FnPtr>("get", "a closure")?.map(|f| reads("http", Callback::of(&ctx, f)));
        let Inbox { write, inbox } = inbox(&ctx, &opts, "put")?;
        let usual = Settings::default();
        let secure = tls.is_some();
        let settings = Settings {
            bind: bind.clone(),
            root: opts.path("root")?,
            read,
            write,
            inbox,
            limit: opts.size("limit")?.unwrap_or(usual.limit),
            connections: opts.count("connections", 1, 100_000)?.map_or(usual.connections, |n| n as usize),
            tls,
            head: opts.time("head")?.unwrap_or(usual.head),
            stall: opts.time("stall")?.unwrap_or(usual.stall),
        };
        if settings.root.is_none() && settings.read.is_none() && settings.write.is_none() && settings.inbox.is_none() {
            let fault = Fault::new("http.option", "`http::serve` has nothing to serve");
            return Err(fault.hint("give it a folder (`root`) or a closure (`get`)").into());
        }
        let effect = Effect::new("http.serve", shown(&bind), Weight::Open);
        let server = host.perform(effect, || Ok(Arc::new(http::Server::start(&host, settings)?)))?;
        let held = server.clone();
        // By where it listens, which is not what was asked for where that was any free port.
        let hold = host.hold("http.stop", &shown(&server.addresses), move || {
            held.stop();
            Ok(())
        });
        Ok(HttpServer { server, hold: Arc::new(hold), secure })
    }

    /// The port it listens on.
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.port > 0                           // => true
    /// ```
    #[rhai_fn(global, get = "port", pure)]
    pub fn port(server: &mut HttpServer) -> i64 {
        server.server.addresses[0].port().into()
    }

    /// Address and port.
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.address == `127.0.0.1:${server.port}`   // => true
    /// ```
    #[rhai_fn(global, get = "address", pure)]
    pub fn address(server: &mut HttpServer) -> String {
        server.server.addresses[0].to_string()
    }

    /// All it listens on, as `address` has it, in the order of `bind`.
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: ["127.0.0.1:0", "[::1]:0"], root: "." });
    /// server.addresses.len()                    // => 2
    /// ```
    #[rhai_fn(global, get = "addresses", pure)]
    pub fn addresses(server: &mut HttpServer) -> Array {
        server.server.addresses.iter().map(|address| address.to_string().into()).collect()
    }

    /// Where its root is: `http://address:port/`.
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.url == `http://127.0.0.1:${server.port}/`   // => true
    /// ```
    #[rhai_fn(global, get = "url", pure)]
    pub fn url(server: &mut HttpServer) -> String {
        format!("http{}://{}/", if server.secure { "s" } else { "" }, server.server.addresses[0])
    }

    /// Ends it; transfers under way end with it.
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", root: "." });
    /// server.stop();
    /// server.next()                             // => ()
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn stop(ctx: NativeCallContext, server: &mut HttpServer) -> Raw<()> {
        host_of(&ctx);
        Ok(server.hold.release()?)
    }

    /// As below, without an end.
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next(ctx: NativeCallContext, server: &mut HttpServer) -> Raw<Dynamic> {
        next_with(ctx, server, Map::new())
    }

    /// The next happening: `#{ event, kind, path, client, bytes, seconds, rate, message }`, event one of `started`,
    /// `finished`, `aborted`, `refused`, `failed`, kind `get` or `put`; `()` when the time is over or the server has
    /// ended. A file counts as finished when its last byte was handed to the network, or is safely stored. `rate` is in
    /// 10^6 bytes a second, `message` why it did not finish.
    ///
    /// # Options
    /// - `timeout` (time, for ever): how long to wait for one
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", get: |req| "x" });
    /// http::get(server.url + "a");
    /// server.next().event                       // => "started"
    /// server.next(#{ timeout: "10s" }).event    // => "finished"
    /// ```
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next_with(ctx: NativeCallContext, server: &mut HttpServer, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let timeout = options_of(&ctx, "httpserver.next", options)?.time("timeout")?.unwrap_or(Duration::MAX);
        let next = server.server.events().next();
        let event = host.wait(async { Ok(tokio::time::timeout(timeout, next).await.ok().flatten()) })?;
        Ok(event.map_or(Dynamic::UNIT, |event| to_dynamic(&event)))
    }

    /// As below, with nothing said.
    #[rhai_fn(name = "get", return_raw)]
    pub fn get(ctx: NativeCallContext, url: &str) -> Raw<Dynamic> {
        get_with(ctx, url, Map::new())
    }

    /// Reads what is at an address, `http` or `https`: a text where it is one, else a blob. At most 64 MiB. Redirects are
    /// followed; a connection that breaks is taken up again where it broke, and a body that is cut short never passes for
    /// whole.
    ///
    /// # Options
    /// - `sha256` (text, none): the digest it must have, 64 hexadecimal digits
    /// - `timeout` (time, "30s"): how long nothing may happen
    /// - `retries` (int, 3): how often it is tried again
    /// - `limit` (size, "64MiB"): the longest file taken
    /// - `ca` (path, the system's): certificates to trust, PEM: an authority's, or the server's very own
    /// - `headers` (map, none): sent along
    ///
    /// # Errors
    /// - `http.missing`, `http.refused`, `http.busy`, `http.status`: the server says so
    /// - `http.connect`, `http.timeout`, `http.broken`: no connection, silence, a connection that broke
    /// - `http.url`, `http.redirect`, `http.tls`: nowhere to go, or nobody to trust
    /// - `http.length`, `http.limit`, `http.digest`: of no known length, longer than taken, changed on its way
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", get: |req| "hello " + req.path });
    /// http::get(server.url + "a%20b")                           // => "hello a b"
    /// http::get(server.url + "%2e%2e/x")                        // => throws http.refused
    /// http::get(server.url, #{ limit: 3 })                      // => throws http.limit
    /// ```
    #[rhai_fn(name = "get", return_raw)]
    pub fn get_with(ctx: NativeCallContext, url: &str, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "http::get", options)?;
        let sha256 = opts.text("sha256")?;
        let mut options = client_options(&opts)?;
        options.limit = options.limit.min(MEMORY);
        let what = Fetch { url, sha256: sha256.as_deref(), options: &options };
        Ok(text_or_blob(host.wait(http::get_bytes(&host, &what))?))
    }

    /// Reads what is at an address to disk, where it appears whole or not at all. Returns `#{ bytes, seconds, retries }`.
    ///
    /// # Options
    /// - `to` (path): where to
    /// - `sha256` (text, none): the digest it must have, 64 hexadecimal digits
    /// - `timeout` (time, "30s"): how long nothing may happen
    /// - `retries` (int, 3): how often it is tried again
    /// - `limit` (size, none): the longest file taken
    /// - `ca` (path, the system's): certificates to trust, PEM: an authority's, or the server's very own
    /// - `headers` (map, none): sent along
    ///
    /// # Errors
    /// - as `http::get`, and `http.write`: the file cannot be written
    ///
    /// # Example
    /// ```rhai
    /// let server = http::serve(#{ bind: "127.0.0.1:0", get: |req| "kernel" });
    /// http::fetch(server.url + "vmlinuz", #{ to: "vmlinuz" }).bytes     // => 6
    /// let sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    /// http::fetch(server.url + "initrd", #{ to: "initrd", sha256: sha256, retries: 0 })   // => throws http.digest
    /// fs::exists("initrd")                                              // => false
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fetch(ctx: NativeCallContext, url: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "http::fetch", options)?;
        let to = opts.need("to", opts.path("to")?)?;
        let sha256 = opts.text("sha256")?;
        let options = client_options(&opts)?;
        let what = Fetch { url, sha256: sha256.as_deref(), options: &options };
        let effect = Effect::new("http.fetch", format!("{url} {}", to.display()), Weight::Change);
        let report = host.perform(effect, || Ok(Moved(host.wait(http::fetch(&host, &what, &to))?)))?;
        Ok(to_dynamic(&report.0).cast())
    }

    /// Writes to an address: the text or blob `data`, or the file `from`. Returns as `http::fetch`.
    ///
    /// # Options
    /// - `data` (text or blob): what to write
    /// - `from` (path): the file to write, instead
    /// - `method` (text, "PUT"): or "POST"
    /// - `timeout` (time, "30s"): how long nothing may happen
    /// - `ca` (path, the system's): certificates to trust, PEM: an authority's, or the server's very own
    /// - `headers` (map, none): sent along
    ///
    /// # Errors
    /// - `http.refused`: the server takes no such file
    /// - `http.full`: its disk is full, or the file larger than it takes
    /// - `http.read`: the file `from` cannot be read; and as `http::get`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("reports");
    /// let server = http::serve(#{ bind: "127.0.0.1:0", put: "reports" });
    /// http::put(server.url + "node1", #{ data: "done\n" }).bytes        // => 5
    /// fs::read("reports/node1")                                         // => "done\n"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn put(ctx: NativeCallContext, url: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "http::put", options)?;
        let options = client_options(&opts)?;
        let method = match opts.text("method")?.as_deref().unwrap_or("PUT") {
            "PUT" => Method::Put,
            "POST" => Method::Post,
            other => return Err(opts.refuse("method", &format!("`{other}` is not PUT or POST")).into()),
        };
        let payload = match (data_of(&opts)?, opts.path("from")?) {
            (Some(bytes), None) => Payload::Bytes(bytes.into()),
            (None, Some(from)) => {
                let read = || std::fs::File::open(&from).and_then(|file| Ok((file.metadata()?.len(), file)));
                let fail = |error| Fault::io("http.read", format_args!("read `{}`", from.display()), error);
                let (size, file) = read().map_err(fail)?;
                Payload::File(Arc::new(file), size)
            }
            _ => return Err(Fault::new("http.option", "`http::put` needs one of the options `data` and `from`").into()),
        };
        let effect = Effect::new("http.put", url, Weight::Change);
        let work = http::put(method, url, payload, &options);
        let report = host.perform(effect, || Ok(Moved(host.wait(work)?)))?;
        Ok(to_dynamic(&report.0).cast())
    }
}

/// What a transfer reports; a plan moves nothing.
struct Moved(http::Report);

impl Planned for Moved {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Moved(http::Report::default()))
    }
}
