//! The socket that requests come to, and which of this machine's addresses they were sent to.

use std::io::{IoSliceMut, Result as IoResult};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use tokio::io::Interest;

/// Requests of a whole room of machines that are switched on at once, bytes.
const BUFFER: usize = 4 << 20;

/// A packet that came to the listening port.
pub struct Knock {
    pub bytes: Vec<u8>,
    pub peer: SocketAddr,
    /// What the client takes for the server: it is answered from there.
    pub local: SocketAddr,
}

pub struct Listener {
    socket: tokio::net::UdpSocket,
    pub address: SocketAddr,
}

impl Listener {
    /// Inside a runtime.
    pub fn bind(address: SocketAddr) -> IoResult<Listener> {
        let socket = UdpSocket::bind(address)?;
        match address {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER));
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Listener { socket: tokio::net::UdpSocket::from_std(socket)?, address })
    }

    /// The next packet; what is longer than any request is cut.
    pub async fn next(&self) -> IoResult<Knock> {
        self.socket.async_io(Interest::READABLE, || self.take()).await
    }

    fn take(&self) -> IoResult<Knock> {
        let mut bytes = vec![0; 2048];
        let mut space = nix::cmsg_space!(nix::libc::in6_pktinfo, nix::libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let peer = message.address.as_ref().and_then(address_of).ok_or(std::io::ErrorKind::InvalidData)?;
        let mut local = SocketAddr::new(self.address.ip(), 0);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    // The address of ours that belongs to it, also where the packet was sent to everybody.
                    let ip = u32::from_be(info.ipi_spec_dst.s_addr);
                    local = SocketAddrV4::new(ip.into(), 0).into();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    let scope = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                    if !ip.is_multicast() {
                        local = SocketAddrV6::new(ip, 0, 0, scope).into();
                    }
                }
                _ => {}
            }
        }
        let length = message.bytes;
        bytes.truncate(length);
        Ok(Knock { bytes, peer, local })
    }
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let four = storage.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    four.or_else(|| storage.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

/// A socket of one transfer: nobody else's packets reach it, and it hears when its client is gone.
pub fn connected(knock: &Knock) -> IoResult<UdpSocket> {
    let local = match (knock.local.ip(), knock.peer) {
        // An IPv4 client of a socket for both families.
        (IpAddr::V4(four), SocketAddr::V6(_)) => SocketAddr::new(four.to_ipv6_mapped().into(), 0),
        _ => knock.local,
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(knock.peer)?;
    Ok(socket)
}
