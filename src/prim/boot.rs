//! `boot`: what a node is told at a network boot, and the words of each boot loader.

use std::time::Duration;

use super::prelude::*;
use crate::kit::boot::old::{self, Language, Program};
use crate::kit::boot::{self, Decision, Flavour};

/// Decisions are plain maps.
pub fn types(_: &mut Engine) {}

fn shown(decision: Decision) -> Result<Map> {
    decision.check()?;
    Ok(to_dynamic(&decision).cast())
}

fn decision_of(map: Map) -> Result<Decision> {
    rhai::serde::from_dynamic(&map.into()).map_err(|error| {
        Fault::new("boot.decision", format!("this is no boot decision: {error}"))
            .hint("decisions come from boot::linux, boot::kar, boot::local, boot::chain and boot::menu")
    })
}

fn pairs_of(map: Map) -> Vec<(String, String)> {
    map.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// How long a script waits for the closure that reads a file.
const FILE: Duration = Duration::from_secs(5);

/// How a boot script gets its files.
type Fetch = Box<dyn FnMut(&str) -> Result<Option<Vec<u8>>>>;

/// The language an option names, or the one the script is in.
fn language_of(opts: &Opts, text: &str) -> Result<Language> {
    match opts.text("language")? {
        Some(name) => Language::named(&name),
        None => Ok(Language::of(&opts.text("name")?.unwrap_or_default(), text)),
    }
}

/// The closure or folder that an option `read` gives.
fn fetch_of(ctx: &NativeCallContext, opts: &Opts) -> Result<Fetch> {
    let Some(read) = opts.raw("read") else { return Ok(Box::new(|_| Ok(None))) };
    if read.is_string() {
        let dir = opts.path("read")?.unwrap_or_default();
        return Ok(Box::new(move |name| old::file_in(&dir, name)));
    }
    let closure = opts.value::<FnPtr>("read", "a closure or a folder")?;
    let callback = Callback::of(ctx, opts.need("read", closure)?);
    Ok(Box::new(move |name| {
        let value = callback.call(vec![name.to_string().into()], FILE)?;
        if value.is_unit() {
            return Ok(None);
        }
        if value.is_blob() {
            return Ok(Some(value.cast::<Blob>()));
        }
        let kind = value.type_name();
        let wrong = |_| {
            Fault::new("boot.answer", format!("`read` returned {kind} for `{name}`: it returns a text, a blob or ()"))
        };
        value.into_string().map(|text| Some(text.into_bytes())).map_err(wrong)
    }))
}

#[export_module]
pub mod module {
    /// Runs a boot script of the systems before, ka-boot or BpBatch, into a decision: what it does at a node's boot is
    /// done here instead. `run` and `in-file` get their files from `read`: a closure `|name| ..` that returns a text, a
    /// blob, or `()` for what is not there; or a folder. Without it there is no file.
    ///
    /// # Options
    /// - `ip` (text): the node's address, `$Client-IP` and `$BOOTP-Your-IP`
    /// - `read` (closure or path, none): files of the server
    /// - `language` (text, by the script): "ka-boot" or "bpbatch"
    /// - `name` (text, ""): the script's name; its ending `.kbt` or `.bpb` says the language
    /// - `variables` (map, none): more variables, by name
    ///
    /// # Errors
    /// - `boot.script`: what it cannot read, with line and column; a circle; an end without a boot
    /// - `boot.language`, `boot.answer`, `boot.file`
    ///
    /// # Example
    /// ```rhai
    /// let script = "if \"ready\" in-file \"steps/$BOOTP-Your-IP\" goto disk\nlinuxboot \"vmlinuz\"\n:disk\nhdboot\n";
    /// boot::interpret(script, #{ ip: "10.0.0.7" }).kernel                            // => "vmlinuz"
    /// boot::interpret(script, #{ ip: "10.0.0.7", read: |name| "ready" }).boot        // => "local"
    /// boot::interpret("linuxbot \"vmlinuz\"", #{ ip: "10.0.0.7" })                     // => throws boot.script
    /// ```
    #[rhai_fn(return_raw)]
    pub fn interpret(ctx: NativeCallContext, script: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "boot::interpret", options)?;
        let ip = opts.need("ip", opts.text("ip")?)?;
        let variables = pairs_of(opts.map("variables")?.unwrap_or_default()).into_iter().collect();
        let program = Program::parse(script, language_of(&opts, script)?)?;
        let outcome = old::run(&program, &old::Node { ip, variables }, &mut fetch_of(&ctx, &opts)?)?;
        for line in outcome.said.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
            host.log(Level::Trace, line);
        }
        Ok(shown(outcome.decision)?)
    }

    /// As below, with nothing said.
    #[rhai_fn(name = "rewrite", return_raw)]
    pub fn rewrite(ctx: NativeCallContext, script: &str) -> Raw<String> {
        rewrite_with(ctx, script, Map::new())
    }

    /// A boot script of the systems before as a function `boot(node)` in Rhai that decides alike, as `kar import` writes it. The
    /// file `DIR/ADDRESS` that a script reads is the node's step file, `node.step`; other files it runs are taken in
    /// from `read`, as `boot::interpret` takes them.
    ///
    /// # Options
    /// - `read` (closure or path, none): files of the server
    /// - `language` (text, by the script): "ka-boot" or "bpbatch"
    /// - `name` (text, ""): the script's name; its ending `.kbt` or `.bpb` says the language
    ///
    /// # Errors
    /// - `boot.script`: what it cannot read, and what no function of step and address can say; with line and column
    /// - `boot.language`, `boot.answer`, `boot.file`
    ///
    /// # Example
    /// ```rhai
    /// let script = "if \"ready\" in-file \"steps/$BOOTP-Your-IP\" goto disk\nlinuxboot \"vmlinuz\"\n:disk\nhdboot\n";
    /// boot::rewrite(script).split("\n")[6]          // => "        _ => boot::linux(#{ kernel: \"vmlinuz\" }),"
    /// boot::rewrite("run $Client-IP")               // => throws boot.script
    /// ```
    #[rhai_fn(name = "rewrite", return_raw)]
    pub fn rewrite_with(ctx: NativeCallContext, script: &str, options: Map) -> Raw<String> {
        host_of(&ctx);
        let opts = options_of(&ctx, "boot::rewrite", options)?;
        let name = opts.text("name")?.unwrap_or_default();
        let program = Program::parse(script, language_of(&opts, script)?)?;
        Ok(old::import(&program, &name, &mut fetch_of(&ctx, &opts)?)?)
    }

    /// Boots a kernel. Paths are as the boot loader fetches them: relative to its server, or URLs.
    ///
    /// # Options
    /// - `kernel` (text): the kernel
    /// - `initrd` (text or list, none): initial ramdisks, in order
    /// - `cmdline` (text, ""): the kernel's command line, at most 2047 bytes
    ///
    /// # Errors
    /// - `boot.value`: a value that could break out of its line, or that no boot loader takes
    ///
    /// # Example
    /// ```rhai
    /// boot::linux(#{ kernel: "vmlinuz", cmdline: "root=LABEL=root" }).boot      // => "linux"
    /// boot::linux(#{ kernel: "vmlinuz", cmdline: "quiet\nboot evil" })          // => throws boot.value
    /// ```
    #[rhai_fn(return_raw)]
    pub fn linux(ctx: NativeCallContext, options: Map) -> Raw<Map> {
        host_of(&ctx);
        let opts = options_of(&ctx, "boot::linux", options)?;
        let kernel = opts.need("kernel", opts.text("kernel")?)?;
        let cmdline = boot::cmdline::tidy(&opts.text("cmdline")?.unwrap_or_default());
        // A line end is no blank to be tidied away: it is a mistake, or worse.
        if opts.text("cmdline")?.is_some_and(|line| line.contains(char::is_control)) {
            let why = "holds a line end or another control character";
            return Err(Fault::new("boot.value", format!("cmdline of `boot::linux` {why}")).into());
        }
        Ok(shown(Decision::Linux { kernel, initrd: opts.texts("initrd")?, cmdline })?)
    }

    /// As below, with nothing else said.
    #[rhai_fn(name = "kar", return_raw)]
    pub fn kar(ctx: NativeCallContext, entry: &str) -> Raw<Map> {
        kar_with(ctx, entry, Map::new())
    }

    /// Boots kar itself on the node, which calls the recipe's function `entry`.
    ///
    /// # Options
    /// - `kernel` (text, "kar/vmlinuz"): the kernel
    /// - `initrd` (text or list, "kar/initrd.img"): initial ramdisks with kar in them
    /// - `cmdline` (text, ""): more for the kernel
    /// - `args` (map, none): arguments of the recipe; go as `kar.NAME=VALUE`
    ///
    /// # Errors
    /// - `boot.value`: not the name of a function, or a value that no command line can hold
    ///
    /// # Example
    /// ```rhai
    /// let told = boot::kar("install", #{ args: #{ server: "10.0.0.1" } });
    /// `${told.boot} ${told.entry} ${told.cmdline}`     // => "kar install kar.server=10.0.0.1"
    /// boot::kar("no such function")                    // => throws boot.value
    /// ```
    #[rhai_fn(name = "kar", return_raw)]
    pub fn kar_with(ctx: NativeCallContext, entry: &str, options: Map) -> Raw<Map> {
        host_of(&ctx);
        let opts = options_of(&ctx, "boot::kar", options)?;
        let kernel = opts.text("kernel")?.unwrap_or_else(|| "kar/vmlinuz".into());
        let initrd = match opts.raw("initrd") {
            Some(_) => opts.texts("initrd")?,
            None => vec!["kar/initrd.img".into()],
        };
        let args = pairs_of(opts.map("args")?.unwrap_or_default());
        let more = opts.text("cmdline")?.unwrap_or_default();
        Ok(shown(boot::kar(entry, &kernel, initrd, &more, &args)?)?)
    }

    /// Goes on with the firmware's next boot device: the machine's own disk.
    ///
    /// # Example
    /// ```rhai
    /// boot::local()                             // => #{ boot: "local" }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn local(ctx: NativeCallContext) -> Raw<Map> {
        host_of(&ctx);
        Ok(shown(Decision::Local {})?)
    }

    /// Hands over to another boot loader or script.
    ///
    /// # Errors
    /// - `boot.value`: a path that no boot loader takes
    ///
    /// # Example
    /// ```rhai
    /// boot::chain("ipxe.efi").path              // => "ipxe.efi"
    /// boot::chain("two words")                  // => throws boot.value
    /// ```
    #[rhai_fn(return_raw)]
    pub fn chain(ctx: NativeCallContext, path: &str) -> Raw<Map> {
        host_of(&ctx);
        Ok(shown(Decision::Chain { path: path.into() })?)
    }

    /// As below, with nothing else said.
    #[rhai_fn(name = "menu", return_raw)]
    pub fn menu(ctx: NativeCallContext, entries: Array) -> Raw<Map> {
        menu_with(ctx, entries, Map::new())
    }

    /// Lets a person at the console choose between decisions, each `#{ title, decision }`.
    ///
    /// # Options
    /// - `title` (text, ""): above the menu
    /// - `timeout` (time, for ever): then the first entry boots; whole seconds
    ///
    /// # Errors
    /// - `boot.decision`: an entry without title or decision
    /// - `boot.value`: a title that no boot loader can show, a menu inside a menu
    ///
    /// # Example
    /// ```rhai
    /// let menu = boot::menu([
    ///     #{ title: "Disk", decision: boot::local() },
    ///     #{ title: "Install", decision: boot::kar("install") },
    /// ], #{ timeout: "5s" });
    /// menu.entries.len                          // => 2
    /// boot::menu([])                            // => throws boot.value
    /// ```
    #[rhai_fn(name = "menu", return_raw)]
    pub fn menu_with(ctx: NativeCallContext, entries: Array, options: Map) -> Raw<Map> {
        host_of(&ctx);
        let opts = options_of(&ctx, "boot::menu", options)?;
        let timeout = opts.time("timeout")?.map_or(0, |time| time.as_secs().clamp(1, 3600) as i64);
        let mut map = Map::new();
        map.insert("boot".into(), "menu".into());
        map.insert("title".into(), opts.text("title")?.unwrap_or_default().into());
        map.insert("timeout".into(), timeout.into());
        map.insert("entries".into(), entries.into());
        Ok(shown(decision_of(map)?)?)
    }

    /// The whole script or configuration for a boot loader: "ipxe", "pxelinux" or "grub".
    ///
    /// # Errors
    /// - `boot.decision`: not a decision
    /// - `boot.flavour`: not a boot loader known here
    /// - `boot.value`: a value that this boot loader cannot be told safely
    ///
    /// # Example
    /// ```rhai
    /// boot::render(boot::local(), "ipxe")       // => "#!ipxe\nexit 1\n"
    /// boot::render(boot::local(), "lilo")       // => throws boot.flavour
    /// ```
    #[rhai_fn(return_raw)]
    pub fn render(ctx: NativeCallContext, decision: Map, loader: &str) -> Raw<String> {
        host_of(&ctx);
        Ok(boot::render(&decision_of(decision)?, Flavour::named(loader)?)?)
    }

    /// The decision in an iPXE script, as far as `boot::render` writes them.
    ///
    /// # Errors
    /// - `boot.read`: not an iPXE script, or one that does more; names the line
    ///
    /// # Example
    /// ```rhai
    /// let script = boot::render(boot::kar("install"), "ipxe");
    /// boot::read(script).entry                  // => "install"
    /// boot::read("#!ipxe\nshell\n")             // => throws boot.read
    /// ```
    #[rhai_fn(return_raw)]
    pub fn read(ctx: NativeCallContext, text: &str) -> Raw<Map> {
        host_of(&ctx);
        Ok(shown(boot::read(text)?)?)
    }

    /// The names and values on a kernel command line; a bare word has the value "".
    ///
    /// # Example
    /// ```rhai
    /// boot::arguments("kar.server=10.0.0.1 quiet")   // => #{ "kar.server": "10.0.0.1", quiet: "" }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn arguments(ctx: NativeCallContext, cmdline: &str) -> Raw<Map> {
        host_of(&ctx);
        Ok(boot::cmdline::arguments(cmdline).into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
