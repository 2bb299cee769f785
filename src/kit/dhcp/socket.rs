//! UDP sockets that see one interface only, broadcasts and unicasts alike.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

use crate::host::{Fault, Result};
use crate::kit::net::Interface;

/// Room for the boots of 10,000 machines at once, bytes; the kernel counts twice of it.
const BUFFER: usize = 24 << 20;

/// Who else may have the same port on the same interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nobody before us; proxies after us.
    Alone,
    /// Anybody: clients, which all hear all broadcasts.
    All,
    /// As alone where that is possible; beside a server that is there already broadcasts only, so that what is sent to
    /// its own address goes on reaching it.
    Beside,
}

/// A socket bound to `interface` and to `port` (0: any free one) of every address.
///
/// # Errors
/// `dhcp.bind`: the port is in use, or may not be used.
pub fn open(interface: &Interface, port: u16, share: Share) -> Result<UdpSocket> {
    let opened = match share {
        Share::All => bound(interface, port, Ipv4Addr::UNSPECIFIED, true),
        Share::Alone => bound(interface, port, Ipv4Addr::UNSPECIFIED, false),
        Share::Beside => match bound(interface, port, Ipv4Addr::UNSPECIFIED, false) {
            Err(nix::Error::EADDRINUSE) => bound(interface, port, Ipv4Addr::BROADCAST, true),
            opened => opened,
        },
    };
    opened.map_err(|error| {
        let fault =
            Fault::io("dhcp.bind", format_args!("listen on port {port} of {}", interface.name), io::Error::from(error));
        match error {
            nix::Error::EADDRINUSE => fault.hint(
                "another DHCP server runs on this machine: stop it, serve beside it with mode: \"proxy\", or give \
                 another `port`",
            ),
            _ => fault,
        }
    })
}

fn bound(interface: &Interface, port: u16, address: Ipv4Addr, shared: bool) -> nix::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::BindToDevice, &interface.name.clone().into())?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::ReuseAddr, &shared)?;
    enlarge(&fd)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, port)))?;
    // Looked at when somebody else binds: from now on those may who share.
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    Ok(UdpSocket::from(fd))
}

/// Root may go beyond the system's limit; without root the limit is what there is.
pub(super) fn enlarge(fd: &impl AsFd) -> nix::Result<()> {
    if setsockopt(fd, sockopt::RcvBufForce, &BUFFER).is_err() {
        setsockopt(fd, sockopt::RcvBuf, &BUFFER)?;
    }
    Ok(())
}

/// Where a client sends what everybody on the wire is to hear.
pub fn everybody(interface: &Interface) -> Ipv4Addr {
    // The loopback's own broadcast address needs no source address from elsewhere.
    if interface.loopback { Ipv4Addr::new(127, 255, 255, 255) } else { Ipv4Addr::BROADCAST }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::net;

    #[test]
    fn a_port_is_one_servers_and_its_proxies() {
        let lo = net::find("lo").unwrap();
        let first = open(&lo, 0, Share::Alone).unwrap();
        let port = first.local_addr().unwrap().port();
        assert_eq!(open(&lo, port, Share::Alone).unwrap_err().kind, "dhcp.bind");
        let proxy = open(&lo, port, Share::Beside).unwrap();
        assert_eq!(proxy.local_addr().unwrap().ip(), Ipv4Addr::BROADCAST);
    }
}
