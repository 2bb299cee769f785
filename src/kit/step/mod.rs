//! Step files: where each node stands, one small file a host in one folder.
//!
//! The folder is what the boot scripts of Ka-deploy and BpBatch read over TFTP (`steps/IP`), so a file keeps the form
//! those expect: see [`Form`].

mod form;
mod remote;
mod steps;
mod store;
mod tries;

pub use form::{Form, parse};
pub use remote::Remote;
pub use steps::Steps;
pub use store::{Store, check_host, check_word};
