//! What interfaces there are. Asked of the kernel by calls, not of /sys, which may belong to another namespace.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use serde::Serialize;

use super::Mac;
use crate::host::{Fault, Result};

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Interface {
    pub name: String,
    /// `52:54:00:12:34:56`; empty where it has none.
    pub mac: String,
    /// With their prefix: `10.0.0.1/24`, `fe80::1/64`.
    pub addresses: Vec<String>,
    /// Switched on.
    pub up: bool,
    /// A cable and somebody at its other end.
    pub carrier: bool,
    pub loopback: bool,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// The same IPv4 addresses for the code: address and prefix length.
    #[serde(skip)]
    pub ipv4: Vec<(Ipv4Addr, u8)>,
}

/// All interfaces of this network namespace, by name.
pub fn interfaces() -> Result<Vec<Interface>> {
    let entries = getifaddrs().map_err(|error| Fault::io("net.list", "list the network interfaces", error))?;
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in entries {
        let interface = found.entry(entry.interface_name.clone()).or_default();
        interface.up = entry.flags.contains(InterfaceFlags::IFF_UP);
        interface.carrier = entry.flags.contains(InterfaceFlags::IFF_RUNNING);
        interface.loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let Some(address) = entry.address else { continue };
        let mask = entry.netmask;
        if let Some(link) = address.as_link_addr() {
            let mac = link.addr().filter(|mac| *mac != [0; 6]).map(Mac);
            interface.mac = mac.map(|mac| mac.to_string()).unwrap_or_default();
        } else if let Some(v4) = address.as_sockaddr_in() {
            let prefix = mask.and_then(|m| Some(m.as_sockaddr_in()?.ip().to_bits().count_ones())).unwrap_or(32);
            interface.ipv4.push((v4.ip(), prefix as u8));
            interface.addresses.push(format!("{}/{prefix}", v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            let prefix = mask.and_then(|m| Some(m.as_sockaddr_in6()?.ip().to_bits().count_ones())).unwrap_or(128);
            interface.addresses.push(format!("{}/{prefix}", v6.ip()));
        }
    }
    Ok(found
        .into_iter()
        .map(|(name, interface)| Interface { mtu: mtu(&name).unwrap_or(0), name, ..interface })
        .collect())
}

/// # Errors
/// `net.missing`: there is no interface of that name; the hint lists those there are.
pub fn find(name: &str) -> Result<Interface> {
    let all = interfaces()?;
    let names: Vec<String> = all.iter().map(|interface| interface.name.clone()).collect();
    all.into_iter().find(|interface| interface.name == name).ok_or_else(|| {
        Fault::new("net.missing", format!("there is no network interface `{}`", name.escape_debug()))
            .nearest(name, names.iter().map(String::as_str))
            .hint(format!("interfaces of this machine: {}", names.join(", ")))
    })
}

/// SIOCGIFMTU (netdevice(7)).
fn mtu(name: &str) -> Option<u32> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).ok()?;
    // SAFETY: an ifreq is plain bytes, for which zeros are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the call reads the name and writes the number, both inside `request`.
    let mtu = unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &mut request) != 0 {
            return None;
        }
        request.ifr_ifru.ifru_mtu
    };
    u32::try_from(mtu).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_and_others_are_not() {
        let lo = find("lo").unwrap();
        assert!(lo.up && lo.loopback && lo.mtu > 1000, "{lo:?}");
        assert!(lo.addresses.contains(&"127.0.0.1/8".to_string()), "{lo:?}");
        let fault = find("l0").unwrap_err();
        assert_eq!((fault.kind.as_ref(), fault.hints[0].as_str()), ("net.missing", "did you mean `lo`?"));
    }
}
