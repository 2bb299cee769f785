//! Closures of a script, called later and from other threads.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Array, Dynamic, Engine, FnPtr, Map, NativeCallContext};

use super::errors::fault_of;
use super::ground::{Ground, Raw, keeping_place};
use crate::host::{Result, Worker};

/// Bytes of stack of every thread that runs a script, closures that servers call included. What the engine's limit on
/// calls within calls can use, with room to spare; only what is used takes memory.
pub const STACK: usize = 64 << 20;

// The engine calls these volatile; they are the only way to give a closure its modules and functions again.
#[expect(deprecated)]
type Context = rhai::NativeCallContextStore;

/// A closure with all it needs to be called on another thread: the functions and imports that were in sight where it
/// was handed over, and copies of what it captured.
#[derive(Clone)]
pub struct Callback(Arc<Inner>);

struct Inner {
    ground: Ground,
    context: Context,
    closure: FnPtr,
}

thread_local! {
    /// Engines are made once for each thread: making one costs as much as a thousand calls.
    static ENGINE: RefCell<Option<Rc<Engine>>> = const { RefCell::new(None) };
}

impl Callback {
    pub fn of(ctx: &NativeCallContext, closure: FnPtr) -> Self {
        #[expect(deprecated)]
        let context = ctx.store_data();
        Callback(Arc::new(Inner { ground: Ground::of(ctx), context, closure: detach_closure(closure) }))
    }

    /// Calls it on this thread, with an engine of this thread's own. The error keeps its place in the script.
    pub fn call_raw(&self, args: Vec<Dynamic>) -> Raw<Dynamic> {
        self.call_own(args.into_iter().map(detach).collect())
    }

    /// As above, of values that were made for this call and share nothing.
    fn call_own(&self, args: Vec<Dynamic>) -> Raw<Dynamic> {
        let Inner { ground, context, closure } = &*self.0;
        let engine = ENGINE.with_borrow_mut(|slot| match slot {
            Some(engine) => engine.clone(),
            None => slot.insert(Rc::new(ground.scripts.engine(ground))).clone(),
        });
        #[expect(deprecated)]
        let ctx = context.create_context(&engine);
        Ok(keeping_place(|| closure.call_raw(&ctx, None, args))?.flatten())
    }

    /// A decision that a server waits for: bounded in time, its failure a fault that names the place in the script.
    /// `args` share nothing mutable with anything.
    ///
    /// # Errors
    /// The closure's fault; `host.late` when `limit` is over.
    pub fn call(&self, args: Vec<Dynamic>, limit: Duration) -> Result<Dynamic> {
        let worker = Worker { deadline: Some(Instant::now() + limit), ..Worker::current() };
        worker.run(|| self.call_own(args)).map_err(|error| {
            let mut fault = fault_of(&error);
            let place = self.0.ground.scripts.place(&error);
            if !place.is_empty() {
                fault.message = format!("{} (at {place})", fault.message);
            }
            fault
        })
    }
}

/// A copy that shares nothing mutable with the original, however deep.
pub(super) fn detach(value: Dynamic) -> Dynamic {
    let value = value.flatten();
    if value.is_array() {
        return value.cast::<Array>().into_iter().map(detach).collect::<Array>().into();
    }
    if value.is_map() {
        return value.cast::<Map>().into_iter().map(|(k, v)| (k, detach(v))).collect::<Map>().into();
    }
    match value.is_fnptr() {
        true => detach_closure(value.cast()).into(),
        false => value,
    }
}

fn detach_closure(mut closure: FnPtr) -> FnPtr {
    for captured in closure.iter_curry_mut() {
        *captured = detach(std::mem::take(captured));
    }
    closure
}
