//! Boot decisions, and the words each boot loader wants them in.
//!
//! A decision is plain data. Rendering escapes every value or refuses it, so that none breaks out of its line; reading
//! takes back what [`render`] wrote for iPXE, which is how a rehearsed node learns what it was told.

pub mod cmdline;
mod decision;
mod grub;
mod ipxe;
pub mod old;
mod pxelinux;

pub use decision::{Decision, Entry, kar};
pub use ipxe::read;

#[cfg(test)]
mod tests;

use crate::host::{Fault, Result};

/// The boot loader a decision is rendered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Ipxe,
    Pxelinux,
    Grub,
}

impl Flavour {
    const NAMES: [(&'static str, Flavour); 3] =
        [("ipxe", Flavour::Ipxe), ("pxelinux", Flavour::Pxelinux), ("grub", Flavour::Grub)];

    /// # Errors
    /// `boot.flavour`: not the name of a boot loader known here.
    pub fn named(name: &str) -> Result<Flavour> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, flavour)| *flavour).ok_or_else(|| {
            Fault::new("boot.flavour", format!("`{name}` is not a boot loader known here"))
                .nearest(name, Self::NAMES.map(|(name, _)| name))
                .hint("boot loaders: ipxe, pxelinux, grub")
        })
    }
}

/// The whole script or configuration file for a boot loader.
///
/// # Errors
/// `boot.value`: a value that this boot loader cannot be told safely; names it and why.
pub fn render(decision: &Decision, flavour: Flavour) -> Result<String> {
    decision.check()?;
    match flavour {
        Flavour::Ipxe => ipxe::render(decision),
        Flavour::Pxelinux => pxelinux::render(decision),
        Flavour::Grub => grub::render(decision),
    }
}

/// The refusal of one value: `what` is its name, `why` what would happen.
fn refuse(what: &str, value: &str, why: &str) -> Fault {
    Fault::new("boot.value", format!("{what} `{}` {why}", value.escape_debug()))
}
