//! The Windows flow and captures, rehearsed on golden disks that sfdisk, mkntfs and ntfs-3g made; what nodes and captures
//! hold afterwards is looked at with the same programs.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../rehearsal/image.rs"]
mod image;

mod capture;
mod flow;
mod golden;
mod ntfs;
mod refused;
