//! Many packets by one call: off a socket (recvmmsg(2)), and onto one (sendmmsg(2)).

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

/// Packets taken or sent by one call.
pub const MANY: usize = 64;
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
        let mut parts = [NOTHING; MANY];
        let mut messages = [EMPTY; MANY];
        let room = self.buffers.iter_mut().zip(&mut self.from);
        for (((buffer, from), part), message) in room.zip(&mut parts).zip(&mut messages) {
            *part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: SIZE };
            message.msg_hdr.msg_name = (from as *mut libc::sockaddr_in).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: every pointer in `messages` is to a buffer of this struct or this frame, as long as said, used by
        // nobody else during the call.
        let count = unsafe {
            let flags = libc::MSG_DONTWAIT;
            libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), MANY as u32, flags, null_mut())
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for ((message, buffer), from) in messages.iter().zip(&self.buffers).zip(&self.from).take(count) {
            let address = Ipv4Addr::from_bits(u32::from_be(from.sin_addr.s_addr));
            let length = (message.msg_len as usize).min(SIZE);
            each(&buffer[..length], SocketAddrV4::new(address, u16::from_be(from.sin_port)));
        }
        Ok(count)
    }
}

/// Sends each packet to its address, a `sockaddr` of the socket's family. Gives back how many went, at least one; at most
/// [`MANY`].
pub fn send<A>(socket: &impl AsRawFd, packets: &[(A, &[u8])]) -> io::Result<usize> {
    let mut parts = [NOTHING; MANY];
    let mut messages = [EMPTY; MANY];
    for (((address, bytes), part), message) in packets.iter().zip(&mut parts).zip(&mut messages) {
        *part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        message.msg_hdr.msg_name = (address as *const A).cast_mut().cast();
        message.msg_hdr.msg_namelen = size_of::<A>() as u32;
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
    }
    let count = packets.len().min(MANY) as u32;
    // SAFETY: as above; what is sent is only read.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// An address as the kernel reads it.
pub fn address(to: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: a sockaddr_in is plain numbers, for which zeros are a valid value.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = to.port().to_be();
    address.sin_addr.s_addr = to.ip().to_bits().to_be();
    address
}

const NOTHING: libc::iovec = libc::iovec { iov_base: null_mut(), iov_len: 0 };
// SAFETY: an mmsghdr is plain numbers and pointers, for which zeros are a valid value.
const EMPTY: libc::mmsghdr = unsafe { std::mem::zeroed() };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_together_is_received_together() {
        let (one, two) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (to, mine) = (of(&two), of(&one));
        let list = [b"first".as_slice(), b"second", b""];
        let packets: Vec<_> = list.iter().map(|bytes| (address(to), *bytes)).collect();
        assert_eq!(send(&one, &packets).unwrap(), 3);
        let (mut batch, mut got) = (Batch::default(), Vec::new());
        while got.len() < 3 {
            let _ = batch.receive(&two, |bytes, from| got.push((bytes.to_vec(), from)));
        }
        assert_eq!(got, list.map(|bytes| (bytes.to_vec(), mine)));
        assert_eq!(batch.receive(&two, |_, _| ()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    fn of(socket: &UdpSocket) -> SocketAddrV4 {
        match socket.local_addr().unwrap() {
            std::net::SocketAddr::V4(address) => address,
            other => panic!("{other}"),
        }
    }
}
