//! `task`: work side by side, waits, second tries.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::callback::{STACK, detach};
use super::errors::fault_of;
use super::ground::{Ground, keeping_place};
use super::prelude::*;
use crate::host::{Worker, time_of};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<Task>("task");
    engine.register_type_with_name::<Ended>("outcome");
}

type Outcome = Raw<Dynamic>;

/// A closure at work on a thread of its own.
#[derive(Clone)]
pub struct Task {
    outcome: tokio::sync::watch::Receiver<Option<Arc<Mutex<Option<Outcome>>>>>,
}

fn start_task(callback: Callback, worker: Worker, args: Vec<Dynamic>) -> Result<Task> {
    let (done, outcome) = tokio::sync::watch::channel(None);
    let name = worker.label.clone().unwrap_or_else(|| "task".into());
    std::thread::Builder::new()
        .name(name)
        .stack_size(STACK)
        .spawn(move || {
            let outcome = worker.run(|| {
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| callback.call_raw(args))).unwrap_or_else(
                    |_| Err(Fault::new("kar.panic", "a primitive panicked: this is a bug in kar").into()),
                )
            });
            let _ = done.send(Some(Arc::new(Mutex::new(Some(outcome)))));
        })
        .map_err(|error| Fault::io("task.start", "start a thread", error))?;
    Ok(Task { outcome })
}

impl Task {
    /// Waits for the end, and past Ctrl-C too: every wait in the task ends then by itself, and what it holds open must
    /// not be undone under its hands.
    fn join(&mut self, host: &Host) -> Outcome {
        let ended = host.runtime().block_on(async {
            match self.outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => None,
            }
        });
        ended
            .and_then(|slot| slot.lock().ok()?.take())
            .unwrap_or_else(|| Err(Fault::new("task.taken", "the result of this task was taken before").into()))
    }
}

/// The node a list item stands for: a text itself, or the `name` of a map.
fn label_of(item: &Dynamic) -> Option<String> {
    if item.is_string() {
        return item.clone().into_string().ok();
    }
    let map = item.read_lock::<Map>()?;
    map.get("name")?.clone().into_string().ok()
}

/// How one item of [`module::gather`] ended. The error keeps its place in the script until it is raised.
#[derive(Clone)]
pub struct Ended(Arc<EndedInner>);

struct EndedInner {
    name: String,
    fault: Option<Fault>,
    outcome: Mutex<Option<Outcome>>,
}

impl Ended {
    fn new(name: String, outcome: Outcome) -> Self {
        let fault = outcome.as_ref().err().map(|error| fault_of(error));
        Ended(Arc::new(EndedInner { name, fault, outcome: Mutex::new(Some(outcome)) }))
    }

    /// The value as often as asked; the error with its place once, then the bare fault.
    fn value(&self) -> Outcome {
        let mut slot = self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(_)) => slot.take().expect("just seen"),
            None => Err(self.0.fault.clone().unwrap_or_else(Fault::stopped).into()),
        }
    }
}

fn run_all(ctx: &NativeCallContext, list: Array, body: FnPtr) -> Result<Vec<Ended>> {
    let host = host_of(ctx);
    let callback = Callback::of(ctx, body);
    let tasks = list
        .into_iter()
        .map(|item| {
            let label = label_of(&item);
            let name = label.clone().unwrap_or_else(|| item.to_string());
            // Waited for here, so it has no more time than this thread itself.
            let own = Worker::current();
            let worker = Worker { label: label.or(own.label.clone()), ..own };
            Ok((name, start_task(callback.clone(), worker, vec![item])?))
        })
        .collect::<Result<Vec<_>>>()?;
    let ended = tasks.into_iter().map(|(name, mut task)| Ended::new(name, task.join(&host))).collect();
    host.check()?;
    Ok(ended)
}

/// The error of the first that failed, with its place; its message names all that failed.
fn first_failure(all: &[Ended]) -> Raw<()> {
    let failed: Vec<(&Ended, &Fault)> = all.iter().filter_map(|ended| Some((ended, ended.0.fault.as_ref()?))).collect();
    let Some((first, fault)) = failed.first() else { return Ok(()) };
    let mut fault = (*fault).clone();
    // Many nodes fail for one reason: it is said once.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (ended, fault) in &failed {
        match reasons.iter_mut().find(|(message, _)| *message == fault.message) {
            Some((_, names)) => names.push(&ended.0.name),
            None => reasons.push((&fault.message, vec![&ended.0.name])),
        }
    }
    let lines: Vec<String> =
        reasons.iter().map(|(message, names)| format!("{}: {message}", names.join(", "))).collect();
    fault.message = match failed.len() {
        1 => lines.join(""),
        many => format!("{many} of {} failed: {}", all.len(), lines.join("; ")),
    };
    if fault.report.is_none() {
        let items = failed.iter().map(
            |(ended, fault)| serde_json::json!({ "item": ended.0.name, "kind": fault.kind, "message": fault.message }),
        );
        fault = fault.with_report(items.collect());
    }
    let Err(mut error) = first.value() else { return Ok(()) };
    let mut inner = &mut *error;
    loop {
        match inner {
            EvalAltResult::ErrorInFunctionCall(_, _, next, _) | EvalAltResult::ErrorInModule(_, next, _) => {
                inner = next
            }
            EvalAltResult::ErrorTerminated(..) => break,
            other => {
                *other = EvalAltResult::ErrorRuntime(super::ground::from_fault(&fault), other.position());
                break;
            }
        }
    }
    Err(error)
}

#[export_module]
pub mod module {
    /// Calls a function of another script file, which is read anew each time: a boot script that somebody edits or puts
    /// another in the place of is followed at once. Its imports are looked for beside it.
    ///
    /// # Errors
    /// - `script.read`: the file is not there
    /// - `script.function`: it has no such function with that many parameters
    /// - `script.syntax`, and whatever the function throws
    ///
    /// # Example
    /// ```rhai
    /// fs::write("site.rhai", "fn boot(node) { boot::chain(node.name) }");
    /// task::ask("site.rhai", "boot", [#{ name: "ipxe.efi" }]).path     // => "ipxe.efi"
    /// task::ask("site.rhai", "boots", [])                             // => throws script.function
    /// task::ask("none.rhai", "boot", [])                              // => throws script.read
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ask(ctx: NativeCallContext, file: &str, function: &str, args: Array) -> Raw<Dynamic> {
        host_of(&ctx);
        let ground = Ground::of(&ctx);
        let args = args.into_iter().map(detach).collect();
        Ok(keeping_place(|| ground.scripts.call(&ground, Path::new(file), function, args))?.flatten())
    }

    /// Calls `body` with each item, all at the same time, and gives the results in the order of the list. Log lines and
    /// journal entries of a call bear the item's name: a text itself, or the `name` of a map.
    ///
    /// Every call has copies of what the closure captured: nothing is shared between them. All are waited for, also
    /// when one fails.
    ///
    /// # Errors
    /// - the first failure's own kind; the message names every item that failed, and `report` lists them
    ///
    /// # Example
    /// ```rhai
    /// task::each([1, 2, 3], |n| n * n)                     // => [1, 4, 9]
    /// task::each(["a", "b"], |n| if n == "b" { throw "no" })  // => throws script.thrown
    /// ```
    #[rhai_fn(return_raw)]
    pub fn each(ctx: NativeCallContext, list: Array, body: FnPtr) -> Raw<Array> {
        let ended = run_all(&ctx, list, body)?;
        first_failure(&ended)?;
        ended.iter().map(Ended::value).collect()
    }

    /// As `each`, but nothing is thrown: gives for every item how it ended, in the order of the list. `.ok` tells, `.name`
    /// names the item; `.value` is the result, or throws the item's own error from its own place; `.fault` is that error
    /// as `catch` would show it.
    ///
    /// # Example
    /// ```rhai
    /// let ended = task::gather(["a", "b"], |n| if n == "b" { throw "no" } else { n });
    /// ended.map(|end| end.ok)            // => [true, false]
    /// ended[1].fault.message             // => "no"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn gather(ctx: NativeCallContext, list: Array, body: FnPtr) -> Raw<Array> {
        Ok(run_all(&ctx, list, body)?.into_iter().map(Dynamic::from).collect())
    }

    /// Throws the error of the first item in a `gather` list that failed, from its own place; the message names all that
    /// failed. Does nothing when none did.
    ///
    /// # Errors
    /// - the first failure's own kind
    ///
    /// # Example
    /// ```rhai
    /// task::raise(task::gather([1, 2], |n| n))
    /// task::raise(task::gather(["a"], |n| throw "no"))   // => throws script.thrown
    /// ```
    #[rhai_fn(return_raw)]
    pub fn raise(ctx: NativeCallContext, ended: Array) -> Raw<()> {
        host_of(&ctx);
        let ended = ended.into_iter().map(|end| end.try_cast::<Ended>()).collect::<Option<Vec<_>>>();
        let ended = ended.ok_or_else(|| Fault::new("task.ended", "task::raise takes a list made by task::gather"))?;
        first_failure(&ended)
    }

    /// The item's name: the text itself, or the `name` of a map.
    ///
    /// # Example
    /// ```rhai
    /// task::gather([#{ name: "node1" }], |node| 1)[0].name    // => "node1"
    /// ```
    #[rhai_fn(global, get = "name", pure)]
    pub fn name(ended: &mut Ended) -> String {
        ended.0.name.clone()
    }

    /// Whether the item's call ended without an error.
    ///
    /// # Example
    /// ```rhai
    /// task::gather([1], |n| n)[0].ok     // => true
    /// ```
    #[rhai_fn(global, get = "ok", pure)]
    pub fn ok(ended: &mut Ended) -> bool {
        ended.0.fault.is_none()
    }

    /// The result of the item's call.
    ///
    /// # Errors
    /// - the item's own error, from its own place
    ///
    /// # Example
    /// ```rhai
    /// task::gather([1], |n| n + 1)[0].value   // => 2
    /// ```
    #[rhai_fn(global, get = "value", pure, return_raw)]
    pub fn value(ctx: NativeCallContext, ended: &mut Ended) -> Raw<Dynamic> {
        host_of(&ctx);
        ended.value()
    }

    /// The item's error, as `catch` would show it; `()` when it has none.
    ///
    /// # Example
    /// ```rhai
    /// task::gather([1], |n| throw "no")[0].fault.kind    // => "script.thrown"
    /// ```
    #[rhai_fn(global, get = "fault", pure)]
    pub fn fault(ended: &mut Ended) -> Dynamic {
        ended.0.fault.as_ref().map_or(Dynamic::UNIT, super::super::ground::from_fault)
    }

    /// Starts `body` on the side and goes on at once.
    ///
    /// # Example
    /// ```rhai
    /// let answer = task::start(|| 6 * 7);
    /// answer.wait()                      // => 42
    /// ```
    #[rhai_fn(return_raw)]
    pub fn start(ctx: NativeCallContext, body: FnPtr) -> Raw<Task> {
        host_of(&ctx);
        // It outlives the line of a session that started it, and the Ctrl-C for that line.
        let worker = Worker { deadline: None, cancel: None, ..Worker::current() };
        Ok(start_task(Callback::of(&ctx, body), worker, Vec::new())?)
    }

    /// Waits for the end of a started task and gives its result, once.
    ///
    /// # Errors
    /// - the task's own failure; `task.taken` at a second call
    ///
    /// # Example
    /// ```rhai
    /// task::start(|| "done").wait()      // => "done"
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn wait(ctx: NativeCallContext, task: &mut Task) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let ended = host.wait(async {
            let _ = task.outcome.wait_for(Option::is_some).await;
            Ok(())
        });
        // The end of the run ends the task too, and its end is waited for; a line of a session goes on without it.
        if !host.end().is_set() {
            ended?;
        }
        let value = task.join(&host);
        host.check()?;
        value
    }

    /// Whether a started task has ended, well or not.
    ///
    /// # Example
    /// ```rhai
    /// let quick = task::start(|| 1);
    /// quick.wait();
    /// quick.done                         // => true
    /// ```
    #[rhai_fn(global, get = "done", pure)]
    pub fn done(task: &mut Task) -> bool {
        task.outcome.borrow().is_some()
    }

    /// Waits. Ctrl-C ends it.
    ///
    /// # Errors
    /// - `task.time`: not a time (`"500ms"`, `"30s"`, or a number of seconds)
    ///
    /// # Example
    /// ```rhai
    /// task::sleep("10ms")
    /// task::sleep("soon")                // => throws value.time
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sleep(ctx: NativeCallContext, time: Dynamic) -> Raw<()> {
        let host = host_of(&ctx);
        let time =
            time_of(&time)?.ok_or_else(|| Fault::new("task.time", format!("cannot wait for {time}: not a time")))?;
        Ok(host.wait(async {
            tokio::time::sleep(time).await;
            Ok(())
        })?)
    }

    /// Calls `body` until it does not fail, and gives its result.
    ///
    /// # Options
    /// - `times` (int, 3): tries in all
    /// - `pause` (time, "1s"): wait between two tries
    ///
    /// # Errors
    /// - the last try's own failure
    ///
    /// # Example
    /// ```rhai
    /// task::retry(#{ times: 2, pause: "1ms" }, || 7)              // => 7
    /// task::retry(#{ times: 2, pause: "1ms" }, || throw "never")  // => throws script.thrown
    /// ```
    #[rhai_fn(return_raw)]
    pub fn retry(ctx: NativeCallContext, options: Map, body: FnPtr) -> Raw<Dynamic> {
        let opts = options_of(&ctx, "task::retry", options)?;
        let times = opts.count("times", 1, 1_000_000)?.unwrap_or(3);
        let pause = opts.time("pause")?.unwrap_or(Duration::from_secs(1));
        let host = host_of(&ctx);
        let callback = Callback::of(&ctx, body);
        let mut tried = 1;
        loop {
            match callback.call_raw(Vec::new()) {
                Ok(value) => return Ok(value),
                Err(error) if tried >= times || matches!(*error, EvalAltResult::ErrorTerminated(..)) => {
                    return Err(error);
                }
                Err(error) => host.log(Level::Warn, &format!("try {tried} of {times}: {}", fault_of(&error).message)),
            }
            tried += 1;
            host.wait(async {
                tokio::time::sleep(pause).await;
                Ok(())
            })?;
        }
    }
}
