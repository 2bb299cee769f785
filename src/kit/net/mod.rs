//! Network interfaces of this machine, and what its small servers share.

mod configure;
mod events;
mod interface;
mod mac;
mod place;

pub use configure::{configure, up};
pub use events::Events;
pub use interface::{Interface, find, interfaces};
pub use mac::Mac;
pub use place::resolve;
