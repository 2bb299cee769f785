//! One request, from the first packet to the last, on a thread of its own: whatever takes long here, a closure or a
//! disk, delays this client only.

use std::net::UdpSocket;
use std::sync::Arc;

use super::agree::agree;
use super::line::{Line, Stop};
use super::listen::{Knock, connected};
use super::netascii;
use super::packet::{Mode, Packet, code};
use super::receive::receive;
use super::send::send;
use super::table::Place;
use crate::kit::net::Events;
use crate::kit::served::{Body, Event, Reason, Refusal, Request, Rules, Tally, clean};

/// A file sent as text is made in memory: bytes, at most.
const TEXT: u64 = 16 << 20;

/// What all transfers share.
pub struct Shared {
    pub rules: Rules,
    pub events: Events<Event>,
    /// Largest block, bytes.
    pub block: u16,
    /// Largest file sent, bytes.
    pub longest: u64,
    pub runtime: tokio::runtime::Handle,
}

type Options = [(String, String)];

pub fn transfer(shared: &Arc<Shared>, knock: &Knock, place: &Place) {
    let Some(packet) = Packet::parse(&knock.bytes) else { return };
    let Ok(socket) = connected(knock) else { return };
    let socket = Arc::new(socket);
    place.connected(&socket);
    loop {
        let (kind, file, stopped) = match &packet {
            Packet::Read { file, mode, options } => ("read", file, read(shared, place, &socket, file, *mode, options)),
            Packet::Write { file, mode, options } => {
                ("write", file, write(shared, place, &socket, file, *mode, options))
            }
            _ => return,
        };
        match stopped {
            Ok(()) => return,
            Err(End::Refused(refusal)) => {
                let (asked, _) = request(place, file, None);
                shared.events.push(Event::refused(kind, &asked, &refusal));
                place.over();
                let (number, text) = match refusal.reason {
                    Reason::Missing => (code::MISSING, "File not found"),
                    Reason::Refused => (code::REFUSED, "Access refused"),
                    Reason::Full => (code::FULL, "No room, or too large"),
                    Reason::Failed => (code::OTHER, "The server's script failed"),
                };
                Line::refuse(&socket, number, text);
                return;
            }
            // The client has ended it and asks for the same again, from the same port.
            Err(End::Stopped(Stop::Client(_))) if place.again() && !place.cancel.is_set() => {}
            Err(End::Stopped(stop)) => {
                place.over();
                match stop {
                    Stop::Own(number, text, _) => Line::refuse(&socket, number, text),
                    Stop::Ended => Line::refuse(&socket, code::OTHER, "The server has ended"),
                    _ => {}
                }
                return;
            }
        }
    }
}

enum End {
    Refused(Refusal),
    Stopped(Stop),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> End {
        End::Refused(refusal)
    }
}

/// What closures learn, and whether its name may be served; one that may not stands there as it came.
fn request(place: &Place, file: &str, size: Option<u64>) -> (Request, bool) {
    let client = place.peer.ip().to_canonical().to_string();
    let (path, good) = match clean(file) {
        Some(name) => (name, true),
        None => (file.chars().take(200).collect(), false),
    };
    (Request { path, client, port: place.peer.port(), size, details: None }, good)
}

fn asked(place: &Place, file: &str, mode: Mode, size: Option<u64>) -> Result<Request, Refusal> {
    if mode == Mode::Other {
        return Err(Refusal::new(Reason::Refused, "only the modes octet and netascii are served"));
    }
    match request(place, file, size) {
        (request, true) => Ok(request),
        _ => Err(Refusal::new(Reason::Refused, "its name leads out of the folder, or is none")),
    }
}

/// Asks a closure on a thread that has an engine for it; without one, finds out here.
fn ask<T: Send + 'static>(
    shared: &Arc<Shared>,
    closure: bool,
    work: impl FnOnce(&Rules) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if !closure {
        return work(&shared.rules);
    }
    let (tell, told) = std::sync::mpsc::channel();
    let rules = shared.clone();
    shared.runtime.spawn_blocking(move || tell.send(work(&rules.rules)));
    told.recv().unwrap_or_else(|_| Err(Refusal::new(Reason::Failed, "the script gave no answer")))
}

fn read(
    shared: &Arc<Shared>,
    place: &Place,
    socket: &Arc<UdpSocket>,
    file: &str,
    mode: Mode,
    options: &Options,
) -> Result<(), End> {
    let request = asked(place, file, mode, None)?;
    let question = request.clone();
    let body = ask(shared, shared.rules.read.is_some(), move |rules| rules.read(&question))?;
    let body = if mode == Mode::Netascii { text(&body)? } else { body };
    let size = body.size();
    if size > shared.longest {
        let why = format!("it has {size} bytes, more than the limit of {}", shared.longest);
        return Err(Refusal::new(Reason::Refused, why).into());
    }
    place.found();
    let agreed = agree(options, shared.block, Some(size));
    let mut tally = Tally::start("read", &request, &shared.events);
    let mut line = Line::new(socket.clone(), place, agreed.timeout, 0);
    match send(&mut line, &body, &agreed, &mut tally, || place.moving()) {
        Ok(()) => tally.finish(),
        Err(stop) => {
            tally.why(&stop);
            return Err(End::Stopped(stop));
        }
    }
    Ok(())
}

fn text(body: &Body) -> Result<Body, Refusal> {
    if body.size() > TEXT {
        let why = format!("as text (netascii) files up to {TEXT} bytes are sent, this one has {}", body.size());
        return Err(Refusal::new(Reason::Refused, why));
    }
    let mut bytes = vec![0; body.size() as usize];
    let read = body.read_at(&mut bytes, 0)?;
    Ok(Body::Bytes(netascii::encode(&bytes[..read]).into()))
}

fn write(
    shared: &Arc<Shared>,
    place: &Place,
    socket: &Arc<UdpSocket>,
    file: &str,
    mode: Mode,
    options: &Options,
) -> Result<(), End> {
    let agreed = agree(options, shared.block, None);
    let request = asked(place, file, mode, agreed.size)?;
    let question = request.clone();
    let upload = ask(shared, shared.rules.write.is_some(), move |rules| rules.write(&question))?;
    place.found();
    let mut tally = Tally::start("write", &request, &shared.events);
    let mut line = Line::new(socket.clone(), place, agreed.timeout, agreed.block + 5);
    let (limit, text) = (shared.rules.limit, mode == Mode::Netascii);
    receive(&mut line, upload, limit, text, &agreed, &mut tally, || place.moving()).map_err(|stop| {
        tally.why(&stop);
        End::Stopped(stop)
    })
}
