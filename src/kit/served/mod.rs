//! What the servers of files share: names that clients send, the folder they lead into, the closures that are asked,
//! files on their way in, and what is told of each transfer.

mod body;
mod event;
mod root;
mod rules;
mod upload;

pub use body::Body;
pub use event::{Event, Tally, journal};
pub use root::{Root, clean};
pub use rules::{Details, Read, Reads, Reason, Refusal, Request, Rules, Write, Writes};
pub use upload::Upload;
