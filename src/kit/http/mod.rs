//! HTTP/1.1 (RFC 9110, 9112) on hyper: a server for boot files and reports, and a client.

mod client;
mod connection;
mod content;
mod fetch;
mod range;
mod respond;
mod server;
mod store;
mod target;
mod tls;
mod url;

pub use client::{Method, Options, Payload};
pub use fetch::{Fetch, Report, fetch, get_bytes, put};
pub use range::{Range, range};
pub use server::{Server, Settings};
pub use target::{Target, target};
pub use tls::Identity;
pub use url::Url;

#[cfg(test)]
mod tests;
