//! What happened to each transfer, for the script and for the journal.

use std::time::Instant;

use serde::Serialize;

use super::{Refusal, Request};
use crate::host::{Fault, Host, Level};
use crate::kit::net::Events;

/// A happening of one transfer.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// `started`, `finished`, `aborted`, `refused`, `failed` (a closure).
    pub event: &'static str,
    /// What the client did: `read` and `write` with TFTP, `get` and `put` with HTTP.
    pub kind: &'static str,
    pub path: String,
    pub client: String,
    pub bytes: u64,
    pub seconds: f64,
    /// Of what has finished, 10^6 bytes in a second.
    pub rate: f64,
    /// Why, where it did not finish.
    pub message: String,
}

/// One transfer as it goes on; tells `started` when made, and dropped without [`Tally::finish`] `aborted`.
pub struct Tally {
    event: Event,
    start: Instant,
    events: Events<Event>,
    open: bool,
}

impl Event {
    fn new(kind: &'static str, request: &Request) -> Event {
        let (path, client) = (request.path.clone(), request.client.clone());
        Event { event: "refused", kind, path, client, bytes: 0, seconds: 0.0, rate: 0.0, message: String::new() }
    }

    pub fn refused(kind: &'static str, request: &Request, refusal: &Refusal) -> Event {
        Event { event: refusal.event(), message: refusal.message.clone(), ..Event::new(kind, request) }
    }
}

impl Tally {
    pub fn start(kind: &'static str, request: &Request, events: &Events<Event>) -> Tally {
        let event = Event { event: "started", ..Event::new(kind, request) };
        events.push(event.clone());
        Tally { event, start: Instant::now(), events: events.clone(), open: true }
    }

    /// Bytes of the file that have come over so far.
    pub fn add(&mut self, bytes: u64) {
        self.event.bytes += bytes;
    }

    /// Why it is going to end before its end.
    pub fn why(&mut self, why: impl std::fmt::Display) {
        self.event.message = why.to_string();
    }

    pub fn finish(&mut self) {
        self.end("finished");
    }

    fn end(&mut self, event: &'static str) {
        if std::mem::take(&mut self.open) {
            self.event.seconds = self.start.elapsed().as_secs_f64();
            if event == "finished" {
                self.event.rate = self.event.bytes as f64 / 1e6 / self.event.seconds.max(1e-6);
                self.event.message.clear();
            }
            self.events.push(Event { event, ..self.event.clone() });
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end("aborted");
    }
}

/// A queue of events that writes each end into the journal; a closure that failed is told to the person as well.
pub fn journal(host: &Host, module: &'static str) -> Events<Event> {
    let host = host.clone();
    Events::watched(move |event: &Event| {
        let object = format!("{} {}", event.path, event.client);
        let verb = format!("{module}.{}", event.kind);
        match event.event {
            "started" => return,
            "finished" => return host.note(&verb, &object, None),
            _ => {}
        }
        let fault = Fault::new(format!("{module}.{}", event.event), event.message.clone());
        host.note(&verb, &object, Some(&fault));
        if event.event == "failed" {
            host.log(Level::Warn, &format!("{}, {object}: {}", module.to_uppercase(), event.message));
        }
    })
}
