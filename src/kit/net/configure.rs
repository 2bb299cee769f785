//! Giving an interface its address, with the program `ip` (iproute2, or busybox on a node).

use std::net::Ipv4Addr;
use std::process::Command;

use crate::host::{Fault, Result};

/// Switches an interface on.
pub fn up(name: &str) -> Result<()> {
    super::find(name)?;
    ip(&["link", "set", "dev", name, "up"])
}

/// Gives an interface an address and, where there is one, the way out. What it had before goes.
pub fn configure(name: &str, address: Ipv4Addr, prefix: u8, router: Option<Ipv4Addr>) -> Result<()> {
    up(name)?;
    ip(&["addr", "flush", "dev", name])?;
    ip(&["addr", "add", &format!("{address}/{prefix}"), "dev", name])?;
    match router {
        Some(router) => ip(&["route", "replace", "default", "via", &router.to_string(), "dev", name]),
        None => Ok(()),
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let what = || format!("run `ip {}`", args.join(" "));
    let out = Command::new("ip").args(args).output().map_err(|error| {
        Fault::io("net.configure", what(), error).hint("the program `ip` is in the package iproute2")
    })?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(Fault::new("net.configure", format!("cannot {}: {}", what(), said.trim())))
}
