//! DHCP on dhcproto: server, proxy and client.
//!
//! [`rules`] decides, knowing neither sockets nor clocks nor files. Around it, on the server's side: `server` opens sockets
//! and runs the threads; `engine` takes a packet through the limit of its client (`limit`), the closure's queue
//! (`queue`), the rules, the look whether its address is free (`probe`), the disk (`disk`, `store`) and out (`outbox`,
//! `port`). One thread listens and sends, one writes to the disk, and some ask the closure, where there is one.

mod batch;
mod choose;
pub mod class;
pub mod client;
mod counters;
mod disk;
mod echo;
mod engine;
mod foreign;
pub mod frame;
pub mod hosts;
mod journal;
mod learned;
mod leases;
mod limit;
mod link;
pub mod option;
mod outbox;
pub mod packet;
mod port;
mod probe;
mod proxy;
mod queue;
mod reply;
mod request;
mod rules;
mod server;
pub mod settings;
pub mod sites;
mod socket;
pub mod store;
pub mod subnet;
mod talk;

pub use class::Class;
pub use hosts::{Hosts, Key};
pub use leases::{Lease, State};
pub use packet::Packet;
pub use request::{Event, Request};
pub use rules::{Outcome, Rules, Wire};
pub use server::{Answer, Decided, Ports, Server, Setup};
pub use settings::{Changes, Mode, Network, Settings};
pub use subnet::{Range, Subnet};

#[cfg(test)]
mod tests;
