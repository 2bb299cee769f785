//! Bytes on their way: sources, sinks, and the copy between them.
//!
//! Both ends block and run on threads of their own; the chain bridges them to the network.

mod command;
mod copy;
mod file;
mod into_command;
mod into_file;
mod into_unzstd;
mod small;
mod verified;
mod zstd;

use crate::host::{Cancel, Effect, Fault, Planned, Result};

pub use command::{Command, command};
pub use copy::{BLOCK, Report, copy};
pub use file::{File, file};
pub use into_command::{IntoCommand, into_command};
pub use into_file::{IntoFile, into_file};
pub use into_unzstd::{IntoUnzstd, into_unzstd};
pub use small::{Blob, Discard, blob, discard};
pub use verified::{Verified, verified};
pub use zstd::{LEVELS, Unzstd, Zstd, unzstd, zstd};

/// Opens a source once more.
pub type Again = std::sync::Arc<dyn Fn() -> Result<Box<dyn Source>> + Send + Sync>;

/// Where a stream comes from: a tree, a disk, a command. Made fresh for one pass.
pub trait Source: Send {
    /// For people and errors: `tar of /usr`, `disk.img`.
    fn describe(&self) -> String;

    /// Bytes to come, where that is known before.
    fn size(&self) -> Option<u64> {
        None
    }

    /// Told before the first read: a read that waits (for a program, for the network) ends with `host.stopped` soon
    /// after `cancel` is set. Sources that never wait for others need not care; those that wrap another pass it on.
    fn heed(&mut self, _cancel: &Cancel) {}

    /// How to read it once more from its beginning, where that gives a whole stream again: files, disks, trees.
    fn again(&self) -> Option<Again> {
        None
    }

    /// Fills some of `buffer`; 0 is the clean end, told only once all is known to be well (a command's exit status
    /// included). After a fault the source is over, and what came before must not pass for whole.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;
}

/// Where a stream goes. One of [`Sink::finish`] or [`Sink::abort`] ends it; a sink dropped without either aborts.
pub trait Sink: Send {
    fn describe(&self) -> String;

    /// As [`Source::heed`], for writes and the end.
    fn heed(&mut self, _cancel: &Cancel) {}

    /// Told before the first write how much will come, where that is known: what cannot take it refuses here, before
    /// anything is lost.
    fn expect(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Whether it takes the end of a stream before its beginning: see [`Sink::seek`].
    fn can_seek(&self) -> bool {
        false
    }

    /// What is written next belongs there. A stream in two parts: what is behind `position`, then, from 0 on, what is
    /// before it, with neither gap nor overlap.
    fn seek(&mut self, position: u64) -> Result<()> {
        match position {
            0 => Ok(()),
            _ => {
                Err(Fault::new("stream.seek", format!("`{}` takes a stream from front to back alone", self.describe())))
            }
        }
    }

    /// Takes all of `data`.
    fn write(&mut self, data: &[u8]) -> Result<()>;

    /// The clean end of the stream: flushes, verifies, waits for a command. Only after this does the data count.
    fn finish(&mut self) -> Result<Delivered>;

    /// The stream was cut short: kills a command, leaves nothing that passes for whole.
    fn abort(&mut self, why: &Fault);
}

/// What a sink made of the stream.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Delivered {
    /// Bytes of the stream taken.
    pub bytes: u64,
    /// Entries unpacked, for an archive.
    pub entries: u64,
    /// What the person should know though it did not fail: a socket skipped, an xattr the filesystem refused.
    pub warnings: Vec<String>,
}

/// A plan opens nothing: nothing comes, and what would be written goes nowhere.
impl Planned for Box<dyn Source> {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Box::new(blob(Vec::new())))
    }
}

impl Planned for Box<dyn Sink> {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Box::new(discard()))
    }
}

#[cfg(test)]
mod tests;
