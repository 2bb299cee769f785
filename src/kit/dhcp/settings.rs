//! What a server is told to give, and to whom.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::class::Class;
use super::hosts::Hosts;
use super::option::Options;
use super::subnet::{Range, Subnet};
use crate::host::{Fault, Result};

/// What a client is given, as far as one source of settings says: the server's own, a subnet's, a host's, a class's, a
/// closure's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub ip: Option<Ipv4Addr>,
    /// Host name, option 12.
    pub name: Option<String>,
    pub router: Option<Vec<Ipv4Addr>>,
    pub dns: Option<Vec<Ipv4Addr>>,
    pub domain: Option<String>,
    pub lease: Option<Duration>,
    /// The boot server: `siaddr`, `sname` and option 66; the server itself unless said.
    pub next_server: Option<Ipv4Addr>,
    /// `file` and option 67.
    pub bootfile: Option<String>,
    pub options: Options,
}

impl Changes {
    /// What `other` says goes before what stands here; options number by number.
    pub fn overlay(&mut self, other: &Changes) {
        fn set<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
            if from.is_some() {
                to.clone_from(from);
            }
        }
        set(&mut self.ip, &other.ip);
        set(&mut self.name, &other.name);
        set(&mut self.router, &other.router);
        set(&mut self.dns, &other.dns);
        set(&mut self.domain, &other.domain);
        set(&mut self.lease, &other.lease);
        set(&mut self.next_server, &other.next_server);
        set(&mut self.bootfile, &other.bootfile);
        self.options.extend(other.options.iter().map(|(code, data)| (*code, data.clone())));
    }
}

/// One subnet that addresses are given in.
#[derive(Debug, Clone)]
pub struct Network {
    pub subnet: Subnet,
    /// For clients that are no static hosts.
    pub ranges: Vec<Range>,
    /// The interfaces it is on; empty: those with an address inside it. Where it is on none, it is served through relays.
    pub interfaces: Vec<String>,
    /// For its clients, over what all clients are given.
    pub given: Changes,
}

impl Network {
    pub fn new(subnet: Subnet, ranges: Vec<Range>) -> Network {
        Network { subnet, ranges, interfaces: Vec::new(), given: Changes::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// Addresses and boot settings.
    #[default]
    Full,
    /// Boot settings alone, beside another server that gives addresses (PXE specification 2.1, 2.2.3).
    Proxy,
    /// As full; whoever is new becomes a host, with the next address of the ranges in order, and is written to this
    /// file, `ADDRESS MAC` on a line.
    Discover(PathBuf),
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub mode: Mode,
    pub networks: Vec<Network>,
    pub hosts: Hosts,
    pub classes: Vec<Class>,
    /// For every client.
    pub common: Changes,
    /// Where leases survive the server; none: they end with it.
    pub leases: Option<PathBuf>,
}

impl Settings {
    /// # Errors
    /// `dhcp.settings`: an address outside the subnets, a range upside down, ranges or subnets that overlap, an address
    /// promised twice.
    pub fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Fault::new("dhcp.settings", message));
        for (at, Network { subnet, ranges, .. }) in self.networks.iter().enumerate() {
            let clash =
                |other: &&Network| other.subnet.contains(subnet.network) || subnet.contains(other.subnet.network);
            if let Some(other) = self.networks[..at].iter().find(clash) {
                return bad(format!("the subnets {} and {subnet} overlap", other.subnet));
            }
            for (at, range) in ranges.iter().enumerate() {
                if !subnet.holds(range.first) || !subnet.holds(range.last) {
                    return bad(format!("the range {range} is not inside the subnet {subnet}"));
                }
                if range.first > range.last {
                    return bad(format!("the range {range} ends before it starts"));
                }
                let clash = |other: &&Range| other.first <= range.last && range.first <= other.last;
                if let Some(other) = ranges[..at].iter().find(clash) {
                    return bad(format!("the ranges {other} and {range} overlap"));
                }
            }
        }
        let mut promised = HashMap::new();
        for (who, given) in self.hosts.all() {
            let Some(ip) = given.ip else { continue };
            if self.mode != Mode::Proxy && !self.networks.iter().any(|network| network.subnet.holds(ip)) {
                let subnets: Vec<_> = self.networks.iter().map(|network| network.subnet.to_string()).collect();
                return bad(format!(
                    "the address {ip} of host {who} is not inside the subnet {}",
                    subnets.join(" or ")
                ));
            }
            if let Some(other) = promised.insert(ip, who) {
                return bad(format!("the address {ip} is given to two hosts, {other} and {who}"));
            }
        }
        Ok(())
    }
}
