//! DHCP on dhcproto: server and client.
//!
//! [`rules`] decides, knowing neither sockets nor clocks; [`server`] and [`client`] carry the packets.

mod choose;
pub mod client;
mod leases;
pub mod option;
pub mod packet;
mod reply;
mod rules;
mod server;
pub mod settings;
mod socket;

pub use leases::{Lease, State};
pub use packet::Packet;
pub use rules::{Event, Request, Rules};
pub use server::{Answer, Decided, Ports, Server};
pub use settings::{Changes, Settings, Subnet};

#[cfg(test)]
mod tests;
