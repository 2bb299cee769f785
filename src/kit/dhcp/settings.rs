//! What a server is told to give.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::option::Options;
use crate::host::{Fault, Result};
use crate::kit::net::Mac;

/// `10.0.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub network: Ipv4Addr,
    pub prefix: u8,
}

impl Subnet {
    pub fn of(address: Ipv4Addr, prefix: u8) -> Subnet {
        let subnet = Subnet { network: address, prefix: prefix.min(32) };
        Subnet { network: Ipv4Addr::from_bits(address.to_bits() & subnet.mask().to_bits()), ..subnet }
    }

    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0))
    }

    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !self.mask().to_bits())
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask().to_bits() == self.network.to_bits()
    }

    /// Whether a machine may have this address: neither end of the subnet.
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        self.contains(address) && (self.prefix > 30 || (address != self.network && address != self.broadcast()))
    }
}

impl FromStr for Subnet {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Subnet> {
        let bad = || {
            Fault::new("dhcp.subnet", format!("`{}` is not a subnet", text.escape_debug()))
                .hint("a subnet is an address and a prefix length: 10.0.0.0/24")
        };
        let (address, prefix) = text.trim().split_once('/').ok_or_else(bad)?;
        let prefix = prefix.parse::<u8>().ok().filter(|prefix| (8..=32).contains(prefix)).ok_or_else(bad)?;
        Ok(Subnet::of(address.parse().map_err(|_| bad())?, prefix))
    }
}

/// What a client is given, as far as one source of settings says: the server's own, a host's, a closure's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub ip: Option<Ipv4Addr>,
    /// Host name, option 12.
    pub name: Option<String>,
    pub router: Option<Vec<Ipv4Addr>>,
    pub dns: Option<Vec<Ipv4Addr>>,
    pub domain: Option<String>,
    pub lease: Option<Duration>,
    /// The boot server: `siaddr` and option 66; the server itself unless said.
    pub next_server: Option<Ipv4Addr>,
    /// `file` and option 67.
    pub bootfile: Option<String>,
    pub options: Options,
}

impl Changes {
    /// What `other` says goes before what stands here; options number by number.
    pub fn overlay(&self, other: &Changes) -> Changes {
        let mut options = self.options.clone();
        options.extend(other.options.clone());
        Changes {
            ip: other.ip.or(self.ip),
            name: other.name.clone().or_else(|| self.name.clone()),
            router: other.router.clone().or_else(|| self.router.clone()),
            dns: other.dns.clone().or_else(|| self.dns.clone()),
            domain: other.domain.clone().or_else(|| self.domain.clone()),
            lease: other.lease.or(self.lease),
            next_server: other.next_server.or(self.next_server),
            bootfile: other.bootfile.clone().or_else(|| self.bootfile.clone()),
            options,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub subnet: Subnet,
    /// First and last address given to clients that are no static hosts.
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
    pub hosts: HashMap<Mac, Changes>,
    /// For every client.
    pub common: Changes,
    /// Where leases survive the server; none: they end with it.
    pub leases: Option<PathBuf>,
}

impl Settings {
    /// # Errors
    /// `dhcp.settings`: an address outside the subnet, a range upside down, an address promised twice.
    pub fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Fault::new("dhcp.settings", message));
        let subnet = format!("{}/{}", self.subnet.network, self.subnet.prefix);
        if let Some((first, last)) = self.range {
            if !self.subnet.holds(first) || !self.subnet.holds(last) {
                return bad(format!("the range {first}-{last} is not inside the subnet {subnet}"));
            }
            if first > last {
                return bad(format!("the range {first}-{last} ends before it starts"));
            }
        }
        let mut promised: HashMap<Ipv4Addr, Mac> = HashMap::new();
        for (mac, host) in &self.hosts {
            let Some(ip) = host.ip else { continue };
            if !self.subnet.holds(ip) {
                return bad(format!("the address {ip} of host {mac} is not inside the subnet {subnet}"));
            }
            if let Some(other) = promised.insert(ip, *mac) {
                return bad(format!("the address {ip} is given to two hosts, {other} and {mac}"));
            }
        }
        Ok(())
    }

    pub fn in_range(&self, address: Ipv4Addr) -> bool {
        self.range.is_some_and(|(first, last)| (first..=last).contains(&address))
    }
}

/// `10.0.0.100-10.0.0.200`, or short `10.0.0.100-200`.
pub fn range(text: &str) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let bad = || {
        Fault::new("dhcp.range", format!("`{}` is not a range of addresses", text.escape_debug()))
            .hint("a range is its first and last address: 10.0.0.100-10.0.0.200")
    };
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let first: Ipv4Addr = first.trim().parse().map_err(|_| bad())?;
    let last = match last.trim().parse::<u8>() {
        Ok(last) => {
            let [a, b, c, _] = first.octets();
            Ipv4Addr::new(a, b, c, last)
        }
        Err(_) => last.trim().parse().map_err(|_| bad())?,
    };
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_and_ranges() {
        let subnet: Subnet = "10.0.0.7/24".parse().unwrap();
        assert_eq!((subnet.network, subnet.mask()), (Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(255, 255, 255, 0)));
        assert!(subnet.holds(Ipv4Addr::new(10, 0, 0, 1)) && !subnet.holds(subnet.broadcast()));
        assert!(!subnet.holds(Ipv4Addr::new(10, 0, 1, 1)));
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/0", "x/24", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Subnet>().unwrap_err().kind, "dhcp.subnet", "{text}");
        }
        let expected = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!((range("10.0.0.5-9").unwrap(), range("10.0.0.5 - 10.0.0.9").unwrap()), (expected, expected));
        assert_eq!(range("10.0.0.5").unwrap_err().kind, "dhcp.range");
    }
}
