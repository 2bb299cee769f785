//! `kar run`: from the command line to the exit code.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::args::{HostArgs, Run};
use super::console::Terminal;
use super::exit::Exit;
use super::recipe_args::{self, Refusal};
use super::report::{show, show_all, show_fault};
use crate::host::{Fault, Host};
use crate::kit::{caretaker, process};
use crate::prim::STACK;
use crate::script::run::{Recipe, target};
use crate::script::{Library, Report};

pub fn run(run: Run) -> Exit {
    let (first, words) = run.words.split_first().expect("clap asks for one");
    if first.starts_with('-') {
        let known = ["--journal", "--lib", "--verbose", "--help"];
        let fault = Fault::new("args.option", format!("`kar run` has no option `{first}`")).nearest(first, known);
        show_fault(&fault.hint("a recipe's own options stand behind its name: `kar run FILE --help` lists them"));
        return Exit::Usage;
    }
    let (file, entry) = target(first);
    let mut library = Library::new(run.host.lib.clone());
    let recipe = match read(&library, file, words) {
        Ok(recipe) => recipe,
        Err(report) => {
            show(&report);
            return Exit::of(&report.fault);
        }
    };
    let (values, among) = match recipe_args::parse(&recipe, first, words) {
        Ok(parsed) => parsed,
        Err(Refusal::Usage(error)) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
        Err(Refusal::Value(fault)) => {
            show_fault(&fault);
            return Exit::Usage;
        }
    };
    let findings = recipe.check();
    if !findings.is_empty() {
        show_all(&findings);
        return Exit::Script;
    }
    library.dirs.extend(among.lib.clone());
    let options = HostArgs {
        journal: among.journal.or(run.host.journal),
        lib: library.dirs,
        verbose: run.host.verbose || among.verbose,
    };
    on_host(&options, move |host| recipe.run(host, entry, values.clone()).map(drop))
}

/// `--lib` may stand among the recipe's options too, and has to be known before the recipe is read.
fn read(library: &Library, file: &str, words: &[String]) -> Result<Recipe, Box<Report>> {
    let mut library = library.clone();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--lib") {
            Some("") => library.dirs.extend(words.next().map(Into::into)),
            Some(rest) => library.dirs.extend(rest.strip_prefix('=').map(Into::into)),
            None => {}
        }
    }
    let script = library.recipe(file)?;
    Recipe::read(&library, script)
}

/// Makes the host, runs `body` on the script's thread, and undoes at the end all that is still held.
fn on_host(options: &HostArgs, body: impl FnOnce(&Host) -> Result<(), Box<Report>> + Send) -> Exit {
    caretaker::enable();
    // Its blocking threads run what servers ask of scripts.
    let builder = &mut tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.worker_threads(workers()).thread_stack_size(STACK).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            show_fault(&Fault::io("host.runtime", "start the runtime", error));
            return Exit::Failed;
        }
    };
    let host = Host::new(runtime.handle().clone(), Arc::new(Terminal::new(options.verbose)));
    if let Some(fault) = options.journal.as_ref().and_then(|path| host.journal().open(path).err()) {
        show_fault(&fault);
        return Exit::Usage;
    }
    if let Err(error) = end_on_signals(&host) {
        show_fault(&Fault::io("host.signals", "listen for signals", error));
        return Exit::Failed;
    }
    let ended = std::thread::scope(|scope| {
        let script = std::thread::Builder::new().name("script".into()).stack_size(STACK);
        match script.spawn_scoped(scope, || body(&host)) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(Fault::new("kar.panic", "this is a bug in kar").into())),
            Err(error) => Err(Fault::io("host.thread", "start the script's thread", error).into()),
        }
    });
    let mut exit = match &ended {
        Ok(()) => Exit::Done,
        Err(report) if report.fault.is_stopped() => Exit::Stopped,
        // What kind of user may do it is all there is to say: no place, no way there.
        Err(report) if report.fault.kind == "host.permission" => {
            show_fault(&report.fault);
            Exit::NotPermitted
        }
        Err(report) => {
            show(report);
            Exit::of(&report.fault)
        }
    };
    host.cancel().set();
    // Those of tasks that nobody waited for.
    process::end_all(process::GRACE);
    for fault in host.release_all() {
        show_fault(&fault);
        exit = if exit == Exit::Done { Exit::Failed } else { exit };
    }
    // Blocking threads that still wait (a program's pipe) do not keep the process.
    runtime.shutdown_background();
    exit
}

/// At least two, so that one busy server never keeps another from answering.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8))
}

/// Ctrl-C, SIGTERM and SIGHUP end the run in order; a second one ends it without waiting for the script.
fn end_on_signals(host: &Host) -> std::io::Result<()> {
    let _inside = host.runtime().enter();
    let mut signals =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    let host = host.clone();
    host.runtime().clone().spawn(async move {
        let [interrupt, terminate, hangup] = &mut signals;
        let mut any = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        };
        any().await;
        host.cancel().set();
        any().await;
        let host = host.clone();
        let release = move || {
            process::end_all(Duration::ZERO);
            host.release_all()
        };
        let released = tokio::task::spawn_blocking(release).await;
        released.into_iter().flatten().for_each(|fault| show_fault(&fault));
        std::process::exit(Exit::Stopped as i32);
    });
    Ok(())
}
