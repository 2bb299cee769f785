//! Drivers for the hardware that is found: at the start for all that is there, and then for what appears.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket, sockopt,
};

use crate::host::{Cancel, Fault, Result};
use crate::kit::kmod::Loader;

/// No more events for so long: what was found is there.
const QUIET: Duration = Duration::from_millis(300);
/// A disk that a controller has not shown by then is none: disks spin up, buses are reset.
const PATIENCE: Duration = Duration::from_secs(8);

/// Told what was loaded and what failed.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Loads drivers until it is dropped, and a moment longer.
pub struct Hardware {
    shared: Arc<Shared>,
}

struct Shared {
    loader: Mutex<Loader>,
    /// When the kernel last spoke of a device.
    last: Mutex<Instant>,
    say: Say,
}

impl Shared {
    fn load_for(&self, modalias: &str) {
        let (new, failed) = self.loader.lock().unwrap_or_else(PoisonError::into_inner).load_for(modalias);
        failed.iter().for_each(|fault| (self.say)(&fault.message));
        if !new.is_empty() {
            (self.say)(&format!("loaded {} for {modalias}", new.join(", ")));
        }
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn quiet(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= QUIET
    }
}

impl Hardware {
    /// Loads drivers for all that is there and starts to listen for more.
    ///
    /// # Errors
    /// `node.hardware`: the kernel tells nothing of its devices.
    pub fn start(loader: Loader, say: Say) -> Result<Hardware> {
        let shared = Arc::new(Shared { loader: Mutex::new(loader), last: Mutex::new(Instant::now()), say });
        // First the ear, then the look: nothing falls between.
        let events = listen()?;
        let ear = shared.clone();
        let fail = |error| Fault::io("node.hardware", "start a thread", error);
        std::thread::Builder::new().name("hardware".into()).spawn(move || hear(&events, &ear)).map_err(fail)?;
        let mut seen = BTreeSet::new();
        loop {
            let mut found = BTreeSet::new();
            modaliases(Path::new("/sys/devices"), 0, &mut found);
            let new: Vec<&String> = found.difference(&seen).collect();
            if new.is_empty() {
                break;
            }
            new.iter().for_each(|modalias| shared.load_for(modalias));
            seen.extend(found);
        }
        Ok(Hardware { shared })
    }

    /// Waits until the kernel has no more to say of new devices: for the first disk where there is a controller for
    /// one, but not for ever. Says whether there is a disk.
    ///
    /// # Errors
    /// `host.stopped`
    pub fn settle(&self, cancel: &Cancel) -> Result<bool> {
        let end = Instant::now() + PATIENCE;
        loop {
            if cancel.is_set() {
                return Err(Fault::stopped());
            }
            let disks = has_disk();
            if Instant::now() >= end || (self.shared.quiet() && (disks || !has_controller())) {
                return Ok(disks);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The kernel's messages on devices (lib/kobject_uevent.c), in the group that is for all.
fn listen() -> Result<OwnedFd> {
    let fail = |error| Fault::io("node.hardware", "listen for new devices", std::io::Error::from(error));
    let events =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkKObjectUEvent)
            .map_err(fail)?;
    // A room of devices appears at once.
    let _ = setsockopt(&events, sockopt::RcvBufForce, &(4 << 20));
    bind(events.as_raw_fd(), &NetlinkAddr::new(0, 1)).map_err(fail)?;
    Ok(events)
}

fn hear(events: &OwnedFd, shared: &Shared) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match recv(events.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty()) {
            Ok(length) => {
                shared.touch();
                if let Some(modalias) = added(&buffer[..length]) {
                    shared.load_for(&modalias);
                }
            }
            // Lost messages; what was lost is looked for by nobody, as with udev.
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::ENOBUFS) => shared.touch(),
            Err(_) => return,
        }
    }
}

/// The modalias of a message that says that a device was added: words with a zero byte behind each.
fn added(message: &[u8]) -> Option<String> {
    let words = message.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let (mut is_new, mut modalias) = (false, None);
    for word in words {
        is_new |= word == "ACTION=add";
        modalias = word.strip_prefix("MODALIAS=").map(str::to_string).or(modalias);
    }
    modalias.filter(|_| is_new)
}

fn modaliases(folder: &Path, depth: u32, found: &mut BTreeSet<String>) {
    if let Ok(modalias) = std::fs::read_to_string(folder.join("modalias")) {
        found.insert(modalias.trim().to_string());
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links lead to other parts of the tree, and in circles.
        if depth < 32 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            modaliases(&entry.path(), depth + 1, found);
        }
    }
}

fn names(folder: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn has_disk() -> bool {
    const NOT: [&str; 6] = ["loop", "ram", "zram", "sr", "fd", "dm-"];
    names("/sys/block").any(|name| !NOT.iter().any(|start| name.starts_with(start)))
}

/// A PCI device of the class of mass storage, with a driver: without one no disk will come.
fn has_controller() -> bool {
    let folder = Path::new("/sys/bus/pci/devices");
    let class = |name: &str| std::fs::read_to_string(folder.join(name).join("class")).unwrap_or_default();
    names("/sys/bus/pci/devices")
        .any(|name| class(&name).starts_with("0x01") && folder.join(&name).join("driver").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_kernel() {
        let message =
            b"add@/devices/pci0/virtio0\0ACTION=add\0SUBSYSTEM=virtio\0MODALIAS=virtio:d00000002v00001AF4\0SEQNUM=7\0";
        assert_eq!(added(message).as_deref(), Some("virtio:d00000002v00001AF4"));
        assert_eq!(added(b"remove@/x\0ACTION=remove\0MODALIAS=virtio:d2\0"), None);
        assert_eq!(added(b"\0\xff=\0ACTION=add"), None);
    }
}
