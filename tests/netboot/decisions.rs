//! A decision in Rhai, told to each loader.

use crate::harness::vm::Firmware;
use crate::room::{BOOT, Room};

const KERNELS: [&str; 1] = ["vmlinuz"];

#[test]
fn pxelinux_from_a_bios_boots_as_the_step_says() {
    let room = Room::new("pxelinux.0", "", &KERNELS);
    room.set_step("lilo");
    let machine = room.power_on(Firmware::Bios);
    machine.expect("kar.node=node7 kar.step=lilo", 0, BOOT);
    room.wait("finished pxelinux.cfg/01-52-54-00-4b-00-07");
    drop(machine);

    room.set_step("ready");
    room.power_on(Firmware::Bios).expect("own disk", 0, BOOT);
}

#[test]
fn ipxe_from_a_bios_boots_as_the_step_says() {
    let room = Room::new("boot.ipxe", "", &KERNELS);
    room.set_step("lilo");
    room.power_on(Firmware::Bios).expect("kar.node=node7 kar.step=lilo", 0, BOOT);

    room.set_step("ready");
    room.power_on(Firmware::Bios).expect("own disk", 0, BOOT);
}

#[test]
fn ipxe_from_uefi_is_loaded_and_boots_as_the_step_says() {
    let room = Room::new("snponly.efi", "boot.ipxe", &KERNELS);
    room.set_step("install");
    room.power_on(Firmware::Uefi).expect("kar.node=node7 kar.step=install", 0, BOOT);
    room.wait("finished snponly.efi");
}

#[test]
fn grub_from_uefi_boots_as_the_step_says() {
    let room = Room::new("grubnetx64.efi.signed", "", &KERNELS);
    room.set_step("install");
    room.power_on(Firmware::Uefi).expect("kar.node=node7 kar.step=install", 0, BOOT);
}
