//! Machines out of files of other systems: configurations, leases, logs.

mod blocks;
mod lines;

use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::Serialize;

use super::hosts::{Hosts, Key};
use super::settings::Changes;
use crate::host::{Fault, Result};
use crate::kit::net::Mac;

/// Bytes of the longest file that is read: a year of a busy server's log.
const LIMIT: u64 = 64 << 20;

/// One machine. What the file does not say is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootfile: Option<String>,
}

impl Machine {
    fn new(mac: Mac) -> Machine {
        Machine { mac: mac.to_string(), ip: None, name: None, bootfile: None }
    }
}

/// The machines of a file, whatever its kind, in its order.
///
/// # Errors
/// `dhcp.hosts`: unreadable, longer than 64 MiB, or no machine in it.
pub fn read(path: &Path) -> Result<Vec<Machine>> {
    let fail = |error| Fault::io("dhcp.hosts", format_args!("read the hosts file `{}`", path.display()), error);
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(fail)?.take(LIMIT + 1).read_to_end(&mut bytes).map_err(fail)?;
    let refuse = |why: &str| Fault::new("dhcp.hosts", format!("cannot use the hosts file `{}`: {why}", path.display()));
    if bytes.len() as u64 > LIMIT {
        return Err(refuse("it is longer than 64 MiB"));
    }
    let text = String::from_utf8_lossy(&bytes);
    let machines = parse(&text);
    let said = text.lines().any(|line| !matches!(line.trim().chars().next(), None | Some('#')));
    if machines.is_empty() && said {
        return Err(refuse("no MAC address stands in it in a form known here").hint(
            "known: ISC dhcpd.conf and leases, dnsmasq dhcp-host lines and leases, Kea, /etc/ethers, `ip mac` lines, logs",
        ));
    }
    Ok(machines)
}

/// The machines of a file as a server takes them.
///
/// # Errors
/// As [`read`].
pub fn hosts(path: &Path) -> Result<Hosts> {
    let mut hosts = Hosts::default();
    for machine in read(path)? {
        let given = Changes { ip: machine.ip, name: machine.name, bootfile: machine.bootfile, ..Changes::default() };
        hosts.set(Key::Mac(machine.mac.parse()?), given);
    }
    Ok(hosts)
}

/// As [`read`], of a text. Never fails: what is no machine is passed over.
pub fn parse(text: &str) -> Vec<Machine> {
    let found = match text.trim_start().as_bytes().first() {
        Some(b'{') if blocks::is_json(text) => blocks::kea(text),
        _ => match blocks::isc(text) {
            blocks if !blocks.is_empty() => blocks,
            _ => lines::machines(text),
        },
    };
    // The last word on each machine, and on each address: leases files are appended to.
    let (mut kept, mut macs, mut ips) =
        (Vec::new(), std::collections::HashSet::new(), std::collections::HashSet::new());
    for machine in found.into_iter().rev() {
        if macs.insert(machine.mac.clone()) && machine.ip.is_none_or(|ip| ips.insert(ip)) {
            kept.push(machine);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
