//! What every primitive's file starts with.

pub use rhai::plugin::*;
pub use rhai::{Array, Blob, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, Position};

pub use super::callback::Callback;
pub use super::ends::{SinkValue, SourceValue};
pub use super::ground::{Raw, from_fault, host_of, to_fault};
pub use crate::host::{Effect, Fault, Host, Level, Opts, Planned, Result, Weight};

/// The options of one call, checked against the `# Options` list of its doc comment. `call` is `module::function`.
pub fn options_of(ctx: &NativeCallContext, call: &'static str, options: Map) -> Result<Opts> {
    super::ground::begin(ctx);
    Opts::new(call, options, super::doc::options_of(call))
}

/// A plain Rust value as a script value: structs become maps, enums texts, integers `int`.
pub fn to_dynamic(value: &impl serde::Serialize) -> Dynamic {
    rhai::serde::to_dynamic(value).expect("plain data has a script form")
}
