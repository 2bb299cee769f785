//! `node`: the machine kar runs on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ground::Ground;
use super::prelude::*;
use crate::kit::namespace;
use crate::kit::node::{self, Job, Power};
use crate::kit::nodeset;

/// Only plain values pass here.
pub fn types(_: &mut Engine) {}

fn switch(host: &Host, what: Power, opts: &Opts) -> Result<()> {
    let force = opts.flag("force")?;
    let effect = Effect::new(what.verb(), "this machine", Weight::Destroy).guard(|| node::guard(what, force));
    host.perform(effect, || {
        // Nothing runs after this: what is mounted and attached is put away now.
        for fault in host.release_all() {
            host.log(Level::Warn, &fault.message);
        }
        node::power(what)
    })
}

/// Where modules of the binary lie in a job.
const BUILT_IN: &str = "built-in/std";

/// The running recipe with all it has read.
fn job_of(ctx: &NativeCallContext, args: Map) -> Result<Job> {
    let sources = Ground::of(ctx).scripts.sources();
    // What is typed has a name like a file, and a node could call nothing of it.
    let typed = |(name, file, _): &(String, Option<PathBuf>, String)| {
        file.as_ref().is_some_and(|file| !file.exists()).then(|| name.clone())
    };
    if let Some(name) = sources.scripts.iter().find_map(typed) {
        let message = format!("cannot make a job of this run: `{name}` is no file, as what is typed in a session");
        return Err(Fault::new("node.job", message).hint("call it in a recipe, and that with `kar run FILE`"));
    }
    let whole = |path: &Path| {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        real.display().to_string().trim_start_matches('/').to_string()
    };
    let (mut recipe, mut scripts) = (String::new(), BTreeMap::new());
    for (name, file, text) in sources.scripts {
        let path = match (&file, name.strip_prefix("stdlib/")) {
            (Some(file), _) => whole(file),
            (None, Some(module)) => format!("{BUILT_IN}/{module}"),
            (None, None) => format!("built-in/{name}"),
        };
        if name == sources.recipe {
            recipe.clone_from(&path);
        }
        scripts.insert(path, text);
    }
    let lib = sources.lib.iter().map(|dir| whole(dir)).chain([BUILT_IN.to_string()]).collect();
    let args = args.iter().filter_map(|(name, value)| Some((name.to_string(), plain(value)?))).collect();
    Job::new(&recipe, lib, scripts, args)
}

/// What can travel of a value: handles and closures stay here.
fn plain(value: &Dynamic) -> Option<serde_json::Value> {
    if let Some(map) = value.read_lock::<Map>() {
        return Some(map.iter().filter_map(|(name, value)| Some((name.to_string(), plain(value)?))).collect());
    }
    if let Some(list) = value.read_lock::<Array>() {
        return Some(list.iter().filter_map(plain).collect());
    }
    let simple = value.is_unit() || value.is_bool() || value.is_int() || value.is_float() || value.is_string();
    let number = simple && !value.is_string();
    match number {
        true => serde_json::to_value(value).ok(),
        false => simple.then(|| value.to_string().into()),
    }
}

#[export_module]
pub mod module {
    /// What this machine is: `#{ hostname, arch, kernel, cpus, memory, firmware, vendor, product, serial, uuid,
    /// interfaces: [#{ name, mac, carrier }], uptime, virtual }`. `memory` in bytes, `uptime` in seconds, `firmware` is
    /// `"bios"` or `"uefi"`; texts are empty where the machine does not say.
    ///
    /// # Errors
    /// - `node.facts`: /proc is not mounted
    ///
    /// # Example
    /// ```rhai
    /// let facts = node::facts();
    /// facts.cpus >= 1                                  // => true
    /// facts.firmware in ["bios", "uefi"]               // => true
    /// facts.interfaces.all(|i| i.name != "lo")         // => true
    /// type_of(facts.virtual)                           // => "bool"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn facts(ctx: NativeCallContext) -> Raw<Map> {
        host_of(&ctx);
        Ok(to_dynamic(&node::facts()?).cast())
    }

    /// The names in a node set, in the order written, each once: ranges of numbers in brackets, leading zeros kept, commas
    /// or blanks between. At most 100,000.
    ///
    /// # Errors
    /// - `node.set`: a bracket that is not closed, a range that is none; names the column
    ///
    /// # Example
    /// ```rhai
    /// node::expand("icluster[1-3,70],gw")              // => ["icluster1", "icluster2", "icluster3", "icluster70", "gw"]
    /// node::expand("n[08-10]")                         // => ["n08", "n09", "n10"]
    /// node::expand("n[1-3")                            // => throws node.set
    /// ```
    #[rhai_fn(return_raw)]
    pub fn expand(ctx: NativeCallContext, set: &str) -> Raw<Array> {
        host_of(&ctx);
        Ok(nodeset::expand(set)?.into_iter().map(Dynamic::from).collect())
    }

    /// The shortest node set of a list of names, as `node::expand` reads it.
    ///
    /// # Errors
    /// - `node.set`: something in the list is no text
    ///
    /// # Example
    /// ```rhai
    /// node::fold(["n1", "n2", "gw", "n3", "n7"])       // => "n[1-3,7],gw"
    /// node::fold(node::expand("n[08-10]"))             // => "n[08-10]"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fold(ctx: NativeCallContext, names: Array) -> Raw<String> {
        host_of(&ctx);
        let texts: Option<Vec<_>> = names.into_iter().map(|name| name.into_immutable_string().ok()).collect();
        let texts = texts.ok_or_else(|| Fault::new("node.set", "`node::fold` takes a list of texts"))?;
        Ok(nodeset::fold(texts.iter().map(|name| name.as_str())))
    }

    /// Does nothing for root. For anybody else the run ends with exit code 4 and one line that says what for.
    ///
    /// # Errors
    /// - `host.permission`: the effective user is not root
    ///
    /// # Example
    /// ```rhai
    /// node::need_root("partitions are written")
    /// ```
    #[rhai_fn(return_raw)]
    pub fn need_root(ctx: NativeCallContext, why: &str) -> Raw<()> {
        host_of(&ctx);
        match namespace::is_root() {
            true => Ok(()),
            false => Err(Fault::new("host.permission", format!("this needs root: {why}")).into()),
        }
    }

    /// This run as a node may go on with it, a text: the recipe with all scripts it imports, and `args`. A node whose command line
    /// says `kar.job=tftp://SERVER/FILE` fetches it and calls the recipe's `main` with these arguments, its own (`host`,
    /// `server`, `address`, `interface`, `mac`) and `node: #{ entry }`, what `kar.entry` says. Handles and closures in
    /// `args` do not travel.
    ///
    /// # Errors
    /// - `node.job`: there is no recipe, as in a session; or a script lies where it cannot lie below a folder of the node
    ///
    /// # Example
    /// ```rhai
    /// parse_json(node::job(#{ nodes: 3 })).args.nodes  // => 3
    /// ```
    #[rhai_fn(return_raw)]
    pub fn job(ctx: NativeCallContext, args: Map) -> Raw<String> {
        host_of(&ctx);
        Ok(job_of(&ctx, args)?.text())
    }

    /// The kernel's command line as a map: `root=LABEL=x` is `root: "LABEL=x"`, a word alone has the value `""`, of
    /// repeated names the last counts. Words that begin with `kar.` stand in a map of their own, `kar`, without it.
    ///
    /// # Errors
    /// - `node.cmdline`: /proc is not mounted
    ///
    /// # Example
    /// ```rhai
    /// let line = node::cmdline();
    /// type_of(line.kar)                   // => "map"
    /// "no.such.word" in line              // => false
    /// line.kar.get("server") ?? "nobody"  // => "nobody"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cmdline(ctx: NativeCallContext) -> Raw<Map> {
        host_of(&ctx);
        let line = node::cmdline()?;
        let mut map: Map = line.words.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        map.insert("kar".into(), to_dynamic(&line.kar));
        Ok(map)
    }

    /// Loads kernel modules with all they need: a list of names, or one name. Those that are there already are no error.
    ///
    /// # Errors
    /// - `node.modprobe`: a name that is none, or a module that cannot be loaded
    /// - `proc.missing`: this machine has no modprobe
    ///
    /// # Example
    /// ```rhai
    /// node::modprobe(["kernel"])
    /// node::modprobe("../odd name")       // => throws node.modprobe
    /// ```
    #[rhai_fn(return_raw)]
    pub fn modprobe(ctx: NativeCallContext, names: Dynamic) -> Raw<()> {
        let wrong = || Fault::new("node.argument", "`node::modprobe` takes a list of names");
        let names = if names.is_string() { vec![names] } else { names.into_array().map_err(|_| wrong())? };
        let names: Vec<String> =
            names.into_iter().map(|name| name.into_string().map_err(|_| wrong())).collect::<Result<_>>()?;
        let host = host_of(&ctx);
        let effect = Effect::new("node.modprobe", names.join(" "), Weight::Change);
        Ok(host.perform(effect, || node::modprobe(&names, &host.cancel()))?)
    }

    /// Opens the tray of an optical drive, so that the next boot does not start from its disc again.
    ///
    /// # Errors
    /// - `node.eject`: no such drive, a disc that is in use, or no tray
    ///
    /// # Example
    /// ```rhai
    /// node::eject("/dev/no-such-drive")   // => throws node.eject
    /// ```
    #[rhai_fn(name = "eject", return_raw)]
    pub fn eject_drive(ctx: NativeCallContext, drive: &str) -> Raw<()> {
        let effect = Effect::new("node.eject", drive, Weight::Change);
        Ok(host_of(&ctx).perform(effect, || node::eject(Path::new(drive)))?)
    }

    /// As above, the first drive: `/dev/sr0`.
    #[rhai_fn(return_raw)]
    pub fn eject(ctx: NativeCallContext) -> Raw<()> {
        eject_drive(ctx, "/dev/sr0")
    }

    /// Writes out all data, unmounts and detaches what this run holds, and starts the machine again. Only where kar is
    /// the first process, as on a node in its installation.
    ///
    /// # Options
    /// - `force` (flag, false): also where another init runs; that one is not asked, nor are its services stopped
    ///
    /// # Errors
    /// - `node.refused`: kar is not the first process
    /// - `node.power`: not permitted
    ///
    /// # Example
    /// ```rhai
    /// node::reboot()                      // => throws node.refused
    /// ```
    #[rhai_fn(name = "reboot", return_raw)]
    pub fn reboot_with(ctx: NativeCallContext, options: Map) -> Raw<()> {
        let opts = options_of(&ctx, "node::reboot", options)?;
        Ok(switch(&host_of(&ctx), Power::Reboot, &opts)?)
    }

    /// As above, without options.
    #[rhai_fn(return_raw)]
    pub fn reboot(ctx: NativeCallContext) -> Raw<()> {
        reboot_with(ctx, Map::new())
    }

    /// As `node::reboot`, but switches the machine off.
    ///
    /// # Options
    /// - `force` (flag, false): also where another init runs; that one is not asked, nor are its services stopped
    ///
    /// # Errors
    /// - `node.refused`: kar is not the first process
    /// - `node.power`: not permitted
    ///
    /// # Example
    /// ```rhai
    /// node::poweroff()                    // => throws node.refused
    /// ```
    #[rhai_fn(name = "poweroff", return_raw)]
    pub fn poweroff_with(ctx: NativeCallContext, options: Map) -> Raw<()> {
        let opts = options_of(&ctx, "node::poweroff", options)?;
        Ok(switch(&host_of(&ctx), Power::Off, &opts)?)
    }

    /// As above, without options.
    #[rhai_fn(return_raw)]
    pub fn poweroff(ctx: NativeCallContext) -> Raw<()> {
        poweroff_with(ctx, Map::new())
    }
}
