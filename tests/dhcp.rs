//! DHCP against real clients, firmware and servers, on wires of its own.

mod harness;

#[path = "dhcp/captures.rs"]
mod captures;
#[path = "dhcp/clients.rs"]
mod clients;
#[path = "dhcp/firmware.rs"]
mod firmware;
#[path = "dhcp/load.rs"]
mod load;
#[path = "dhcp/recipes.rs"]
mod recipes;
#[path = "dhcp/rig.rs"]
mod rig;
#[path = "dhcp/servers.rs"]
mod servers;
