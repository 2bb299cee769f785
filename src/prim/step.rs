//! `step`: where each node stands, in a folder of small files.

use std::path::Path;
use std::time::Duration;

use super::prelude::*;
use super::stores::Store;
use crate::kit::nodeset;
use crate::kit::step::{self, Form, Remote, Steps};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<Store>("store");
}

/// Which try it was; a plan is at its first.
struct Count(u32);

impl Planned for Count {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Count(1))
    }
}

fn form_of(opts: &Opts) -> Result<Form> {
    match opts.text("form")?.as_deref() {
        None | Some("word") => Ok(Form::Word),
        Some("kaboot") => Ok(Form::Kaboot),
        Some(other) => Err(opts.refuse("form", &format!("`{other}` is neither word nor kaboot"))),
    }
}

/// A node set, or a list of them.
fn hosts_of(hosts: Dynamic) -> Result<Vec<String>> {
    let wrong = || Fault::new("step.host", "hosts are a text or a list of texts");
    let list = match hosts.is_string() {
        true => vec![hosts],
        false => hosts.try_cast::<Array>().ok_or_else(wrong)?,
    };
    let mut names = Vec::new();
    for set in list {
        names.extend(nodeset::expand(&set.into_immutable_string().map_err(|_| wrong())?)?);
    }
    Ok(names)
}

/// The same, where each is a host, and a text names at least one.
fn checked_hosts(hosts: Dynamic) -> Result<Vec<String>> {
    let text = hosts.is_string();
    let names = hosts_of(hosts)?;
    if text && names.is_empty() {
        step::check_host("")?;
    }
    names.iter().try_for_each(|host| step::check_host(host)).map(|()| names)
}

#[export_module]
pub mod module {
    /// As below, with nothing said.
    #[rhai_fn(name = "open", return_raw)]
    pub fn open(ctx: NativeCallContext, dir: &str) -> Raw<Store> {
        open_with(ctx, dir, Map::new())
    }

    /// Opens a folder of step files, one for each host, named as the host or its address. Files of both old systems are
    /// read: a bare word, and `set "ready" $step`.
    ///
    /// # Options
    /// - `create` (flag, true): make the folder when it is missing
    /// - `form` (text, "word"): how words are written: "word", or "kaboot" for `set "ready" $step`
    ///
    /// # Errors
    /// - `step.open`: the folder can be neither read nor made
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps");
    /// steps.set("node1", "lilo");
    /// steps.get("node1")                        // => "lilo"
    /// step::open("none", #{ create: false })    // => throws step.open
    /// ```
    #[rhai_fn(name = "open", return_raw)]
    pub fn open_with(ctx: NativeCallContext, dir: &str, options: Map) -> Raw<Store> {
        let host = host_of(&ctx);
        let create = options.get("create").is_none_or(|value| value.is_unit());
        let opts = options_of(&ctx, "step::open", options)?;
        let create = create || opts.flag("create")?;
        let form = form_of(&opts)?;
        let act = || Ok(Store(Steps::Folder(step::Store::open(Path::new(dir), form, create)?)));
        Ok(host.perform(Effect::new("step.open", dir, Weight::Open), act)?)
    }

    /// As below, in the folder `steps`.
    #[rhai_fn(name = "remote", return_raw)]
    pub fn remote(ctx: NativeCallContext, server: &str) -> Raw<Store> {
        remote_with(ctx, server, Map::new())
    }

    /// The step files of a server, read and written from a node: over TFTP (`"host"` or `"host:port"`), as the scripts of
    /// both old systems do, or over HTTP (`"http://host"`). What a node may read and write the server decides; with
    /// std/netboot its own step, nothing else. Nothing is asked before `.get`, `.set` or `.wait`.
    ///
    /// # Options
    /// - `dir` (text, "steps"): the folder on the server
    /// - `ca` (path, the system's): certificates to trust for `https`, PEM: an authority's, or the server's very own
    /// - `form` (text, "word"): how words are written: "word", or "kaboot" for `set "ready" $step`
    ///
    /// # Errors
    /// - of its methods: `step.read`, `step.write`: the server is silent or refuses; `step.remote`: `.all` and `.clear`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("steps");
    /// let server = tftp::serve(#{ bind: "127.0.0.1:0", root: ".", write: "." });
    /// let steps = step::remote(server.address);
    /// steps.get("node1")                        // => ()
    /// steps.set("node1", "ready");
    /// steps.get("node1")                        // => "ready"
    /// steps.all()                               // => throws step.remote
    /// let web = http::serve(#{ bind: "127.0.0.1:0", root: ".", put: "." });
    /// step::remote(web.url).get("node1")        // => "ready"
    /// ```
    #[rhai_fn(name = "remote", return_raw)]
    pub fn remote_with(ctx: NativeCallContext, server: &str, options: Map) -> Raw<Store> {
        host_of(&ctx);
        let opts = options_of(&ctx, "step::remote", options)?;
        let dir = opts.text("dir")?.unwrap_or_else(|| "steps".into());
        Ok(Store(Steps::Remote(Remote::new(server, &dir, form_of(&opts)?, opts.path("ca")?))))
    }

    /// As below, a boot being what happens within 10 s.
    #[rhai_fn(global, name = "attempt", return_raw)]
    pub fn attempt(ctx: NativeCallContext, store: &mut Store, host_name: &str) -> Raw<i64> {
        attempt_with(ctx, store, host_name, Map::new())
    }

    /// Counts a boot of a host at the step where it stands, and says which try this is, from 1; another step starts
    /// anew. What keeps a node that fails from installing for ever: std/netboot parks one that tried too often.
    ///
    /// # Options
    /// - `within` (time, "10s"): what comes so soon after the last one is the same boot, asking again
    ///
    /// # Errors
    /// - `step.host`, `step.read`, `step.write`; `step.remote`: steps of a server
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps");
    /// steps.set("node1", "install");
    /// steps.attempt("node1")                        // => 1
    /// steps.attempt("node1")                        // => 1
    /// steps.attempt("node1", #{ within: "0s" })     // => 2
    /// steps.set("node1", "lilo");
    /// steps.attempt("node1")                        // => 1
    /// ```
    #[rhai_fn(global, name = "attempt", return_raw)]
    pub fn attempt_with(ctx: NativeCallContext, store: &mut Store, host_name: &str, options: Map) -> Raw<i64> {
        let host = host_of(&ctx);
        let within = options_of(&ctx, "store.attempt", options)?.time("within")?.unwrap_or(Duration::from_secs(10));
        let folder = store.0.folder("count boots")?;
        let effect = Effect::new("step.attempt", host_name, Weight::Change);
        Ok(host.perform(effect, || folder.attempt(host_name, within).map(Count))?.0.into())
    }

    /// The step of a host; `()` where it has none.
    ///
    /// # Errors
    /// - `step.host`: not a host name or address
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps");
    /// steps.get("node1")                        // => ()
    /// steps.get("../etc/passwd")                // => throws step.host
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn get(ctx: NativeCallContext, store: &mut Store, host_name: &str) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        Ok(store.0.get(&host, host_name)?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Puts a host, or all of a node set or a list, at a step: one word. A reader sees the old word or the new one, never half
    /// of it. Nothing is written where one of the names is none.
    ///
    /// # Errors
    /// - `step.host`, `node.set`, `step.word`: not a host, not a node set, not a word
    /// - `step.write`: the file cannot be written
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps", #{ form: "kaboot" });
    /// steps.set("10.0.0.7", "ready");
    /// steps.get("10.0.0.7")                     // => "ready"
    /// steps.set("10.0.0.7", "two words")        // => throws step.word
    /// steps.set("node[1-2]", "install");
    /// steps.get("node2")                        // => "install"
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn set(ctx: NativeCallContext, store: &mut Store, hosts: Dynamic, word: &str) -> Raw<()> {
        let host = host_of(&ctx);
        let names = checked_hosts(hosts)?;
        for name in &names {
            let effect = Effect::new("step.set", format!("{name} {word}"), Weight::Change);
            host.perform(effect, || store.0.set(&host, name, word))?;
        }
        Ok(())
    }

    /// Forgets the step of a host, or of all of a node set or a list; one that has none is fine.
    ///
    /// # Errors
    /// - `step.host`, `node.set`, `step.write`
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps");
    /// steps.set("node1", "ready");
    /// steps.clear("node1");
    /// steps.get("node1")                        // => ()
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn clear(ctx: NativeCallContext, store: &mut Store, hosts: Dynamic) -> Raw<()> {
        let host = host_of(&ctx);
        let folder = store.0.folder("forget a step")?;
        for name in &checked_hosts(hosts)? {
            host.perform(Effect::new("step.clear", name, Weight::Change), || folder.clear(name))?;
        }
        Ok(())
    }

    /// All hosts that have a step, as a map.
    ///
    /// # Errors
    /// - `step.read`: the folder or a file cannot be read
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps");
    /// steps.set("node1", "ready");
    /// steps.set("node2", "lilo");
    /// steps.all()                               // => #{ node1: "ready", node2: "lilo" }
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn all(ctx: NativeCallContext, store: &mut Store) -> Raw<Map> {
        host_of(&ctx);
        Ok(store
            .0
            .folder("list the steps")?
            .all()?
            .into_iter()
            .map(|(host, word)| (host.into(), word.into()))
            .collect())
    }

    /// As below, without an end.
    #[rhai_fn(global, name = "wait", return_raw)]
    pub fn wait(ctx: NativeCallContext, store: &mut Store, hosts: Dynamic, word: &str) -> Raw<()> {
        wait_with(ctx, store, hosts, word, Map::new())
    }

    /// Waits until every host (a node set as `node::expand` reads it, or a list) stands at a step.
    ///
    /// # Options
    /// - `timeout` (time, for ever): how long
    ///
    /// # Errors
    /// - `step.timeout`: names the hosts that are not there, and where they stand; `report` is a map of them
    ///
    /// # Example
    /// ```rhai
    /// let steps = step::open("steps");
    /// steps.set("node1", "ready");
    /// steps.wait("node1", "ready");
    /// steps.wait("node[1-2]", "ready", #{ timeout: "1ms" })  // => throws step.timeout
    /// ```
    #[rhai_fn(global, name = "wait", return_raw)]
    pub fn wait_with(ctx: NativeCallContext, store: &mut Store, hosts: Dynamic, word: &str, options: Map) -> Raw<()> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "store.wait", options)?;
        Ok(store.0.wait(&host, &hosts_of(hosts)?, word, opts.time("timeout")?)?)
    }

    /// The folder, as a whole path; `server/dir` where it is one of a server.
    ///
    /// # Example
    /// ```rhai
    /// step::open("steps").dir.ends_with("/steps")    // => true
    /// ```
    #[rhai_fn(global, get = "dir", pure)]
    pub fn dir(store: &mut Store) -> ImmutableString {
        store.0.place().into()
    }
}
