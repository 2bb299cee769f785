//! The node's consoles: what is written goes to each that the kernel was told of, the screen and the serial line both.
//!
//! The kernel itself gives the first process one of them only. A console that takes nothing (a serial line whose other
//! end holds it) must not stop the node: each has a thread and a short queue, and what does not fit is left out there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use nix::unistd::pipe2;

use crate::host::{Fault, Result};

/// Pieces of up to 4 KiB that wait for a console.
const QUEUE: usize = 256;

/// The devices of all consoles, the main one last, as the kernel lists them.
pub fn consoles() -> Vec<PathBuf> {
    let active = std::fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let mut names: Vec<&str> = active.split_whitespace().collect();
    if names.is_empty() {
        names.push("console");
    }
    names.into_iter().map(|name| PathBuf::from("/dev").join(name)).collect()
}

/// Copies what is written to its pipe to all consoles.
pub struct Consoles {
    input: OwnedFd,
    /// Pieces that are read and not yet written.
    open: Arc<AtomicUsize>,
}

impl Consoles {
    /// # Errors
    /// `node.console`: no pipe, or none of the devices can be opened.
    pub fn open(devices: &[PathBuf]) -> Result<Consoles> {
        let fail = |error: std::io::Error| Fault::io("node.console", "open the consoles", error);
        let (output, input) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| fail(error.into()))?;
        let open = Arc::new(AtomicUsize::new(0));
        let mut queues = Vec::new();
        let mut last = None;
        for device in devices {
            match open_device(device) {
                Ok(file) => {
                    let (sender, receiver) = sync_channel(QUEUE);
                    let (open, device) = (open.clone(), device.clone());
                    std::thread::Builder::new()
                        .spawn(move || write_all(file, &device, &receiver, &open))
                        .map_err(fail)?;
                    queues.push(sender);
                }
                Err(error) => last = Some(error),
            }
        }
        if queues.is_empty() {
            return Err(fail(last.unwrap_or_else(|| std::io::ErrorKind::NotFound.into())));
        }
        let counted = open.clone();
        std::thread::Builder::new().spawn(move || spread(File::from(output), &queues, &counted)).map_err(fail)?;
        Ok(Consoles { input, open })
    }

    /// The pipe's end to write to: the standard output of whoever speaks.
    pub fn input(&self) -> &OwnedFd {
        &self.input
    }

    /// Waits until all that was written is out, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while Instant::now() < end && (waiting(&self.input) > 0 || self.open.load(Ordering::SeqCst) > 0) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Bytes in a pipe.
fn waiting(pipe: &impl AsFd) -> i32 {
    nix::ioctl_read_bad!(fionread, libc::FIONREAD, i32);
    let mut count = 0;
    // SAFETY: the call writes one number to the address given.
    let _ = unsafe { fionread(std::os::fd::AsRawFd::as_raw_fd(&pipe.as_fd()), &mut count) };
    count
}

fn spread(mut output: File, queues: &[SyncSender<Arc<[u8]>>], open: &AtomicUsize) {
    let mut buffer = [0; 4096];
    loop {
        let length = match output.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let piece: Arc<[u8]> = buffer[..length].into();
        for queue in queues {
            open.fetch_add(1, Ordering::SeqCst);
            if queue.try_send(piece.clone()).is_err() {
                open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// Not to become the terminal that Ctrl-C on this console ends us by.
fn open_device(device: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open(device)
}

fn write_all(mut console: File, device: &Path, queue: &Receiver<Arc<[u8]>>, open: &AtomicUsize) {
    while let Ok(piece) = queue.recv() {
        // The end of a shell hangs its terminal up for all who had it open.
        if console.write_all(&piece).is_err()
            && let Ok(again) = open_device(device)
        {
            console = again;
            let _ = console.write_all(&piece);
        }
        let _ = nix::sys::termios::tcdrain(&console);
        open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_consoles_get_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["tty0", "ttyS0", "gone/tty1"].map(|name| dir.path().join(name));
        files[..2].iter().for_each(|file| std::fs::write(file, "").unwrap());
        let consoles = Consoles::open(&files).unwrap();
        let mut input = File::from(consoles.input().try_clone().unwrap());
        let text = "a line of the node\n".repeat(1000);
        // More than the queues hold at once would be left out, as it should: the files are as fast as we are.
        for part in text.as_bytes().chunks(4096) {
            input.write_all(part).unwrap();
            consoles.flush(Duration::from_secs(10));
        }
        for file in &files[..2] {
            assert!(std::fs::read_to_string(file).unwrap() == text, "{}", file.display());
        }
        assert_eq!(Consoles::open(&files[2..]).err().unwrap().kind, "node.console");
    }
}
