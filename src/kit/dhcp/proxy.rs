//! Boot settings beside a server that gives the addresses (PXE specification 2.1, 2.2.3: proxyDHCP).

use std::net::Ipv4Addr;

use super::choose::Place;
use super::packet::{Kind, Packet};
use super::reply;
use super::rules::{Outcome, Rules};
use super::settings::Changes;

/// Boot firmware alone; everybody else has nothing to hear from a proxy.
pub fn concerns(packet: &Packet) -> bool {
    let firmware = |class: &Vec<u8>| class.starts_with(b"PXEClient") || class.starts_with(b"HTTPClient");
    packet.options.get(&60).is_some_and(firmware)
}

/// DISCOVER, heard on port 67, is offered a boot server and no address; REQUEST and INFORM, on port 4011, are told the
/// boot file again. A REQUEST on port 67 is for the server of addresses.
pub fn answer(rules: &Rules, outcome: &mut Outcome, packet: &Packet, place: &Place, answer: &Changes) {
    if !concerns(packet) {
        return;
    }
    let kind = match packet.kind() {
        Some(Kind::Discover) => Kind::Offer,
        Some(Kind::Request | Kind::Inform) => Kind::Ack,
        _ => return,
    };
    let given = rules.given(packet, place.networks.first().copied(), answer);
    if given.bootfile.as_deref().is_none_or(str::is_empty) && given.options.is_empty() {
        return;
    }
    let mut told = reply::reply(packet, Some(kind), None, &given, place.server, None);
    told.ciaddr = if kind == Kind::Offer { Ipv4Addr::UNSPECIFIED } else { packet.ciaddr };
    let event = if kind == Kind::Offer { "offered" } else { "informed" };
    outcome.note(event, packet, Some(packet.ciaddr), given.bootfile.as_deref().unwrap_or_default());
    outcome.reply = Some(told);
}
