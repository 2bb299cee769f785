//! The file that discover mode writes: `ADDRESS MAC` on a line, which `hosts` reads back.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::hosts::Key;
use crate::host::{Fault, Result};

#[derive(Debug)]
pub struct Learned {
    path: PathBuf,
    file: Mutex<File>,
}

impl Learned {
    /// # Errors
    /// `dhcp.hosts`: the file cannot be written.
    pub fn open(path: &Path) -> Result<Learned> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| fail(path, error))?;
        Ok(Learned { path: path.into(), file: Mutex::new(file) })
    }

    /// On disk when this returns.
    pub fn add(&self, key: &Key, ip: Ipv4Addr) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_all(format!("{ip} {key}\n").as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|error| fail(&self.path, error))
    }
}

fn fail(path: &Path, error: std::io::Error) -> Fault {
    Fault::io("dhcp.hosts", format_args!("write the hosts file `{}`", path.display()), error)
}
