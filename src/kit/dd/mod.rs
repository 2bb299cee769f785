//! Raw disks, partitions and images as ends of a stream.
//!
//! A disk image is treated as the disk it stands for: it has the size it has, and is written in place.

mod flush;
mod from;
mod guard;
mod into;
mod medium;
mod zero;

pub use from::{FromOptions, RawSource, from};
pub use guard::guard;
pub use into::{IntoOptions, RawSink, into};

#[cfg(test)]
mod tests;
