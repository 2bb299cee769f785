//! `log`: what a person reads while it runs.

use std::path::Path;

use super::disks::TableValue;
use super::prelude::*;

/// Only plain values pass here.
pub fn types(_: &mut Engine) {}

/// What is said of a value: texts as they stand, a table as a drawing, the rest as the script would write it.
fn say(ctx: &NativeCallContext, level: Level, value: &Dynamic) {
    let host = host_of(ctx);
    match value.read_lock::<TableValue>() {
        Some(table) => host.log(level, &table.0.draw()),
        None => host.log(level, &value.to_string()),
    }
}

#[export_module]
pub mod module {
    /// Says something on standard error, with the node's name in front where the call works for one. A partition table
    /// is drawn: a bar with names, and a line for each partition.
    ///
    /// # Example
    /// ```rhai
    /// log::info("three nodes joined");
    /// log::info(table::plan("gpt", [#{ name: "root", size: "20GiB" }, #{ name: "home" }]));
    /// ```
    pub fn info(ctx: NativeCallContext, text: Dynamic) {
        say(&ctx, Level::Info, &text);
    }

    /// A warning: it goes on, but somebody should know.
    ///
    /// # Example
    /// ```rhai
    /// log::warn("node7 writes slowly")
    /// ```
    pub fn warn(ctx: NativeCallContext, text: Dynamic) {
        say(&ctx, Level::Warn, &text);
    }

    /// An error that does not end the recipe; to end it, `throw`.
    ///
    /// # Example
    /// ```rhai
    /// log::error("node7 is out")
    /// ```
    pub fn error(ctx: NativeCallContext, text: Dynamic) {
        say(&ctx, Level::Error, &text);
    }

    /// Shown only with `kar run --verbose`.
    ///
    /// # Example
    /// ```rhai
    /// log::trace("mounted")
    /// ```
    pub fn trace(ctx: NativeCallContext, text: Dynamic) {
        say(&ctx, Level::Trace, &text);
    }

    /// A heading: the flow enters a new part.
    ///
    /// # Example
    /// ```rhai
    /// log::step("boot 1: install")
    /// ```
    pub fn step(ctx: NativeCallContext, title: Dynamic) {
        say(&ctx, Level::Step, &title);
    }

    /// Writes the journal of this run to `path` from now on: a JSON line for each effect (time, duration, node, verb,
    /// object, result). Appends; several journals may be open.
    ///
    /// # Errors
    /// - `journal.open`: the file cannot be opened
    ///
    /// # Example
    /// ```rhai
    /// log::journal("journal.jsonl")
    /// ```
    #[rhai_fn(return_raw)]
    pub fn journal(ctx: NativeCallContext, path: &str) -> Raw<()> {
        Ok(host_of(&ctx).journal().open(Path::new(path))?)
    }
}
