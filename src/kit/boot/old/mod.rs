//! The boot script languages of the systems before: ka-boot and BpBatch.
//!
//! A script is parsed into one small program for both languages ([`Program`]), so that a slip anywhere in it is found
//! before a node asks. [`run`] interprets it at boot time into a decision, with the step file fetched as those loaders
//! did; [`import`] turns it into a recipe's function that decides alike.
//!
//! Behaviour matched: the two scripts of Ka-deploy's guide, and the commands it names.

mod bpbatch;
mod files;
mod import;
mod kaboot;
mod program;
mod run;
mod words;

#[cfg(test)]
mod tests;

pub use files::file_in;
pub use import::import;
pub use program::{Language, Program};
pub use run::{Node, Outcome, run};
