//! ICMP echo (RFC 792): whether somebody answers at an address behind a relay.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::batch;
use super::frame::checksum;

const REQUEST: u8 = 8;
const REPLY: u8 = 0;
/// linux/icmp.h: a mask of the types that a raw socket does not hear.
const ICMP_FILTER: libc::c_int = 1;

/// A raw socket that hears echo replies.
#[derive(Debug)]
pub struct Echo {
    fd: OwnedFd,
    /// Tells our replies from those of other programs.
    id: u16,
}

impl Echo {
    /// # Errors
    /// No right to it: it takes root.
    pub fn open() -> io::Result<Echo> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain numbers; the descriptor is ours alone from here on.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_INET, kind, libc::IPPROTO_ICMP);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let deaf: u32 = !(1 << REPLY);
        // SAFETY: the option is a number of this size that lives through the call.
        let set = unsafe {
            let (at, size) = ((&raw const deaf).cast(), size_of_val(&deaf) as u32);
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_RAW, ICMP_FILTER, at, size)
        };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Echo { fd, id: uuid::Uuid::new_v4().as_u128() as u16 })
    }

    /// # Errors
    /// No way leads there.
    pub fn ask(&self, ip: Ipv4Addr) -> io::Result<()> {
        let to = batch::address(SocketAddrV4::new(ip, 0));
        batch::send(self, &[(to, &request(self.id))]).map(drop)
    }

    /// Who answered, of what came next; `None` where nothing did.
    pub fn heard(&self) -> Option<Ipv4Addr> {
        let mut buffer = [0; 256];
        loop {
            // SAFETY: the buffer lives through the call and is as long as said.
            let got = unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let bytes = buffer.get(..usize::try_from(got).ok()?)?;
            if let Some(ip) = replied(bytes, self.id) {
                return Some(ip);
            }
        }
    }
}

impl AsRawFd for Echo {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn request(id: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = REQUEST;
    bytes[4..6].copy_from_slice(&id.to_be_bytes());
    let sum = checksum(&[&bytes]);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Whose reply to our question an IPv4 packet is.
pub fn replied(bytes: &[u8], id: u16) -> Option<Ipv4Addr> {
    let header = usize::from(bytes.first()? & 15) * 4;
    let from: [u8; 4] = bytes.get(12..16)?.try_into().ok()?;
    let echo = bytes.get(header.max(20)..)?.first_chunk::<8>()?;
    (echo[0] == REPLY && echo[4..6] == id.to_be_bytes()).then(|| from.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_all_else() {
        let mut packet = [[0x45; 1].as_slice(), &[0; 11], &[10, 9, 0, 100, 10, 0, 0, 1], &request(7)].concat();
        assert_eq!(replied(&packet, 7), None, "a question");
        packet[20] = REPLY;
        assert_eq!(replied(&packet, 7), Some(Ipv4Addr::new(10, 9, 0, 100)));
        assert_eq!(replied(&packet, 8), None, "somebody else's");
        for cut in 0..28 {
            assert_eq!(replied(&packet[..cut], 7), None, "{cut}");
        }
        for first in 0..=255 {
            packet[0] = first;
            let _ = replied(&packet, 7);
        }
    }
}
