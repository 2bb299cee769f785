//! Archives: tar, written and read with every attribute a system has.
//!
//! Written is the POSIX pax format (ustar headers, extended records only where ustar has no room), in the dialect
//! that GNU tar and libarchive share: `SCHILY.xattr.*` for extended attributes and capabilities, `SCHILY.acl.*` for
//! ACLs, GNU sparse 1.0 for holes. Read are v7, ustar, pax, GNU and star archives.
//! Sources: POSIX.1-2017 `pax`, the GNU tar manual ("Tar Internals"), libarchive's tar(5).

mod acl;
mod beneath;
mod body;
mod encode;
mod entry;
mod extract;
mod feed;
mod header;
mod list;
mod member;
mod meta;
mod number;
mod pax;
mod reader;
mod replace;
mod sink;
mod source;
mod sparse;

pub use entry::{Entry, Kind};
pub use list::{List, list, list_source};
pub use reader::Reader;
pub use sink::{TarSink, extract};
pub use source::TarSource;

/// Everything in a tar archive comes in blocks of this size.
const BLOCK: usize = 512;

/// How many bytes bring `length` to the next block.
fn padding(length: u64) -> usize {
    (BLOCK as u64 - length % BLOCK as u64) as usize % BLOCK
}
