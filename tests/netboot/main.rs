//! Real boot loaders ask kar what to boot: pxelinux, iPXE and GRUB in machines of software that start from their boot
//! ROM, with a BIOS and with UEFI, and get a Debian kernel or their own disk as the node's step says.

#[path = "../harness/mod.rs"]
mod harness;

mod decisions;
mod old_scripts;
mod room;
