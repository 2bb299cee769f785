//! What a running script gives its primitives: the host, and engines for closures called elsewhere.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, Map, NativeCallContext, Position};

use crate::host::{Fault, Host};

/// What a native function returns to the engine.
pub type Raw<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Implemented by the script room, the only one that builds engines and knows the sources.
pub trait Scripts: Send + Sync {
    /// An engine of its own for the calling thread.
    fn engine(&self, ground: &Ground) -> Engine;

    /// Calls a function of another script file, read as it is now.
    fn call(&self, ground: &Ground, file: &Path, function: &str, args: Vec<Dynamic>) -> Raw<Dynamic>;

    /// All scripts of this run, as they were read.
    fn sources(&self) -> Sources;

    /// Where an error comes from, for a log line: `site.rhai:12:8`; empty where the engine lost the place.
    fn place(&self, error: &EvalAltResult) -> String;
}

/// The scripts of a run.
pub struct Sources {
    /// The name of the recipe itself.
    pub recipe: String,
    /// `--lib`, in its order.
    pub lib: Vec<PathBuf>,
    /// Name, file (none: in the binary), text.
    pub scripts: Vec<(String, Option<PathBuf>, String)>,
}

/// Stands in every engine as its tag, so that a primitive finds it in its call context.
#[derive(Clone)]
pub struct Ground {
    pub host: Host,
    pub scripts: Arc<dyn Scripts>,
}

thread_local! {
    /// Where the script calls the primitive that is at work on this thread: the engine does not give its place to an
    /// error of a `module::function`. Set by [`host_of`] and `options_of`, which every primitive that can fail begins
    /// with; kept over closures by [`Callback`](super::callback::Callback).
    static CALL: Cell<Position> = const { Cell::new(Position::NONE) };
}

/// Remembers the place of this call for the faults it may end with.
pub(super) fn begin(ctx: &NativeCallContext) {
    CALL.set(ctx.call_position());
}

/// Runs a script's closure from inside a primitive, whose own place is the current one again afterwards.
pub(super) fn keeping_place<T>(body: impl FnOnce() -> T) -> T {
    let place = CALL.get();
    let result = body();
    CALL.set(place);
    result
}

impl Ground {
    pub(super) fn of(ctx: &NativeCallContext) -> Ground {
        ctx.tag().and_then(|tag| tag.clone().try_cast::<Ground>()).expect("the script room tags every engine")
    }
}

/// The host a primitive works on. Called first in every primitive that can fail: see [`begin`].
pub fn host_of(ctx: &NativeCallContext) -> Host {
    begin(ctx);
    Ground::of(ctx).host
}

impl From<Fault> for Box<EvalAltResult> {
    fn from(fault: Fault) -> Self {
        if fault.is_stopped() {
            // Not catchable by a script: nothing may keep Ctrl-C from ending it.
            return EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into();
        }
        EvalAltResult::ErrorRuntime(from_fault(&fault), CALL.get()).into()
    }
}

/// A fault as scripts see it: `#{ kind, message, hints, report }`.
pub fn from_fault(fault: &Fault) -> Dynamic {
    let mut map = Map::new();
    map.insert("kind".into(), fault.kind.to_string().into());
    map.insert("message".into(), fault.message.clone().into());
    map.insert("hints".into(), fault.hints.iter().map(|h| Dynamic::from(h.clone())).collect::<Vec<_>>().into());
    let report = fault.report.as_ref().and_then(|report| rhai::serde::to_dynamic(report).ok());
    map.insert("report".into(), report.unwrap_or(Dynamic::UNIT));
    map.into()
}

/// The fault in a thrown value, and `script.thrown` for anything else that a script throws.
pub fn to_fault(value: &Dynamic) -> Fault {
    let Some(map) = value.clone().try_cast::<Map>() else {
        return Fault::new("script.thrown", value.to_string());
    };
    let text = |name: &str| map.get(name).and_then(|v| v.clone().into_string().ok());
    let (Some(kind), Some(message)) = (text("kind"), text("message")) else {
        return Fault::new("script.thrown", Dynamic::from(map).to_string());
    };
    let mut fault = Fault::new(kind, message);
    if let Some(hints) = map.get("hints").and_then(|h| h.clone().try_cast::<rhai::Array>()) {
        fault.hints = hints.iter().map(Dynamic::to_string).collect();
    }
    if let Some(report) = map.get("report").filter(|report| !report.is_unit()) {
        fault.report = rhai::serde::from_dynamic(report).ok().map(Box::new);
    }
    fault
}
