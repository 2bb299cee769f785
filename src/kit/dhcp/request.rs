//! What a closure learns of a client, and what a script hears of what happened.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::option::Options;
use super::packet::Packet;
use crate::host::Fault;

/// What a closure learns of a client that asks.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// `discover`, `request`, `inform` or `bootp`.
    pub kind: &'static str,
    /// Hardware address.
    pub mac: String,
    /// The address it would get; empty if none.
    pub ip: String,
    /// The name it would get: its host's, else the one it gives itself.
    pub name: String,
    /// Option 93, its first number (RFC 4578): 0 BIOS, 7 UEFI x64, ..; absent without.
    pub arch: Option<u16>,
    pub archs: Vec<u16>,
    pub vendor_class: String,
    pub user_class: String,
    pub uuid: String,
    /// The name the client gives itself.
    pub hostname: String,
    /// The relay it asked through; empty if none.
    pub relay: String,
    /// The interface it was heard on.
    pub interface: String,
    /// The name of the host it is, as far as it is one that is known; empty if not.
    pub known: String,
    pub options: &'a Options,
}

/// A happening, for the script and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// `discovered`, `offered`, `acknowledged`, `refused`, `declined`, `released`, `expired`, `informed`, `learned` (a
    /// new host of discover mode), `foreign` (the client chose another server), `conflict` (somebody has the address
    /// already), `exhausted` (no address left), `limited` (one client asks too often), `failed` (no answer given, or not
    /// the closure's: `message` says why).
    pub event: &'static str,
    pub mac: String,
    pub ip: String,
    pub hostname: String,
    pub message: String,
}

impl Event {
    pub(super) fn of(event: &'static str, packet: &Packet, ip: Option<Ipv4Addr>, message: &str) -> Event {
        let ip = ip.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()).unwrap_or_default();
        let hostname = packet.text(12).unwrap_or_default();
        Event { event, mac: packet.hardware(), ip, hostname, message: message.into() }
    }

    pub(super) fn failed(packet: &Packet, fault: &Fault) -> Event {
        Event::of("failed", packet, None, &fault.message)
    }
}
