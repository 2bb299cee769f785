//! TCP sockets as a chain uses them.
//!
//! Send and receive buffers are left to the kernel, which grows them with the path (to 4 and 6 MiB by default); a size
//! set by hand ends that, and is itself cut to `net.core.wmem_max`, a twentieth of it.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpCongestion;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// A socket for one link of a chain, a switch long: congestion control goes by loss (CUBIC, what most systems have anyway).
/// One that goes by a model of the path (BBR, where that is the system's choice) holds back now and then to measure it, for up to 60 ms,
/// and in a chain everybody behind waits as well. Where CUBIC is not to be had, the system's choice stays.
fn socket_for(address: &SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let _ = setsockopt(&socket, TcpCongestion, &OsString::from("cubic"));
    Ok(socket)
}

pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_for(&address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Listens on all addresses of both families, or of IPv4 alone where the kernel has no IPv6.
pub fn listen_all(port: u16) -> io::Result<TcpListener> {
    match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        other => other,
    }
}

/// Connects, from a local address if one is given.
pub async fn connect(to: SocketAddr, from: Option<IpAddr>, limit: Duration) -> io::Result<TcpStream> {
    let socket = socket_for(&to)?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = timeout(limit, socket.connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Has a reader of this socket woken only when so many bytes are there, or none will follow. The kernel goes by it as far
/// as its buffer allows; where it does not know it, every packet wakes.
pub fn wake_for(socket: RawFd, bytes: usize) {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX);
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`; a socket that is none is an error and no more.
    unsafe {
        libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const value).cast(), length);
    }
}

/// An address as people know it: IPv4 also where it came over an IPv6 socket.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        // With its scope, without which an address of one link leads nowhere.
        IpAddr::V6(_) => address,
    }
}
