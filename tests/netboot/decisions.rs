//! A decision in Rhai, told to each loader. That the same loaders change course on a BIOS the old scripts show.

use crate::harness::vm::Firmware;
use crate::room::{BOOT, Room};

const KERNELS: [&str; 1] = ["vmlinuz"];

#[test]
fn pxelinux_from_a_bios_boots_as_the_step_says() {
    let room = Room::new("pxelinux.0", "", &KERNELS);
    room.set_step("lilo");
    room.power_on(Firmware::Bios).expect("kar.node=node7 kar.step=lilo", 0, BOOT);
    room.wait("finished read pxelinux.cfg/01-52-54-00-4b-00-07");
}

#[test]
fn ipxe_from_a_bios_boots_as_the_step_says() {
    let room = Room::new("boot.ipxe", "", &KERNELS);
    room.set_step("lilo");
    room.power_on(Firmware::Bios).expect("kar.node=node7 kar.step=lilo", 0, BOOT);
}

/// By TFTP as PXE has it, then by HTTP alone: the firmware's own, and iPXE's, which says who it is.
#[test]
fn ipxe_from_uefi_is_loaded_and_changes_course_with_the_step() {
    let script = "http://10.78.0.1/boot.ipxe?mac=${net0/mac}&uuid=${uuid}";
    let room = Room::new("snponly.efi", script, &KERNELS);
    room.set_step("install");
    room.power_on(Firmware::Uefi).expect("kar.node=node7 kar.step=install", 0, BOOT);
    for line in ["finished read snponly.efi", "finished get boot.ipxe", "finished get vmlinuz"] {
        room.wait(line);
    }
    room.turn_page();
    room.set_step("lilo");
    room.power_on_by_http().expect("kar.node=node7 kar.step=lilo", 0, BOOT);
    for line in ["finished get snponly.efi", "finished get boot.ipxe", "finished get vmlinuz"] {
        room.wait(line);
    }
    assert!(!room.log().contains(" read "), "{}", room.log());
}

#[test]
fn grub_from_uefi_changes_course_with_the_step() {
    let room = Room::new("grubnetx64.efi.signed", "", &KERNELS);
    for step in ["install", "lilo"] {
        room.set_step(step);
        room.power_on(Firmware::Uefi).expect(&format!("kar.node=node7 kar.step={step}"), 0, BOOT);
    }
}
