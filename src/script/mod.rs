//! The only room that builds a script engine: finds scripts, checks them, runs them, explains their errors.

pub mod complete;
pub mod embedded;
pub mod engine;
pub mod library;
pub mod lint;
pub mod params;
pub mod reference;
pub mod run;
pub mod session;
pub mod tokens;
pub mod trace;

mod circles;
mod clash;
mod help;
mod memory;
mod options;
mod sizes;
mod spans;
mod variables;

pub use library::{Library, Origin, Script};
pub use params::{Kind, Param};
pub use run::Recipe;
pub use session::Session;
pub use trace::{Place, Report};
