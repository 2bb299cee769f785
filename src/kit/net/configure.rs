//! Giving an interface its address, by netdevice(7): a node needs no program for it.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use crate::host::{Fault, Result};

/// Addresses of one interface that are taken away at most.
const MANY: usize = 256;

/// Switches an interface on.
pub fn up(name: &str) -> Result<()> {
    super::find(name)?;
    let fail = |error| Fault::io("net.configure", format_args!("switch `{name}` on"), error);
    let socket = socket().map_err(fail)?;
    let mut request = request(name);
    ask(&socket, libc::SIOCGIFFLAGS, &mut request).map_err(fail)?;
    // SAFETY: the call before filled the flags in.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    ask(&socket, libc::SIOCSIFFLAGS, &mut request).map_err(fail)
}

/// Gives an interface an address and, where there is one, the way out. What it had before goes.
pub fn configure(name: &str, address: Ipv4Addr, prefix: u8, router: Option<Ipv4Addr>) -> Result<()> {
    up(name)?;
    let fail = |what: &str, error| Fault::io("net.configure", format_args!("{what} `{name}`"), error);
    let socket = socket().map_err(|error| fail("configure", error))?;
    let set = |call, ip| {
        let mut request = request(name);
        request.ifr_ifru.ifru_addr = plain(ip);
        ask(&socket, call, &mut request)
    };
    // 0.0.0.0 takes the first one away.
    for _ in 0..MANY {
        if super::find(name)?.ipv4.is_empty() {
            break;
        }
        set(libc::SIOCSIFADDR, Ipv4Addr::UNSPECIFIED).map_err(|error| fail("take the old address of", error))?;
    }
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    let mask = Ipv4Addr::from_bits(bits);
    set(libc::SIOCSIFADDR, address)
        .and_then(|()| set(libc::SIOCSIFNETMASK, mask))
        .and_then(|()| set(libc::SIOCSIFBRDADDR, Ipv4Addr::from_bits(address.to_bits() | !bits)))
        .map_err(|error| fail(&format!("set {address}/{prefix} on"), error))?;
    match router {
        Some(router) => route(&socket, name, router).map_err(|error| fail(&format!("route by {router} on"), error)),
        None => Ok(()),
    }
}

/// The default route, in place of the one that there may be.
fn route(socket: &UdpSocket, name: &str, router: Ipv4Addr) -> io::Result<()> {
    let device = std::ffi::CString::new(name)?;
    // SAFETY: plain bytes, for which zeros are a valid value.
    let mut entry: libc::rtentry = unsafe { std::mem::zeroed() };
    entry.rt_dst = plain(Ipv4Addr::UNSPECIFIED);
    entry.rt_genmask = plain(Ipv4Addr::UNSPECIFIED);
    // SAFETY: the call reads the entry. One that is not there is no matter.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCDELRT as _, &entry) };
    entry.rt_gateway = plain(router);
    entry.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    entry.rt_dev = device.as_ptr().cast_mut();
    // SAFETY: the call reads the entry and the name, which live until behind it.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCADDRT as _, &entry) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn socket() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: an ifreq is plain bytes, for which zeros are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0; a longer name is of no interface, which was looked for before.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// An address as these calls take it.
fn plain(ip: Ipv4Addr) -> libc::sockaddr {
    let own = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: both are 16 plain bytes.
    unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(own) }
}

fn ask(socket: &UdpSocket, call: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: these calls read and write the request only.
    match unsafe { libc::ioctl(socket.as_raw_fd(), call, request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
