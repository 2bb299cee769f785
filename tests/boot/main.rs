//! Disks that boot: a Debian system, cloned by the recipes in rehearsal, starts in a machine of software straight from
//! the disk image, through the loader that std/loader put there.

#[path = "../harness/mod.rs"]
mod harness;

mod bios;
mod disk;
mod efi;
mod golden;
mod lilo;
mod personalize;
