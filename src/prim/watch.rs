//! `watch`: what nodes do, as they tell it.

use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use super::served::binds;
use crate::host::Hold;
use crate::kit::watch::{Options, Watch};

/// A running server; clones are the same one.
#[derive(Clone)]
pub struct WatchHandle(Arc<Open>);

struct Open {
    watch: Watch,
    /// Ends it when the last handle goes.
    hold: Hold,
}

/// Names the handle to the engine.
pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<WatchHandle>("watch");
}

/// The port unless said: behind that of the chain.
const PORT: u16 = 30766;

#[export_module]
pub mod module {
    /// Listens to the nodes of a rollout: what each does, its log, how far it is, how it ended. A node is told by its kernel's command
    /// line where to tell it: `kar.report=ADDRESS:PORT,TOKEN`. What it says before its network is up, or while the network blinks,
    /// arrives later: numbered, nothing twice.
    ///
    /// # Options
    /// - `bind` (text, "0.0.0.0:30766"): address and port to listen on; port 0 takes a free one
    /// - `silent` (time, "30s"): nothing heard of a node at work for so long: it is named
    /// - `boot` (time, "5m"): the same for one that was told to boot
    ///
    /// # Errors
    /// - `watch.bind`: cannot listen there
    ///
    /// # Example
    /// ```rhai
    /// let watch = watch::serve(#{ bind: "127.0.0.1:0" });
    /// watch.admit("node1", "install").len       // => 32
    /// watch.next().event                        // => "boot"
    /// watch.nodes[0].state                      // => "booting"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn serve(ctx: NativeCallContext, options: Map) -> Raw<WatchHandle> {
        let opts = options_of(&ctx, "watch::serve", options)?;
        let host = host_of(&ctx);
        let bind = match binds(&opts, PORT)?[..] {
            [bind] => bind,
            _ => return Err(opts.refuse("bind", "nodes tell one address").into()),
        };
        let time = |name: &str, seconds| opts.time(name).map(|time| time.unwrap_or(Duration::from_secs(seconds)));
        let options = Options { bind, silent: time("silent", 30)?, boot: time("boot", 300)? };
        let end = host.end().child();
        let effect = Effect::new("watch.serve", bind.to_string(), Weight::Change);
        let watch = host.perform(effect, || host.wait(Watch::start(options, end.clone())))?;
        let hold = host.hold("watch.stop", &watch.address().to_string(), move || {
            end.set();
            Ok(())
        });
        Ok(WatchHandle(Arc::new(Open { watch, hold })))
    }

    /// Ends it.
    ///
    /// # Example
    /// ```rhai
    /// let watch = watch::serve(#{ bind: "127.0.0.1:0" });
    /// watch.stop();
    /// watch.next()                              // => ()
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn stop(ctx: NativeCallContext, watch: &mut WatchHandle) -> Raw<()> {
        host_of(&ctx);
        watch.0.watch.stop();
        Ok(watch.0.hold.release()?)
    }

    /// A boot of a node begins, for the work that is named. Gives the token by which kar on the node is known in this boot; that of
    /// a boot long before counts no more.
    ///
    /// # Example
    /// ```rhai
    /// let watch = watch::serve(#{ bind: "127.0.0.1:0" });
    /// watch.admit("node1", "install") == watch.admit("node1", "install")   // => false
    /// ```
    #[rhai_fn(global)]
    pub fn admit(watch: &mut WatchHandle, name: &str, work: &str) -> String {
        watch.0.watch.admit(name, work)
    }

    /// The next happening: `#{ event, node, text, at, report }`, event one of `boot` (text: for what), `info`, `step`, `warn`,
    /// `error` (the node's log), `done` (`report` is what its work gave back), `failed` (why), `silent`, `back`; `at` in
    /// seconds after the start of the node's kernel. `()` when the time is over, or the server has ended.
    ///
    /// # Options
    /// - `timeout` (time, for ever): how long to wait for one
    ///
    /// # Example
    /// ```rhai
    /// let watch = watch::serve(#{ bind: "127.0.0.1:0", boot: "10ms" });
    /// watch.next(#{ timeout: "1ms" })           // => ()
    /// watch.admit("node1", "install");
    /// watch.next().event                        // => "boot"
    /// watch.next().event                        // => "silent"
    /// ```
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next_with(ctx: NativeCallContext, watch: &mut WatchHandle, options: Map) -> Raw<Dynamic> {
        let opts = options_of(&ctx, "watch.next", options)?;
        let host = host_of(&ctx);
        let timeout = opts.time("timeout")?;
        let next = watch.0.watch.next();
        let found = host.wait(async move {
            match timeout {
                Some(time) => Ok(tokio::time::timeout(time, next).await.ok().flatten()),
                None => Ok(next.await),
            }
        })?;
        Ok(found.map_or(Dynamic::UNIT, |happening| to_dynamic(&happening)))
    }

    /// As above, without a bound.
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next(ctx: NativeCallContext, watch: &mut WatchHandle) -> Raw<Dynamic> {
        next_with(ctx, watch, Map::new())
    }

    /// Where each node is: `#{ name, work, state, step, text, bytes, report, quiet }`, state one of `booting`, `running`, `done`,
    /// `failed`, `silent`; `bytes` of its stream, `quiet` seconds since it was heard.
    ///
    /// # Example
    /// ```rhai
    /// let watch = watch::serve(#{ bind: "127.0.0.1:0" });
    /// watch.nodes                               // => []
    /// ```
    #[rhai_fn(global, get = "nodes", pure)]
    pub fn nodes(watch: &mut WatchHandle) -> Array {
        watch.0.watch.nodes().iter().map(to_dynamic).collect()
    }

    /// The port that it listens on.
    ///
    /// # Example
    /// ```rhai
    /// watch::serve(#{ bind: "127.0.0.1:0" }).port > 0   // => true
    /// ```
    #[rhai_fn(global, get = "port", pure)]
    pub fn port(watch: &mut WatchHandle) -> i64 {
        i64::from(watch.0.watch.address().port())
    }
}
