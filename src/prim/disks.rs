//! Disks and tables as script values: what several modules take and give.

use std::sync::{Arc, Mutex, Weak};

use crate::host::Hold;
use crate::kit::disk::{Disk, Table};

/// An open disk; copies are the same one.
#[derive(Clone)]
pub struct DiskHandle(Arc<Open>);

struct Open {
    disk: Disk,
    /// What detaches it, while it is attached: two attach() calls share one attachment.
    hold: Mutex<Weak<Hold>>,
}

impl DiskHandle {
    pub fn new(disk: Disk) -> Self {
        DiskHandle(Arc::new(Open { disk, hold: Mutex::default() }))
    }

    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// The path, for effects and texts.
    pub fn object(&self) -> String {
        self.0.disk.path().display().to_string()
    }

    /// The hold of the current attachment, made by `make` when there is none.
    pub fn held(&self, make: impl FnOnce() -> Hold) -> Arc<Hold> {
        let mut current = self.0.hold.lock().expect("no holder of this lock panics");
        current.upgrade().unwrap_or_else(|| {
            let hold = Arc::new(make());
            *current = Arc::downgrade(&hold);
            hold
        })
    }
}

/// A table; copies are values of their own.
#[derive(Clone)]
pub struct TableValue(pub Table);
