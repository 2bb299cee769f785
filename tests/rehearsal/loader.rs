//! The second boot: the boot loader that the installed system has is installed from inside it.

use std::path::Path;
use std::process::Command;

use crate::flow::rehearse;
use crate::harness::{need, run, scratch};
use crate::image::{Partition, partitions};

/// A system with nothing but extlinux, its boot code, what it needs to run, and what looks like a kernel.
fn system(root: &Path) {
    need("extlinux", "extlinux");
    let script = r#"
        set -e
        mkdir -p usr/bin usr/lib/EXTLINUX etc boot; echo kernel > boot/vmlinuz-6.1.0-1
        cp /usr/bin/extlinux usr/bin/
        cp /usr/lib/EXTLINUX/gptmbr.bin usr/lib/EXTLINUX/
        for lib in $(ldd /usr/bin/extlinux | grep -o '/[^ ]*'); do mkdir -p .$(dirname $lib); cp -L $lib .$lib; done
    "#;
    std::fs::create_dir_all(root).unwrap();
    run(Command::new("sh").args(["-c", script]).current_dir(root));
}

#[test]
fn extlinux_is_found_in_the_system_and_really_installed() {
    let folder = scratch();
    let source = folder.path().join("source");
    system(&source);
    let output = rehearse("recipes/linux.rhai", folder.path(), &["--source", source.to_str().unwrap(), "--nodes", "2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let code = std::fs::read("/usr/lib/EXTLINUX/gptmbr.bin").unwrap();
    for n in 1..=2 {
        let image = folder.path().join(format!("work/node{n}.img"));
        assert_eq!(std::fs::read(&image).unwrap()[..code.len()], code, "boot code of node{n}");
        assert!(run(Command::new("sgdisk").arg("-v").arg(&image)).contains("No problems found"));
        // gptmbr.bin starts the partition with the attribute "legacy BIOS bootable".
        assert!(run(Command::new("sgdisk").arg("-A").arg("3:show").arg(&image)).contains("3:2:1"));
        assert_eq!(partitions(&image).len(), 3);
        let mut root = Partition::open(&image, 3);
        // EXTLINUX leaves its mark in the partition's own boot sector, and its loader beside its configuration.
        let device = std::fs::File::open(&root.device).unwrap();
        let mut sector = [0; 512];
        std::os::unix::fs::FileExt::read_exact_at(&device, &mut sector, 0).unwrap();
        assert_eq!(&sector[3..11], b"SYSLINUX");
        assert!(root.mount().join("boot/extlinux/ldlinux.sys").is_file());
    }
}
