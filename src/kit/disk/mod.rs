//! Disks and image files: tables, the guard, attaching to loop devices.
//!
//! A disk is a block device or an image file, and everything here works alike on both. A table exists in two forms:
//! a [`Plan`] of wishes, which knows no disk, and a [`Layout`] of facts in sectors, which is what is read and written.

mod attach;
mod bootable;
mod compare;
mod copy;
mod description;
mod description_print;
mod draw;
mod dump;
mod dump_print;
mod flaws;
mod guard;
mod image;
mod kernel;
mod kinds;
mod label_gpt;
mod label_gpt_moved;
mod label_mbr;
mod layout;
mod list;
mod lock;
mod machine;
mod mend;
mod open;
mod partitions;
mod pick;
mod plan;
mod refit;
mod table;
mod under;
mod wipe;

pub use attach::{Attached, Part};
pub use compare::compare;
pub use copy::copy_table;
pub use description::parse_description;
pub use dump::parse_dump;
pub use guard::{Use, is_claimed, mount_points, mounted_at, mounts_under, refuse_used, unescape, uses};
pub use image::create;
pub use kernel::{holder_of_loop, sector_size};
pub use kinds::{Kind, Label};
pub use layout::{DiskId, Geometry, Layout, Partition};
pub use list::{Found, find, list};
pub use lock::holder;
pub use machine::{Machine, Named, ThisMachine, contents};
pub use open::{Disk, OpenOptions};
pub use pick::{Criteria, pick};
pub use plan::{Measure, Plan, Size, Wish};
pub use table::{Table, read_table};
pub use under::under;

/// The device of a partition: `sda` and 1 make `sda1`, a name that ends in a digit gets a `p`: `nvme0n1p1`.
pub fn partition_name(disk: &str, number: u32) -> String {
    let between = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{between}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_p() {
        for (disk, name) in
            [("/dev/sda", "/dev/sda2"), ("nvme0n1", "nvme0n1p2"), ("loop0", "loop0p2"), ("x.img", "x.img2")]
        {
            assert_eq!(partition_name(disk, 2), name);
        }
    }
}
