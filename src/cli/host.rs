//! The host that `kar run`, `kar eval` and `kar repl` work on: made, given its signals, and closed in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::args::HostArgs;
use super::console::Terminal;
use super::exit::Exit;
use super::report::{show, show_fault};
use crate::host::{Cancel, Console, Fault, Host};
use crate::kit::{caretaker, process};
use crate::prim::STACK;
use crate::script::Report;

/// What Ctrl-C ends: the whole run, or, in a session, the line at work.
#[derive(Clone, Default)]
pub struct Interrupts(Option<Arc<Mutex<Line>>>);

#[derive(Default)]
struct Line {
    work: Option<Cancel>,
    /// How often Ctrl-C was pressed for this line.
    pressed: u32,
}

impl Interrupts {
    /// Ctrl-C ends lines, not the run.
    pub fn of_a_session() -> Self {
        Interrupts(Some(Arc::default()))
    }

    fn line(&self) -> Option<MutexGuard<'_, Line>> {
        self.0.as_ref().map(|line| line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does the work of one line; `work` gets the flag that Ctrl-C sets.
    pub fn during<T>(&self, host: &Host, work: impl FnOnce(Cancel) -> T) -> T {
        let cancel = host.end().child();
        if let Some(mut line) = self.line() {
            *line = Line { work: Some(cancel.clone()), pressed: 0 };
        }
        let done = work(cancel);
        if let Some(mut line) = self.line() {
            *line = Line::default();
        }
        done
    }

    fn at_work(&self) -> bool {
        self.line().is_none_or(|line| line.work.is_some())
    }

    /// Whom this Ctrl-C is for. The third one for a line that does not end is for all.
    fn taken(&self) -> Taken {
        let Some(mut line) = self.line() else { return Taken::Ends { asked: false } };
        line.pressed += 1;
        let Line { work: Some(work), pressed } = &*line else { return Taken::ForTheLine };
        work.set();
        match pressed {
            1 => Taken::ForTheLine,
            2 => {
                let fault = Fault::new("host.busy", "this line does not end yet");
                show_fault(&fault.hint("Ctrl-C once more ends kar itself"));
                Taken::ForTheLine
            }
            _ => Taken::Ends { asked: true },
        }
    }
}

enum Taken {
    ForTheLine,
    /// Ends all; `asked`: the work at hand was told before, and waited for.
    Ends {
        asked: bool,
    },
}

/// Makes the host, runs `body` on the script's thread, and undoes at the end all that is still held.
pub fn on_host(
    options: &HostArgs,
    interrupts: &Interrupts,
    body: impl FnOnce(&Host, &Arc<Terminal>) -> Result<(), Box<Report>> + Send,
) -> Exit {
    on_host_with(options, interrupts, |terminal| terminal, body)
}

/// As above; `console` may put another console in front of the terminal.
pub fn on_host_with(
    options: &HostArgs,
    interrupts: &Interrupts,
    console: impl FnOnce(Arc<Terminal>) -> Arc<dyn Console>,
    body: impl FnOnce(&Host, &Arc<Terminal>) -> Result<(), Box<Report>> + Send,
) -> Exit {
    caretaker::enable();
    // Its blocking threads run what servers ask of scripts: as many as two servers full of clients have questions, so that
    // none waits for another's closure.
    let builder = &mut tokio::runtime::Builder::new_multi_thread();
    builder.max_blocking_threads(1024);
    let runtime = match builder.worker_threads(workers()).thread_stack_size(STACK).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            show_fault(&Fault::io("host.runtime", "start the runtime", error));
            return Exit::Failed;
        }
    };
    let terminal = Arc::new(Terminal::new(options.verbose));
    let host = Host::new(runtime.handle().clone(), console(terminal.clone()));
    if let Some(fault) = options.journal.as_ref().and_then(|path| host.journal().open(path).err()) {
        show_fault(&fault);
        return Exit::Usage;
    }
    if let Err(error) = end_on_signals(&host, interrupts.clone()) {
        show_fault(&Fault::io("host.signals", "listen for signals", error));
        return Exit::Failed;
    }
    let ended = std::thread::scope(|scope| {
        let script = std::thread::Builder::new().name("script".into()).stack_size(STACK);
        match script.spawn_scoped(scope, || body(&host, &terminal)) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(Fault::new("kar.panic", "this is a bug in kar").into())),
            Err(error) => Err(Fault::io("host.thread", "start the script's thread", error).into()),
        }
    });
    let mut exit = ended.as_ref().map_or_else(|report| show_end(report), |()| Exit::Done);
    host.end().set();
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

/// Closes what the lines of a session left open, newest first, and before their variables go, which have an order of
/// their own. What cannot be closed now is tried again, and told, at the end of [`on_host`].
pub fn close(host: &Host) {
    host.end().set();
    process::end_all(process::GRACE);
    host.release_all();
}

/// Shows what ended a script, and says with what code the process ends.
pub fn show_end(report: &Report) -> Exit {
    if report.fault.is_stopped() {
        return Exit::Stopped;
    }
    // What kind of user may do it is all there is to say: no place, no way there.
    match report.fault.kind == "host.permission" {
        true => show_fault(&report.fault),
        false => show(report),
    }
    Exit::of(&report.fault)
}

/// At least two, so that one busy server never keeps another from answering.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8))
}

/// As long as it is tried to close what is open when the script is no longer waited for.
const RELEASE: Duration = Duration::from_secs(8);

/// Ctrl-C, SIGTERM and SIGHUP end the run in order; a second one ends it without waiting for the script. In a session
/// Ctrl-C ends the line at work, and the others end the session at once while it waits for a line.
fn end_on_signals(host: &Host, interrupts: Interrupts) -> std::io::Result<()> {
    let _inside = host.runtime().enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    // A line editor that is left in the middle leaves the terminal as it was found.
    let terminal = tcgetattr(std::io::stdin()).ok();
    let host = host.clone();
    host.runtime().clone().spawn(async move {
        // Whether a line, or the script, was asked before and goes on all the same.
        let mut any = async || loop {
            tokio::select! {
                _ = interrupt.recv() => match interrupts.taken() {
                    Taken::ForTheLine => {}
                    Taken::Ends { asked } => return asked,
                },
                _ = terminate.recv() => return false,
                _ = hangup.recv() => return false,
            }
        };
        let asked = any().await;
        host.end().set();
        if interrupts.at_work() && !asked {
            any().await;
        }
        let host = host.clone();
        // What does not let go may hold what the release needs.
        let release = move || {
            process::end_all(Duration::ZERO);
            host.release_all()
        };
        let released = tokio::task::spawn_blocking(release);
        let released = tokio::time::timeout(RELEASE, released).await.into_iter().flatten();
        released.flatten().for_each(|fault| show_fault(&fault));
        if let Some(settings) = terminal {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &settings);
        }
        std::process::exit(Exit::Stopped as i32);
    });
    Ok(())
}
