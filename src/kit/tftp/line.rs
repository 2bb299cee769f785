//! One transfer's packets: sent, waited for, sent again.

use std::io::{Error, ErrorKind, IoSlice, Result as IoResult};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, sendmsg};

use super::pace::{LOOKS, Pace};
use super::packet::{Packet, code};
use super::table::Place;
use crate::host::Cancel;

/// How often a packet is sent again before its client is given up.
const RETRIES: u32 = 5;
/// Why a transfer ended before its end.
#[derive(Debug)]
pub enum Stop {
    /// The client said so; after a question for the size that is how boot ROMs end it.
    Client(String),
    /// Nobody listens there any more.
    Gone,
    Silent,
    /// The server ends, or the client has asked anew.
    Ended,
    /// Ours: what the client is told, and the cause.
    Own(u16, &'static str, String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Client(message) => write!(f, "the client says `{message}`"),
            Stop::Gone => f.write_str("the client is gone"),
            Stop::Silent => write!(f, "the client is silent, {} packets in a row", RETRIES + 1),
            Stop::Ended => f.write_str("the server ended it"),
            Stop::Own(_, _, cause) => f.write_str(cause),
        }
    }
}

/// What was heard.
pub enum Heard<'a> {
    Ack(u16),
    Data(u16, &'a [u8]),
    /// Time to send again.
    Nothing,
}

pub struct Line {
    socket: Arc<UdpSocket>,
    cancel: Cancel,
    timeout: Duration,
    buffer: Vec<u8>,
    /// Transfers at once, and with how many of them there is a processor to spare.
    busy: Arc<AtomicUsize>,
    spare: usize,
    pace: Pace,
    /// Since when nothing has moved.
    still: Instant,
    tries: u32,
}

impl Line {
    /// `longest` packet to be heard, bytes.
    pub fn new(socket: Arc<UdpSocket>, place: &Place, timeout: Duration, longest: usize) -> Line {
        let _ = socket.set_read_timeout(Some(timeout));
        let (cancel, busy, buffer) = (place.cancel.clone(), place.busy(), vec![0; longest.max(600)]);
        let spare = std::thread::available_parallelism().map_or(0, |count| count.get() / 2);
        let now = Instant::now();
        Line { socket, cancel, timeout, buffer, busy, spare, pace: Pace::new(now), still: now, tries: 0 }
    }

    fn receive(&mut self) -> IoResult<usize> {
        if self.busy.load(Ordering::Relaxed) <= self.spare && self.pace.look(Instant::now) {
            for _ in 0..LOOKS {
                match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                    Err(Errno::EAGAIN) => std::hint::spin_loop(),
                    heard => return heard.map_err(Error::from),
                }
            }
        }
        self.socket.recv(&mut self.buffer)
    }

    pub fn send(&self, packet: &[u8]) -> Result<(), Stop> {
        self.sent(self.socket.send(packet))
    }

    /// One block: its number and what it holds, put together by the system.
    pub fn send_block(&self, number: u16, data: &[u8]) -> Result<(), Stop> {
        let [high, low] = number.to_be_bytes();
        let (head, fd) = ([0, 3, high, low], self.socket.as_raw_fd());
        let parts = [IoSlice::new(&head), IoSlice::new(data)];
        self.sent(sendmsg::<()>(fd, &parts, &[], MsgFlags::empty(), None).map_err(Error::from))
    }

    fn sent(&self, sent: IoResult<usize>) -> Result<(), Stop> {
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Err(Stop::Gone),
            // A full queue, an address that is being looked for: as lost as on the wire, and sent again like that.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => Ok(()),
            Err(error) => Err(Stop::Own(code::OTHER, "cannot send", error.to_string())),
        }
    }

    /// Tells that it is over. Nobody answers it.
    pub fn refuse(socket: &UdpSocket, code: u16, message: &str) {
        let _ = socket.send(&Packet::Error { code, message: message.into() }.encode());
    }

    /// Something new came: the clock starts anew.
    pub fn moved(&mut self) {
        (self.still, self.tries) = (Instant::now(), 0);
    }

    /// Waits for the next packet that means something.
    pub fn hear(&mut self) -> Result<Heard<'_>, Stop> {
        loop {
            let length = match self.receive() {
                // A socket that was shut down reads as empty.
                Ok(0) if self.cancel.is_set() => return Err(Stop::Ended),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Err(Stop::Gone),
                Err(_) => 0,
            };
            if length >= 4 && self.buffer[0] == 0 {
                let number = u16::from_be_bytes([self.buffer[2], self.buffer[3]]);
                match self.buffer[1] {
                    4 => return Ok(Heard::Ack(number)),
                    3 => return Ok(Heard::Data(number, &self.buffer[4..length])),
                    5 => {
                        let message = match Packet::parse(&self.buffer[..length]) {
                            Some(Packet::Error { code, message }) => format!("{message} (error {code})"),
                            _ => String::new(),
                        };
                        return Err(Stop::Client(message));
                    }
                    _ => {}
                }
            }
            if self.cancel.is_set() {
                return Err(Stop::Ended);
            }
            if self.is_late()? {
                return Ok(Heard::Nothing);
            }
        }
    }

    /// Whether it is time to send again. Asked also where packets come that move nothing: they do not stop the clock.
    pub fn is_late(&mut self) -> Result<bool, Stop> {
        // The system's timer may be a moment early.
        if self.still.elapsed() + Duration::from_millis(5) < self.timeout * (self.tries + 1) {
            return Ok(false);
        }
        self.tries += 1;
        if self.tries > RETRIES { Err(Stop::Silent) } else { Ok(true) }
    }
}
