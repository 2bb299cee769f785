//! `proc`: programs, run without a shell.

use super::prelude::*;
use super::words::words;
use crate::kit::process::{self, Options};

/// Only plain values pass here.
pub fn types(_: &mut Engine) {}

fn environment(opts: &Opts) -> Result<Vec<(std::ffi::OsString, std::ffi::OsString)>> {
    let vars = opts.map("env")?.unwrap_or_default();
    let values = words("proc::run", vars.values().cloned().collect())?;
    Ok(vars.keys().map(|name| name.as_str().into()).zip(values.into_iter().map(Into::into)).collect())
}

fn input(opts: &Opts) -> Result<Option<Vec<u8>>> {
    match opts.raw("input") {
        Some(value) if value.is_blob() => Ok(value.into_blob().ok()),
        _ => Ok(opts.text("input")?.map(String::into_bytes)),
    }
}

fn read_options(ctx: &NativeCallContext, options: Map) -> Result<Options> {
    let opts = options_of(ctx, "proc::run", options)?;
    Ok(Options {
        chroot: opts.path("chroot")?,
        env: environment(&opts)?,
        input: input(&opts)?,
        timeout: opts.time("timeout")?,
        dir: opts.path("dir")?,
        show: opts.flag("show")?,
        check: if opts.raw("check").is_some() { opts.flag("check")? } else { true },
        ..Options::default()
    })
}

#[export_module]
pub mod module {
    /// Runs a program to its end and gives `#{ code, out, err }`: exit status (128 and the signal's number for one that
    /// a signal ended) and what it printed. No shell stands between: each argument arrives as it stands. Its standard
    /// input is empty unless `input` says otherwise. Of more than 8 MiB printed, the middle is left out. Ctrl-C and
    /// `timeout` end it with all it started.
    ///
    /// # Options
    /// - `chroot` (path, none): run inside this tree; mount its `/dev`, `/proc` and `/sys` before where needed
    /// - `env` (map, none): variables set on top of kar's own
    /// - `input` (text or blob, none): what the program reads from its standard input
    /// - `timeout` (time, none): kill it after this long
    /// - `check` (flag, true): an exit status other than 0 is an error
    /// - `dir` (path, kar's own): working directory; with `chroot`, inside of it
    /// - `show` (flag, false): what it prints goes where kar's own goes, as it comes; `out` and `err` are empty
    ///
    /// # Errors
    /// - `proc.missing`: no such program; the hint names the Debian package where it is known
    /// - `proc.start`: it is there and cannot be run, or `chroot` or `dir` is no folder
    /// - `proc.failed`: exit status or signal, with the last lines of standard error
    /// - `proc.timeout`: it took longer than `timeout`
    /// - `proc.argument`: an argument is neither text nor number
    ///
    /// # Example
    /// ```rhai
    /// proc::run("echo", ["a  b", 7]).out                           // => "a  b 7\n"
    /// proc::run("sort", [], #{ input: "b\na\n" }).out              // => "a\nb\n"
    /// proc::run("sh", ["-c", "exit 3"], #{ check: false }).code    // => 3
    /// proc::run("sh", ["-c", "exit 3"])                            // => throws proc.failed
    /// proc::run("no-such-program", [])                             // => throws proc.missing
    /// proc::run("sleep", [60], #{ timeout: "10ms" })               // => throws proc.timeout
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_with(ctx: NativeCallContext, program: &str, args: Array, options: Map) -> Raw<Map> {
        let options = read_options(&ctx, options)?;
        let args = words("proc::run", args)?;
        let host = host_of(&ctx);
        let effect = Effect::new("proc.run", format!("{program} {}", args.join(" ")).trim_end(), Weight::Change);
        let output = host.perform(effect, || process::run(program, &args, &options, &host.cancel()))?;
        Ok(to_dynamic(&output).cast())
    }

    /// As above, without options.
    #[rhai_fn(return_raw)]
    pub fn run(ctx: NativeCallContext, program: &str, args: Array) -> Raw<Map> {
        run_with(ctx, program, args, Map::new())
    }
}
