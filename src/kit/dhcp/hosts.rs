//! Machines that are known before they ask: by hardware address, by UUID, by the switch port they are plugged into.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;

use super::packet::{Packet, sub_option};
use super::settings::Changes;
use crate::host::{Fault, Result};
use crate::kit::net::Mac;

/// What a host is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Mac(Mac),
    /// Option 97 (RFC 4578), as [`Packet::uuid`] writes it.
    Uuid(String),
    /// The circuit or the remote id that a relay adds (option 82, sub-options 1 and 2, RFC 3046): the port of a switch.
    Port(Vec<u8>),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Mac(mac) => mac.fmt(f),
            Key::Uuid(uuid) => f.write_str(uuid),
            Key::Port(id) => write!(f, "port {}", id.escape_ascii()),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Hosts {
    list: Vec<(Key, Changes)>,
    by_key: HashMap<Key, usize>,
    by_ip: HashMap<Ipv4Addr, usize>,
}

impl Hosts {
    /// # Errors
    /// `dhcp.settings`: the host is there already.
    pub fn add(&mut self, key: Key, given: Changes) -> Result<()> {
        if self.by_key.contains_key(&key) {
            return Err(Fault::new("dhcp.settings", format!("the host {key} stands there twice")));
        }
        self.set(key, given);
        Ok(())
    }

    /// Adds a host, or gives one that is there its settings from now on. Gives back what it had.
    pub fn set(&mut self, key: Key, given: Changes) -> Option<Changes> {
        let at = match self.by_key.get(&key) {
            Some(at) => *at,
            None => {
                self.by_key.insert(key.clone(), self.list.len());
                self.list.push((key.clone(), Changes::default()));
                self.list.len() - 1
            }
        };
        let before = std::mem::replace(&mut self.list[at], (key, given)).1;
        if let Some(ip) = before.ip.filter(|ip| self.by_ip.get(ip) == Some(&at)) {
            self.by_ip.remove(&ip);
        }
        if let Some(ip) = self.list[at].1.ip {
            self.by_ip.entry(ip).or_insert(at);
        }
        Some(before).filter(|before| *before != Changes::default())
    }

    pub fn all(&self) -> impl Iterator<Item = (&Key, &Changes)> {
        self.list.iter().map(|(key, given)| (key, given))
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn place(&self, packet: &Packet) -> Option<usize> {
        let find = |key: Key| self.by_key.get(&key).copied();
        let port = |code| {
            let relay = packet.options.get(&82)?;
            find(Key::Port(sub_option(relay, code)?.to_vec()))
        };
        let mac = || packet.mac().and_then(|mac| find(Key::Mac(mac)));
        let uuid = || packet.uuid().and_then(|uuid| find(Key::Uuid(uuid)));
        mac().or_else(uuid).or_else(|| port(1)).or_else(|| port(2))
    }

    /// The settings of the host that asks: by MAC before UUID before port.
    pub fn of(&self, packet: &Packet) -> Option<&Changes> {
        if self.list.is_empty() {
            return None;
        }
        self.place(packet).map(|at| &self.list[at].1)
    }

    /// Whether an address belongs to a host that is not the one that asks.
    pub fn promised(&self, ip: Ipv4Addr, packet: &Packet) -> bool {
        self.by_ip.get(&ip).is_some_and(|at| self.place(packet) != Some(*at))
    }
}
