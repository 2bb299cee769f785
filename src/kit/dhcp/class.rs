//! Kinds of clients, told apart by what their firmware says of itself.

use super::packet::Packet;
use super::settings::Changes;

/// Who belongs to it: all that is said has to fit; a class that says nothing fits everybody.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Option 93 (RFC 4578), one of these; clients name all they can, the first counts.
    pub arch: Vec<u16>,
    /// Option 60 begins with this.
    pub vendor_class: Option<String>,
    /// Option 77 is this.
    pub user_class: Option<String>,
    /// The hardware address begins with one of these.
    pub mac: Vec<Vec<u8>>,
    /// The client sends this option.
    pub has: Option<u8>,
    /// What its members are given.
    pub given: Changes,
}

impl Class {
    pub fn fits(&self, packet: &Packet) -> bool {
        let arch = || packet.archs().first().is_some_and(|arch| self.arch.contains(arch));
        let vendor = |class: &String| packet.options.get(&60).is_some_and(|data| data.starts_with(class.as_bytes()));
        let user = |class: &String| packet.user_class().as_ref() == Some(class);
        (self.arch.is_empty() || arch())
            && self.vendor_class.as_ref().is_none_or(vendor)
            && self.user_class.as_ref().is_none_or(user)
            && (self.mac.is_empty() || self.mac.iter().any(|start| packet.chaddr.starts_with(start)))
            && self.has.is_none_or(|code| packet.options.contains_key(&code))
    }
}

/// The settings of the first class that fits.
pub fn of<'a>(classes: &'a [Class], packet: &Packet) -> Option<&'a Changes> {
    classes.iter().find(|class| class.fits(packet)).map(|class| &class.given)
}
