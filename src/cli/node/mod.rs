//! kar as a node's first process.
//!
//! The first process prepares the machine, starts another kar that does the work, and stays: it reaps, keeps the
//! consoles, and does in the end what the kernel's command line says. Whatever happens to the worker is told.

mod modprobe;
mod told;
mod work;

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::exit::Exit;
use super::report::show_fault;
use crate::host::{Fault, Result};
use crate::kit::node::{self, Consoles, Event, Init, Power, Settings, Then};

/// What the first process calls its worker with.
const WORD: &str = "node-work";
/// Programs of the image, for the worker and for what it starts.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Between a failure and the reboot that was asked for: time to read.
const TO_READ: Duration = Duration::from_secs(10);
/// For consoles to take what was said.
const TO_SAY: Duration = Duration::from_secs(5);

/// The work that kar is called for by another name than its own: `/init`, `modprobe`, and by a node's first process.
pub fn called() -> Option<Exit> {
    let mut words = std::env::args_os();
    let name = words.next()?;
    match Path::new(&name).file_name()?.to_str()? {
        "init" if std::process::id() == 1 => Some(first()),
        "modprobe" => Some(modprobe::modprobe(words.map(|word| word.to_string_lossy().into_owned()))),
        _ if words.next().is_some_and(|word| word == WORD) => Some(work::work()),
        _ => None,
    }
}

/// The first process. Where it is one, it ends only with the machine.
pub fn first() -> Exit {
    if std::process::id() != 1 {
        let fault =
            Fault::new("node.refused", "`kar node` is the first process of a machine, and this one has another");
        show_fault(&fault.hint("an image of `initramfs::build` has it as /init: boot that with its kernel"));
        return Exit::NotPermitted;
    }
    let mut failed = node::mount_usual();
    failed.extend(node::move_to_memory().err());
    let prepared = Init::new().and_then(|init| Ok((init, Consoles::open(&node::consoles())?)));
    match prepared {
        Ok((init, consoles)) => {
            // SAFETY: both are open; the pipe's end stays open with `consoles`.
            unsafe {
                libc::dup2(consoles.input().as_raw_fd(), 1);
                libc::dup2(consoles.input().as_raw_fd(), 2);
            }
            failed.iter().for_each(show_fault);
            live(&init, &consoles)
        }
        Err(fault) => {
            // On the one console that the kernel gave.
            show_fault(&fault);
            sleep_for_ever()
        }
    }
}

fn say(text: &str) {
    eprintln!("kar: {text}");
}

fn live(init: &Init, consoles: &Consoles) -> Exit {
    let settings = match node::cmdline() {
        Ok(line) => node::settings(&line).0,
        Err(fault) => {
            show_fault(&fault);
            Settings::default()
        }
    };
    let mut tries = 0;
    let then = loop {
        tries += 1;
        let event = start_worker(init).map(|worker| init.wait(Some(worker)));
        match event {
            Ok(Event::Asked(what)) => end(consoles, what),
            // Nobody has to read why.
            Ok(Event::Ended(0)) if settings.end == Then::Reboot => end(consoles, Power::Reboot),
            Ok(Event::Ended(0)) => break settings.end,
            Ok(Event::Ended(status)) => {
                say(&format!("this node's work failed: {}", how(status)));
                if tries > settings.retries {
                    break settings.fail;
                }
                say(&format!("trying again, {tries} of {}", settings.retries));
            }
            Err(fault) => {
                show_fault(&fault);
                break settings.fail;
            }
        }
        if let Event::Asked(what) = pause(init, Duration::from_secs(2)) {
            end(consoles, what);
        }
    };
    match then {
        Then::PowerOff => end(consoles, Power::Off),
        Then::Reboot => {
            say(&format!("restarting in {} s", TO_READ.as_secs()));
            pause(init, TO_READ);
            end(consoles, Power::Reboot)
        }
        Then::Shell => {
            shell(init);
            say("the shell has ended");
            end(consoles, Power::Reboot)
        }
        Then::Wait => {
            say("waiting: this node does nothing more by itself");
            match init.wait(None) {
                Event::Asked(what) => end(consoles, what),
                Event::Ended(_) => sleep_for_ever(),
            }
        }
    }
}

fn start_worker(init: &Init) -> Result<u32> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("kar").arg(WORD).stdin(Stdio::null()).current_dir("/root");
    command.env("PATH", PATH).env("HOME", "/root").env("TERM", "linux").env("TMPDIR", "/tmp");
    init.start(&mut command)
}

/// An exit status in words.
fn how(status: i32) -> String {
    match status {
        129.. => format!("kar was ended by signal {}", status - 128),
        101 => "a bug in kar".into(),
        status => format!("exit status {status}, the reason stands above"),
    }
}

/// Waits, and answers meanwhile.
fn pause(init: &Init, time: Duration) -> Event {
    let mut timer = Command::new("/proc/self/exe");
    timer.arg0("kar").arg(WORD).arg(time.as_millis().to_string());
    match init.start(&mut timer) {
        Ok(timer) => init.wait(Some(timer)),
        Err(_) => Event::Ended(0),
    }
}

/// A shell on the main console, which gets its keys.
fn shell(init: &Init) {
    let known = ["/bin/bash", "/bin/sh", "/bin/busybox"].map(PathBuf::from);
    let program = known.into_iter().find(|path| path.exists());
    let main = node::consoles().pop().unwrap_or_else(|| PathBuf::from("/dev/console"));
    let mut command = match &program {
        Some(path) if path.ends_with("busybox") => {
            let mut command = Command::new(path);
            command.arg("sh");
            command
        }
        Some(path) => Command::new(path),
        // kar itself is a shell for what it knows.
        None => {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("kar").arg("repl");
            command
        }
    };
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&main).map(Stdio::from);
    let (Ok(input), Ok(output), Ok(errors)) = (open(), open(), open()) else {
        return say(&format!("cannot open {} for a shell", main.display()));
    };
    command.stdin(input).stdout(output).stderr(errors).current_dir("/root");
    command.env("PATH", PATH).env("HOME", "/root").env("TERM", "linux").env("TMPDIR", "/tmp");
    // SAFETY: two system calls without memory: a session of its own, whose terminal is its input.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 1);
            Ok(())
        });
    }
    say(&format!("a shell on {}", main.display()));
    match init.start(&mut command) {
        Ok(shell) => drop(init.wait(Some(shell))),
        Err(fault) => show_fault(&fault),
    }
}

/// The end of this boot.
fn end(consoles: &Consoles, what: Power) -> ! {
    say(if what == Power::Off { "switching off" } else { "restarting" });
    consoles.flush(TO_SAY);
    if let Err(fault) = node::unmount_devices().and_then(|()| node::power(what)) {
        show_fault(&fault);
    }
    sleep_for_ever()
}

/// The first process never ends: the kernel would panic.
fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
