//! Machines of software: QEMU, without a window, with a serial console that a test reads and types on.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What stands in the machine.
pub struct Hardware {
    /// MiB.
    pub memory: u32,
    pub firmware: Firmware,
    pub disks: Vec<Disk>,
    /// Network cards and what else QEMU takes, word by word: `["-netdev", .., "-device", ..]`.
    pub other: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, Debian package seabios.
    Bios,
    /// OVMF, Debian package ovmf.
    Uefi,
}

/// A disk on virtio: `/dev/vda`, `/dev/vdb` ..
pub struct Disk {
    pub image: PathBuf,
    /// Writes go into the image; else they are forgotten with the machine.
    pub keep: bool,
}

impl Hardware {
    /// A machine that boots from the image, which stays as it is.
    pub fn booting(image: &Path) -> Hardware {
        let disks = vec![Disk { image: image.to_path_buf(), keep: false }];
        Hardware { memory: 512, firmware: Firmware::Bios, disks, other: Vec::new() }
    }

    /// One more disk, written to.
    pub fn with_disk(mut self, image: &Path) -> Hardware {
        self.disks.push(Disk { image: image.to_path_buf(), keep: true });
        self
    }

    pub fn with_firmware(self, firmware: Firmware) -> Hardware {
        Hardware { firmware, ..self }
    }

    fn words(&self) -> Vec<String> {
        // GRUB waits for a screen, so there is one that nobody sees. A reset ends the machine.
        let memory = format!("{}M", self.memory);
        let fixed = ["-accel", "tcg", "-m", &memory, "-vga", "std", "-display", "none", "-no-reboot"];
        let quiet = ["-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-user-config"];
        let mut words: Vec<String> = fixed.into_iter().chain(quiet).map(str::to_string).collect();
        if !self.other.is_empty() {
            let nic = words.iter().position(|word| word == "-nic").expect("it stands above");
            words.drain(nic..nic + 2);
        }
        if self.firmware == Firmware::Uefi {
            words.extend(["-bios".into(), super::need_file("/usr/share/ovmf/OVMF.fd", "ovmf")]);
        }
        for disk in &self.disks {
            let image = disk.image.display().to_string().replace(',', ",,");
            let snapshot = if disk.keep { "off" } else { "on" };
            words.push("-drive".into());
            words.push(format!("file={image},format=raw,if=virtio,cache=unsafe,snapshot={snapshot}"));
        }
        words.extend(self.other.iter().cloned());
        words
    }
}

/// A running machine; killed when dropped, and by the kernel when the thread that started it ends.
pub struct Machine {
    child: Child,
    keyboard: ChildStdin,
    console: Arc<Console>,
    started: Instant,
}

#[derive(Default)]
struct Console {
    text: Mutex<(Vec<u8>, bool)>,
    news: Condvar,
}

impl Machine {
    #[track_caller]
    pub fn start(hardware: &Hardware) -> Machine {
        Machine::start_by(Command::new("setpriv"), hardware)
    }

    /// As `start`, by a command that runs `setpriv`, as `net.command(1, "setpriv")` does in a namespace.
    #[track_caller]
    pub fn start_by(mut setpriv: Command, hardware: &Hardware) -> Machine {
        super::need("qemu-system-x86_64", "qemu-system-x86");
        setpriv.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]).args(hardware.words());
        setpriv.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = setpriv.spawn().unwrap_or_else(|error| panic!("cannot start {setpriv:?}: {error}"));
        let console = Arc::<Console>::default();
        let keyboard = child.stdin.take().expect("it is a pipe");
        listen(child.stdout.take().expect("it is a pipe"), console.clone(), true);
        listen(child.stderr.take().expect("it is a pipe"), console.clone(), false);
        Machine { child, keyboard, console, started: Instant::now() }
    }

    /// Waits until the text stands on the console, behind what an earlier call waited for when `from` is its answer; 0 is
    /// the beginning. Gives the place behind it. Fails the test at the deadline, or when the machine ends, with the
    /// last lines of the console.
    #[track_caller]
    pub fn expect(&self, text: &str, from: usize, deadline: Duration) -> usize {
        let end = Instant::now() + deadline;
        let mut state = self.console.text.lock().expect("no holder panics");
        loop {
            let found = state.0[from..].windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                return from + at + text.len();
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                let why = if state.1 { "the machine ended".into() } else { format!("not within {deadline:?}") };
                let text = format!("{why}: `{text}` on the console, which ends with\n{}", tail(&state.0));
                drop(state);
                panic!("{text}");
            }
            state = self.console.news.wait_timeout(state, left).expect("no holder panics").0;
        }
    }

    /// Types a line.
    #[track_caller]
    pub fn enter(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).expect("the machine has a console");
        self.keyboard.flush().expect("the machine has a console");
    }

    /// Waits for the login prompt, logs in as root without a password, and leaves a plain shell that does not echo.
    #[track_caller]
    pub fn log_in(&mut self, from: usize, deadline: Duration) {
        let at = self.expect(" login:", from, deadline);
        self.enter("root");
        let at = self.expect("# ", at, deadline);
        self.enter("exec env PS1= sh");
        self.enter("stty -echo; echo no ec''ho");
        self.expect("no echo\r\n", at, deadline);
    }

    /// Runs a command line in the shell that `log_in` left; fails the test unless it ends well. Gives what it printed.
    #[track_caller]
    pub fn shell(&mut self, command: &str, deadline: Duration) -> String {
        let from = self.console.text.lock().expect("no holder panics").0.len();
        self.enter(&format!("{command}\ncode=$?; echo; echo ended with $code."));
        let end = self.expect("\nended with ", from, deadline);
        let code = self.expect(".\r\n", end, deadline);
        let text = self.console.text.lock().expect("no holder panics").0.clone();
        let words = |from: usize, to: usize| String::from_utf8_lossy(&text[from..to]).replace('\r', "");
        let (printed, code) = (words(from, end), words(end, code - 3));
        let printed = printed.trim_end_matches("ended with ").trim();
        assert_eq!(code, "0", "`{command}` in the machine printed\n{printed}");
        printed.to_string()
    }

    /// All that the console has shown.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.console.text.lock().expect("no holder panics").0).into_owned()
    }

    pub fn running_for(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the machine to end by itself: power off, or a reset.
    #[track_caller]
    pub fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        super::eventually(deadline, "the machine ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.expect("the wait above ended well")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds what comes to the console; the last of its output ends the machine's.
fn listen(mut from: impl Read + Send + 'static, console: Arc<Console>, ends: bool) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            let count = from.read(&mut bytes).unwrap_or(0);
            let mut state = console.text.lock().expect("no holder panics");
            state.0.extend_from_slice(&bytes[..count]);
            state.1 |= ends && count == 0;
            drop(state);
            console.news.notify_all();
            if count == 0 {
                return;
            }
        }
    });
}

fn tail(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console).replace('\r', "");
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
