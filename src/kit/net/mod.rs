//! Network interfaces of this machine, and what its small servers share.

mod configure;
mod events;
mod interface;
mod mac;

pub use configure::{configure, up};
pub use events::Events;
pub use interface::{Interface, find, interfaces};
pub use mac::Mac;
