//! Disks, tables and filesystems against the real tools: sfdisk, sgdisk, blkid, e2fsck, on image files and loop
//! devices. Needs root and the Debian packages fdisk, gdisk, dosfstools, xfsprogs, btrfs-progs, ntfs-3g, dmsetup.

mod attach;
mod copies;
mod damage;
mod filesystems;
mod fits;
mod guard;
mod layouts;
mod support;
mod tables;
mod values;
