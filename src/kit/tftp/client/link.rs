//! What reading and writing share: a socket, the server behind it, and what both agreed to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::super::packet::{Packet, code};
use super::Options;
use crate::host::{Fault, Result};
use crate::kit::net;

/// Unless said.
const PORT: u16 = 69;
/// Of the socket, bytes.
const BUFFER: usize = 4 << 20;

/// One transfer: a socket, and what it is about for the errors.
pub struct Transfer<'a> {
    socket: UdpSocket,
    server: SocketAddr,
    /// The server's port of this transfer, from its first answer on.
    peer: Option<SocketAddr>,
    what: String,
    options: &'a Options,
    buffer: Vec<u8>,
}

impl<'a> Transfer<'a> {
    pub async fn new(verb: &str, server: &str, file: &str, options: &'a Options) -> Result<Transfer<'a>> {
        if file.is_empty() || file.contains('\0') || file.len() > 400 {
            return Err(Fault::new("tftp.name", format!("`{}` is no file name for TFTP", file.escape_debug())));
        }
        let bad = |why| Fault::new("tftp.server", format!("cannot find server `{server}`: {why}"));
        let address = net::resolve(server, PORT).await.map_err(bad)?[0];
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let what = format!("{verb} `{file}` {} {server}", if verb == "put" { "to" } else { "from" });
        let socket = UdpSocket::bind(local).await.map_err(|error| Fault::io("tftp.send", &what, error))?;
        // Room for a window of large blocks; the system's own size does where more is not allowed.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER));
        Ok(Transfer { socket, server: address, peer: None, what, options, buffer: vec![0; 65_536] })
    }

    pub fn fault(&self, kind: &'static str, why: impl std::fmt::Display) -> Fault {
        Fault::new(kind, format!("cannot {}: {why}", self.what))
    }

    pub async fn send(&self, packet: &[u8]) -> Result<()> {
        let to = self.peer.unwrap_or(self.server);
        self.socket.send_to(packet, to).await.map_err(|error| self.fault("tftp.send", error)).map(drop)
    }

    /// The next packet of this transfer, or `None` when the time is over.
    pub async fn hear(&mut self) -> Result<Option<Packet<'_>>> {
        let end = Instant::now() + self.options.timeout;
        let length = loop {
            let left = end.saturating_duration_since(Instant::now());
            match timeout(left, self.socket.recv_from(&mut self.buffer)).await {
                Err(_) => return Ok(None),
                Ok(Err(error)) => return Err(self.fault("tftp.send", error)),
                Ok(Ok((length, from))) => match self.peer {
                    None if from.ip() == self.server.ip() => {
                        self.peer = Some(from);
                        break length;
                    }
                    Some(peer) if peer == from => break length,
                    // Another transfer's, or a stranger (RFC 1350, 4).
                    _ => continue,
                },
            }
        };
        if let Some(Packet::Error { code, message }) = Packet::parse(&self.buffer[..length]) {
            return Err(self.refused(code, &message));
        }
        // Borrowed anew: the borrow above ends with the early return.
        Ok(Packet::parse(&self.buffer[..length]))
    }

    fn refused(&self, number: u16, message: &str) -> Fault {
        let kind = match number {
            code::MISSING => "tftp.missing",
            code::REFUSED => "tftp.refused",
            code::FULL => "tftp.full",
            _ => "tftp.error",
        };
        self.fault(kind, format_args!("the server says `{message}` (error {number})"))
    }

    pub fn silent(&self, bytes: u64) -> Fault {
        let tries = self.options.retries + 1;
        let fault = self.fault("tftp.timeout", format_args!("no answer to {tries} packets, {bytes} bytes along"));
        fault.hint("is a TFTP server running there, and no firewall in between?")
    }

    /// What the server agreed to; more than was asked for is no agreement.
    pub async fn agree(&self, agreed: &[(String, String)]) -> Result<Agreed> {
        let mut taken = Agreed { blksize: 512, windowsize: 1, size: None };
        for (name, value) in agreed {
            let number = value.parse::<u64>().ok();
            match (name.as_str(), number) {
                ("blksize", Some(n)) if (8..=u64::from(self.options.blksize)).contains(&n) => taken.blksize = n as u16,
                ("windowsize", Some(n)) if (1..=u64::from(self.options.windowsize)).contains(&n) => {
                    taken.windowsize = n as u16;
                }
                ("tsize", Some(n)) => taken.size = Some(n),
                ("timeout", Some(_)) => {}
                _ => {
                    let message = format!("option {name}={value}");
                    let _ = self.send(&Packet::Error { code: code::OPTIONS, message: message.clone() }.encode()).await;
                    return Err(self.fault("tftp.error", format_args!("the server set an unasked {message}")));
                }
            }
        }
        Ok(taken)
    }

    /// Tells the server that it is over, when it fails on our side.
    pub async fn give_up(&self, fault: Fault) -> Fault {
        let error = Packet::Error { code: code::FULL, message: "cannot store the file".into() };
        let _ = self.send(&error.encode()).await;
        fault
    }

    pub fn request_options(&self, size: u64) -> Vec<(String, String)> {
        let mut options = vec![("tsize".into(), size.to_string())];
        if self.options.blksize != 512 {
            options.push(("blksize".into(), self.options.blksize.to_string()));
        }
        let seconds = self.options.timeout.as_secs();
        if (1..=255).contains(&seconds) {
            options.push(("timeout".into(), seconds.to_string()));
        }
        if self.options.windowsize > 1 {
            options.push(("windowsize".into(), self.options.windowsize.to_string()));
        }
        options
    }
}

pub struct Agreed {
    pub blksize: u16,
    pub windowsize: u16,
    pub size: Option<u64>,
}
