//! The client: for the node, the REPL and the tests.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::packet::{Mode, Packet, code};
use crate::host::{Fault, Result};
use crate::kit::served::Upload;

/// What is asked of the server; one that knows no options is served as RFC 1350 has it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes in a block, 8 to 65464 (RFC 2348).
    pub blksize: u16,
    /// Blocks sent without waiting, 1 to 65535 (RFC 7440).
    pub windowsize: u16,
    /// Before a packet is sent again.
    pub timeout: Duration,
    /// How often in a row.
    pub retries: u32,
    /// The longest file taken, bytes.
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        // 1468: with the headers of TFTP, UDP and IP an Ethernet frame.
        Options { blksize: 1468, windowsize: 8, timeout: Duration::from_secs(1), retries: 6, limit: u64::MAX }
    }
}

/// What came of a transfer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub bytes: u64,
    pub seconds: f64,
    /// As agreed with the server.
    pub blksize: u16,
    pub windowsize: u16,
}

/// `host`, `host:port` or `[v6]:port`; port 69 unless said.
async fn resolve(server: &str) -> Result<SocketAddr> {
    let bare = || (server.trim_matches(['[', ']']), 69);
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host.trim_matches(['[', ']']), port),
            Err(_) => {
                return Err(Fault::new("tftp.server", format!("`{server}` is not a server: `{port}` is no port")));
            }
        },
        _ => bare(),
    };
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| Fault::io("tftp.server", format_args!("find the server `{server}`"), error))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| Fault::new("tftp.server", format!("the server `{server}` has no address")))
}

/// Of the socket, bytes.
const BUFFER: usize = 4 << 20;

/// One transfer: a socket, and what it is about for the errors.
struct Transfer<'a> {
    socket: UdpSocket,
    server: SocketAddr,
    /// The server's port of this transfer, from its first answer on.
    peer: Option<SocketAddr>,
    what: String,
    options: &'a Options,
    buffer: Vec<u8>,
}

impl<'a> Transfer<'a> {
    async fn new(verb: &str, server: &str, file: &str, options: &'a Options) -> Result<Transfer<'a>> {
        if file.is_empty() || file.contains('\0') || file.len() > 400 {
            return Err(Fault::new("tftp.name", format!("`{}` is no file name for TFTP", file.escape_debug())));
        }
        let address = resolve(server).await?;
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

    fn fault(&self, kind: &'static str, why: impl std::fmt::Display) -> Fault {
        Fault::new(kind, format!("cannot {}: {why}", self.what))
    }

    async fn send(&self, packet: &[u8]) -> Result<()> {
        let to = self.peer.unwrap_or(self.server);
        self.socket.send_to(packet, to).await.map_err(|error| self.fault("tftp.send", error)).map(drop)
    }

    /// The next packet of this transfer, or `None` when the time is over.
    async fn hear(&mut self) -> Result<Option<Packet<'_>>> {
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

    fn silent(&self, bytes: u64) -> Fault {
        let tries = self.options.retries + 1;
        let fault = self.fault("tftp.timeout", format_args!("no answer to {tries} packets, {bytes} bytes along"));
        fault.hint("is a TFTP server running there, and no firewall in between?")
    }

    /// What the server agreed to; more than was asked for is no agreement.
    async fn agree(&self, agreed: &[(String, String)]) -> Result<Agreed> {
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
    async fn give_up(&self, fault: Fault) -> Fault {
        let error = Packet::Error { code: code::FULL, message: "cannot store the file".into() };
        let _ = self.send(&error.encode()).await;
        fault
    }

    fn request_options(&self, size: u64) -> Vec<(String, String)> {
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

struct Agreed {
    blksize: u16,
    windowsize: u16,
    size: Option<u64>,
}

/// Reads a file into `sink`, block after block.
///
/// # Errors
/// `tftp.missing`, `tftp.refused`, `tftp.timeout`, `tftp.server`, `tftp.error`; each names server and file. What the
/// sink has then is not the whole file.
pub async fn get(server: &str, file: &str, options: &Options, sink: &mut (dyn Write + Send)) -> Result<Report> {
    let start = Instant::now();
    let mut transfer = Transfer::new("get", server, file, options).await?;
    let request = Packet::Read { file: file.into(), mode: Mode::Octet, options: transfer.request_options(0) }.encode();
    transfer.send(&request).await?;
    // What is sent again after silence: the request, then the last acknowledgement.
    let mut last = request;
    let mut agreed: Option<Agreed> = None;
    let (mut bytes, mut block, mut since, mut silence) = (0u64, 0u16, 0u16, 0u32);
    let mut strayed = false;
    loop {
        enum Heard {
            Nothing,
            Options(Vec<(String, String)>),
            Block(u16, Vec<u8>),
            Other,
        }
        let heard = match transfer.hear().await? {
            None => Heard::Nothing,
            Some(Packet::Options(list)) => Heard::Options(list),
            Some(Packet::Data { block, data }) => Heard::Block(block, data.to_vec()),
            Some(_) => Heard::Other,
        };
        match heard {
            Heard::Other => continue,
            Heard::Nothing => {
                silence += 1;
                if silence > options.retries {
                    return Err(transfer.silent(bytes));
                }
                (since, strayed) = (0, false);
                transfer.send(&last).await?;
            }
            Heard::Options(list) if bytes == 0 && block == 0 => {
                let taken = transfer.agree(&list).await?;
                if let Some(size) = taken.size.filter(|size| *size > options.limit) {
                    let fault =
                        transfer.fault("tftp.limit", format_args!("it has {size} bytes, more than {}", options.limit));
                    return Err(transfer.give_up(fault).await);
                }
                agreed = Some(taken);
                last = Packet::Ack { block: 0 }.encode();
                transfer.send(&last).await?;
            }
            Heard::Options(_) => {}
            Heard::Block(number, data) => {
                let taken = agreed.get_or_insert(Agreed { blksize: 512, windowsize: 1, size: None });
                let (blksize, windowsize) = (taken.blksize, taken.windowsize);
                if number != block.wrapping_add(1) {
                    // A gap, or an old one: said once, then the server goes back to what is missing (RFC 7440, 4).
                    if !strayed {
                        strayed = true;
                        since = 0;
                        transfer.send(&last).await?;
                    }
                    continue;
                }
                if data.len() > usize::from(blksize) {
                    return Err(transfer.fault("tftp.error", "the server sends larger blocks than agreed"));
                }
                (strayed, silence, block, since) = (false, 0, number, since + 1);
                bytes += data.len() as u64;
                if bytes > options.limit {
                    let fault = transfer.fault("tftp.limit", format_args!("it has more than {} bytes", options.limit));
                    return Err(transfer.give_up(fault).await);
                }
                if let Err(error) = sink.write_all(&data) {
                    let fault = transfer.fault("tftp.write", error);
                    return Err(transfer.give_up(fault).await);
                }
                let end = data.len() < usize::from(blksize);
                // Also what is said after a silence: from here on, please.
                last = Packet::Ack { block }.encode();
                if end || since >= windowsize {
                    since = 0;
                    transfer.send(&last).await?;
                }
                if end {
                    let said = agreed.as_ref().and_then(|agreed| agreed.size).filter(|said| ![0, bytes].contains(said));
                    if let Some(said) = said {
                        let why = format!("it ended after {bytes} of {said} bytes");
                        return Err(transfer.fault("tftp.error", why));
                    }
                    return Ok(Report { bytes, seconds: start.elapsed().as_secs_f64(), blksize, windowsize });
                }
            }
        }
    }
}

/// Reads a file into memory.
pub async fn get_bytes(server: &str, file: &str, options: &Options) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    get(server, file, options, &mut bytes).await?;
    Ok(bytes)
}

/// Reads a file to `to`, which appears whole or not at all.
pub async fn fetch(server: &str, file: &str, to: &Path, options: &Options) -> Result<Report> {
    let fail = |error| Fault::io("tftp.write", format_args!("write `{}`", to.display()), error);
    let mut out = std::io::BufWriter::new(Part(Upload::at(to, u64::MAX).map_err(fail)?));
    let report = get(server, file, options, &mut out).await?;
    out.into_inner().map_err(|error| fail(error.into_error()))?.0.finish().map_err(fail)?;
    Ok(report)
}

struct Part(Upload);

impl Write for Part {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.write(data).map(|()| data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes `size` bytes of `source` to a server.
///
/// # Errors
/// As [`get`], and `tftp.full`.
pub async fn put(
    server: &str,
    file: &str,
    options: &Options,
    source: &mut (dyn Read + Send),
    size: u64,
) -> Result<Report> {
    let start = Instant::now();
    let mut transfer = Transfer::new("put", server, file, options).await?;
    let asked = transfer.request_options(size);
    let request = Packet::Write { file: file.into(), mode: Mode::Octet, options: asked }.encode();
    transfer.send(&request).await?;
    // The server's word on the request: what it takes of the options, or a plain acknowledgement.
    let mut silence = 0u32;
    let agreed = loop {
        match transfer.hear().await? {
            None => {
                silence += 1;
                if silence > options.retries {
                    return Err(transfer.silent(0));
                }
                transfer.send(&request).await?;
            }
            Some(Packet::Options(list)) => break transfer.agree(&list).await?,
            Some(Packet::Ack { block: 0 }) => break Agreed { blksize: 512, windowsize: 1, size: None },
            Some(_) => {}
        }
    };
    let (blksize, windowsize) = (agreed.blksize, agreed.windowsize);
    // Blocks that were sent and not acknowledged, the first of them numbered `taken` + 1.
    let (mut open, mut taken, mut bytes) = (VecDeque::<Vec<u8>>::new(), 0u16, 0u64);
    let (mut end, mut strayed) = (false, false);
    silence = 0;
    loop {
        while !end && open.len() < usize::from(windowsize) {
            let mut data = Vec::with_capacity(usize::from(blksize));
            if let Err(error) = (&mut *source).take(u64::from(blksize)).read_to_end(&mut data) {
                let fault = transfer.fault("tftp.read", error);
                return Err(transfer.give_up(fault).await);
            }
            bytes += data.len() as u64;
            end = data.len() < usize::from(blksize);
            let block = taken.wrapping_add(open.len() as u16 + 1);
            open.push_back(Packet::Data { block, data: &data }.encode());
            transfer.send(&open[open.len() - 1]).await?;
        }
        let again = match transfer.hear().await? {
            None => {
                silence += 1;
                if silence > options.retries {
                    return Err(transfer.silent(bytes));
                }
                strayed = false;
                true
            }
            Some(Packet::Ack { block }) => match usize::from(block.wrapping_sub(taken)) {
                // The first of the window was lost. Of single blocks an old acknowledgement: answered, it would double
                // every packet from here on.
                0 => windowsize > 1 && !std::mem::replace(&mut strayed, true),
                step if step <= open.len() => {
                    open.drain(..step);
                    (taken, silence, strayed) = (block, 0, false);
                    !open.is_empty()
                }
                _ => false,
            },
            Some(_) => false,
        };
        if end && open.is_empty() {
            return Ok(Report { bytes, seconds: start.elapsed().as_secs_f64(), blksize, windowsize });
        }
        if again {
            for packet in &open {
                transfer.send(packet).await?;
            }
        }
    }
}
