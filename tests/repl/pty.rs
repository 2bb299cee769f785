//! A terminal for a session: keys go in, a screen comes out.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::harness::kar;

const PATIENCE: Duration = Duration::from_secs(30);

struct Seen {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

/// `kar repl` on a terminal of its own. Killed when dropped.
pub struct Typed {
    child: Child,
    keys: File,
    seen: Arc<Mutex<Seen>>,
}

impl Typed {
    /// A session in `folder`, which is its home as well. `change` may set the environment.
    pub fn start(folder: &std::path::Path, rows: u16, change: impl FnOnce(&mut Command)) -> Typed {
        let size = Winsize { ws_row: rows, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("the system has terminals to give");
        let mut command = Command::new(kar());
        command.arg("repl").current_dir(folder).env("HOME", folder).env("TERM", "xterm").env_remove("XDG_STATE_HOME");
        command.env_remove("NO_COLOR");
        change(&mut command);
        let end = |slave: &OwnedFd| slave.try_clone().expect("a descriptor can be copied");
        command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
        // SAFETY: both calls are allowed between fork and exec; the terminal becomes the child's own, for Ctrl-C.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("kar starts");
        drop(command);
        drop(pty.slave);
        let some = |length| NonZero::new(length).expect("a screen has rows and columns");
        let screen = vt100::Parser::new(some(rows), some(100), 0);
        let seen = Arc::new(Mutex::new(Seen { screen, raw: Vec::new() }));
        let mut output = File::from(pty.master.try_clone().expect("a descriptor can be copied"));
        let into = seen.clone();
        // Ends with an error once the child, the last one to hold the other end, is gone.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                let mut seen = into.lock().unwrap();
                seen.screen.process(&buffer[..length]);
                seen.raw.extend_from_slice(&buffer[..length]);
            }
        });
        Typed { child, keys: File::from(pty.master), seen }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the terminal says of its size; 0 is what a serial line says.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads a winsize.
        let done = unsafe { nix::libc::ioctl(self.keys.as_raw_fd(), nix::libc::TIOCSWINSZ, &size) };
        assert_eq!(done, 0);
    }

    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// The screen without blanks at the ends of lines and of itself.
    pub fn screen(&self) -> String {
        let seen = self.seen.lock().unwrap();
        let lines: Vec<String> =
            seen.screen.screen().contents().lines().map(|line| line.trim_end().to_string()).collect();
        lines.join("\n").trim_end().to_string()
    }

    /// All bytes that came so far.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().raw).into_owned()
    }

    /// Waits until the screen is what `good` looks for.
    #[track_caller]
    pub fn until(&self, what: &str, good: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if good(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "not on the screen: {what}\n---\n{screen}\n---");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether this is on the screen before `time` is over.
    pub fn appears(&self, what: &str, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.screen().contains(what) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.screen().contains(what)
    }

    /// Waits until the whole screen is this, line by line.
    #[track_caller]
    pub fn shows(&self, want: &str) {
        let (end, want) = (Instant::now() + PATIENCE, want.trim());
        while self.screen() != want && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.screen(), want, "\n--- the screen is\n{}\n---", self.screen());
    }

    /// Types a line and waits for the next prompt; gives what came in between.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        self.prompt();
        let before = self.screen().lines().count();
        self.keys(&format!("{text}\r"));
        let screen = self.until(&format!("the prompt after `{text}`"), |screen| {
            screen.lines().count() > before && screen.lines().last() == Some("kar>")
        });
        let typed = text.split('\r').count();
        let all: Vec<&str> = screen.lines().collect();
        all[before - 1 + typed..all.len() - 1].join("\n")
    }

    /// Waits until it asks for a line.
    #[track_caller]
    pub fn prompt(&self) {
        self.until("a prompt", |screen| screen.lines().last() == Some("kar>"));
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child of ours") {
                return status;
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
