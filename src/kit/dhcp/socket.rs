//! UDP sockets that see one interface only, broadcasts included.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

use crate::host::{Fault, Result};
use crate::kit::net::Interface;

/// Room for the boots of a whole room of machines at once, bytes.
const BUFFER: usize = 4 << 20;

/// A socket bound to `interface` and to `port` (0: any free one) of every address. `shared`: other sockets may have the
/// same port (clients; a server must find out that there is another).
///
/// # Errors
/// `dhcp.bind`: the port is in use, or may not be used.
pub fn open(interface: &Interface, port: u16, shared: bool) -> Result<tokio::net::UdpSocket> {
    let bound = || -> nix::Result<UdpSocket> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::BindToDevice, &interface.name.clone().into())?;
        setsockopt(&fd, sockopt::Broadcast, &true)?;
        if shared {
            setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        }
        // Root may go beyond the system's limit; without root the limit is what there is.
        if setsockopt(&fd, sockopt::RcvBufForce, &BUFFER).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &BUFFER)?;
        }
        bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
        Ok(UdpSocket::from(fd))
    };
    let fail = |error: std::io::Error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let fault = Fault::io("dhcp.bind", format_args!("listen on port {port} of {}", interface.name), error);
        match in_use {
            true => fault.hint("another DHCP server runs on this machine: stop it, or give another `port`"),
            false => fault,
        }
    };
    let socket = bound().map_err(|error| fail(error.into()))?;
    tokio::net::UdpSocket::from_std(socket).map_err(fail)
}

/// Where a client sends what everybody on the wire is to hear.
pub fn everybody(interface: &Interface) -> Ipv4Addr {
    // The loopback's own broadcast address needs no source address from elsewhere.
    if interface.loopback { Ipv4Addr::new(127, 255, 255, 255) } else { Ipv4Addr::BROADCAST }
}
