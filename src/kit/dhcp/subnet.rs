//! Subnets and ranges of addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::host::Fault;

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

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Subnet, Fault> {
        let bad = || {
            Fault::new("dhcp.subnet", format!("`{}` is not a subnet", text.escape_debug()))
                .hint("a subnet is an address and a prefix length: 10.0.0.0/24")
        };
        let (address, prefix) = text.trim().split_once('/').ok_or_else(bad)?;
        let prefix = prefix.parse::<u8>().ok().filter(|prefix| (8..=32).contains(prefix)).ok_or_else(bad)?;
        Ok(Subnet::of(address.parse().map_err(|_| bad())?, prefix))
    }
}

/// First and last address, both inside. Read from `10.0.0.100-10.0.0.200`, or short `10.0.0.100-200`; one address alone
/// is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

impl Range {
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Range {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Range, Fault> {
        let bad = || {
            Fault::new("dhcp.range", format!("`{}` is not a range of addresses", text.escape_debug()))
                .hint("a range is its first and last address: 10.0.0.100-10.0.0.200")
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first: Ipv4Addr = first.trim().parse().map_err(|_| bad())?;
        let last = match last.trim().parse::<u8>() {
            Ok(last) => {
                let [a, b, c, _] = first.octets();
                Ipv4Addr::new(a, b, c, last)
            }
            Err(_) => last.trim().parse().map_err(|_| bad())?,
        };
        Ok(Range { first, last })
    }
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
        let expected = Range { first: Ipv4Addr::new(10, 0, 0, 5), last: Ipv4Addr::new(10, 0, 0, 9) };
        for text in ["10.0.0.5-9", "10.0.0.5 - 10.0.0.9"] {
            assert_eq!(text.parse::<Range>().unwrap(), expected);
        }
        for text in ["10.0.0.5-", "-", "10.0.0-9", "a-b"] {
            assert_eq!(text.parse::<Range>().unwrap_err().kind, "dhcp.range", "{text}");
        }
    }
}
