//! Packet sockets (packet(7)): to a machine by its hardware address, before it has any other.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::batch;
use super::socket::enlarge;
use crate::host::{Fault, Result};
use crate::kit::net::Interface;

/// What a socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Protocol {
    /// Nothing: it only sends IPv4.
    None = 0,
    Ip = 0x0800,
    Arp = 0x0806,
}

/// A socket of one Ethernet interface; the kernel makes and removes the Ethernet header.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
    index: i32,
    protocol: Protocol,
}

impl Link {
    /// # Errors
    /// `dhcp.bind`: no right to it (it takes root), or the interface is gone.
    pub fn open(interface: &Interface, protocol: Protocol) -> Result<Link> {
        Self::bound(interface, protocol)
            .map_err(|error| Fault::io("dhcp.bind", format_args!("open a packet socket on {}", interface.name), error))
    }

    fn bound(interface: &Interface, protocol: Protocol) -> io::Result<Link> {
        let index = nix::net::if_::if_nametoindex(interface.name.as_str())? as i32;
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Hears nothing until it is bound to its interface.
        // SAFETY: plain numbers; the descriptor is ours alone from here on.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        enlarge(&fd)?;
        let link = Link { fd, index, protocol };
        let address = link.address([0; 6], protocol);
        // SAFETY: `address` is a whole sockaddr_ll that lives through the call.
        let bound =
            unsafe { libc::bind(link.fd.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(link) }
    }

    fn address(&self, mac: [u8; 6], protocol: Protocol) -> libc::sockaddr_ll {
        // SAFETY: a sockaddr_ll is plain numbers, for which zeros are a valid value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (protocol as u16).to_be();
        address.sll_ifindex = self.index;
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&mac);
        address
    }

    /// Where packets for a hardware address go; 255 six times is everybody.
    pub fn to(&self, mac: [u8; 6]) -> libc::sockaddr_ll {
        let protocol = if self.protocol == Protocol::None { Protocol::Ip } else { self.protocol };
        self.address(mac, protocol)
    }

    /// Sends one packet.
    pub fn send(&self, to: [u8; 6], bytes: &[u8]) -> io::Result<()> {
        batch::send(self, &[(self.to(to), bytes)]).map(drop)
    }

    /// The next packet, or `WouldBlock`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer lives through the call and is as long as said.
        let got = unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl std::os::fd::AsFd for Link {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
