//! The recipes, rehearsed on real trees and images, and what is on the images afterwards looked at with other eyes than
//! kar's: util-linux, gdisk and e2fsprogs, and a walk over the files of its own.

#[path = "../harness/mod.rs"]
mod harness;

mod failures;
mod faults;
mod filesystems;
mod flow;
mod golden;
mod image;
mod listing;
mod loader;
mod odd;
mod owned;
mod room;
mod site;
