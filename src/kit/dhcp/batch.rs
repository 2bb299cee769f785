//! Many packets off a socket by one call (recvmmsg(2)).

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Packets taken by one call.
const MANY: usize = 128;
/// Bytes of the largest packet that is read; DHCP ends at the 1,500 of an Ethernet.
const SIZE: usize = 2048;

/// Room for one call's packets, used again and again.
pub struct Batch {
    buffers: Vec<[u8; SIZE]>,
    from: Vec<libc::sockaddr_in>,
}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: a sockaddr_in is plain numbers, for which zeros are a valid value.
        Batch { buffers: vec![[0; SIZE]; MANY], from: vec![unsafe { std::mem::zeroed() }; MANY] }
    }
}

impl Batch {
    /// Takes what is there, at most [`MANY`] packets, and shows each with its sender. Gives back how many; `WouldBlock`
    /// where there is none.
    pub fn receive(&mut self, socket: &UdpSocket, mut each: impl FnMut(&[u8], SocketAddrV4)) -> io::Result<usize> {
        let mut parts: Vec<libc::iovec> = self
            .buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: SIZE })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .zip(&mut self.from)
            .map(|(part, from)| {
                // SAFETY: an mmsghdr is plain numbers and pointers, for which zeros are a valid value.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_name = (from as *mut libc::sockaddr_in).cast();
                message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        // SAFETY: every pointer in `messages` is to a buffer of this struct or this frame, as long as said, used by
        // nobody else during the call.
        let count = unsafe {
            let flags = libc::MSG_DONTWAIT;
            libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), MANY as u32, flags, std::ptr::null_mut())
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for at in 0..count {
            let length = (messages[at].msg_len as usize).min(SIZE);
            let from = &self.from[at];
            let address = Ipv4Addr::from_bits(u32::from_be(from.sin_addr.s_addr));
            each(&self.buffers[at][..length], SocketAddrV4::new(address, u16::from_be(from.sin_port)));
        }
        Ok(count)
    }
}
