//! The two scripts of Ka-deploy's guide, unchanged, behind links: three boots each.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::vm::Firmware;
use crate::room::{BOOT, Room};

/// Install, lilo, ready. The scripts give their kernels no serial console: which one a boot fetched, the server says.
fn three_boots(script: &str, loader: &str, install: &str, lilo: &str) {
    let kernels = if install == lilo { vec![install] } else { vec![install, lilo] };
    let room = Room::new(loader, "", &kernels);
    let source = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/import.in/{}"), script);
    fs::copy(source, room.path(script)).unwrap();
    fs::create_dir(room.path("scripts")).unwrap();
    let ending = script.rsplit_once('.').unwrap().1;
    symlink(format!("../{script}"), room.path(&format!("scripts/node7.{ending}"))).unwrap();

    for (step, kernel) in [("install", install), ("lilo", lilo)] {
        room.set_step(step);
        room.turn_page();
        let _machine = room.power_on(Firmware::Bios);
        room.wait(&format!("finished read {kernel}"));
    }
    room.set_step("ready");
    room.power_on(Firmware::Bios).expect("own disk", 0, BOOT);
}

#[test]
fn the_bpbatch_script_of_the_guide_drives_three_boots() {
    three_boots("224.bpb", "pxelinux.0", "linux2217nfsroot", "linux22173comst");
}

#[test]
fn the_kaboot_script_of_the_guide_drives_three_boots() {
    three_boots("224.kbt", "boot.ipxe", "linux242nfsroot", "linux242nfsroot");
}
