//! recipes/lilo.rhai on images, and what std/loader writes, without starting a machine.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::disk::Mounted;
use crate::golden::{clone, kar_in, kar_well};
use crate::harness::leftovers::leftovers;
use crate::harness::{eventually, run, scratch};

/// Changes the root filesystem of an image by a shell script, through kar.
fn change(folder: &Path, script: &str) {
    let recipe = r#"
        const PARAMS = [#{ name: "script", type: "text", value: "", help: "what to do there" }];
        fn main(args) {
            let disk = disk::open("room/node1.img", #{ write: true });
            let parts = disk.attach();
            let root = fs::mount(parts.named("root"), "change");
            proc::run("sh", ["-ec", args.script], #{ dir: "change" });
            root.unmount();
        }
    "#;
    std::fs::write(folder.join("change.rhai"), recipe).unwrap();
    kar_well(folder, &["run", "change.rhai", "--script", script]);
}

fn nothing_left(folder: &Path) {
    eventually(Duration::from_secs(60), "nothing is left open", || leftovers(folder, None).is_empty());
}

/// A golden machine's own configuration is kept, with this disk's UUIDs in it; fstab keeps what is no disk's.
#[test]
fn old_uuids_are_corrected_and_all_else_is_kept() {
    let folder = scratch();
    let image = clone(folder.path(), &["--loader", "none"]);
    let old = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
    let script = format!(
        r#"
        printf '# my disk\nUUID={0}  /\text4  noatime 0 1\n/dev/sda9 none swap sw 0 0\n' > etc/fstab
        printf 'LABEL=data /srv ext4 nofail 0 2\nserver:/home /home nfs noauto 0 0\ntmpfs /tmp tmpfs size=9m 0 0' >> etc/fstab
        mkdir -p boot/extlinux etc/default etc/initramfs-tools/conf.d
        printf 'default mine\nlabel mine\n  linux /vmlinuz\n  append root=UUID={0} ro splash\n' > boot/extlinux/extlinux.conf
        echo 'GRUB_CMDLINE_LINUX="rootflags=x root=UUID={0} other={1}"' > etc/default/grub
        echo 'RESUME=UUID={1}' > etc/initramfs-tools/conf.d/resume
        "#,
        old[0], old[1]
    );
    change(folder.path(), &script);
    let words = [
        "run",
        "lilo",
        "--disk",
        "room/node1.img",
        "--mount",
        "mnt",
        "--loader",
        "extlinux",
        "--cmdline",
        "console=ttyS1 splash",
    ];
    let said = kar_well(folder.path(), &[&words[..], &["--steps", "steps", "--host", "node1"]].concat());
    assert!(said.contains("/etc/default/grub: this disk's UUIDs"), "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("steps/node1")).unwrap().trim(), "ready");

    let root = Mounted::named(&image, "root");
    let (uuid, swap) = (root.uuid(), Mounted::uuid_of(&image, "swap"));
    let fstab = format!(
        "# my disk\nUUID={uuid}  /\text4  noatime 0 1\nUUID={swap} none swap sw 0 0\nLABEL=data /srv ext4 nofail 0 2\n\
         server:/home /home nfs noauto 0 0\ntmpfs /tmp tmpfs size=9m 0 0"
    );
    assert_eq!(root.read("etc/fstab"), fstab);
    let config =
        format!("default mine\nlabel mine\n  linux /vmlinuz\n  append root=UUID={uuid} ro splash console=ttyS1\n");
    assert_eq!(root.read("boot/extlinux/extlinux.conf"), config);
    let grub = format!("GRUB_CMDLINE_LINUX=\"rootflags=x root=UUID={uuid} other={}\"\n", old[1]);
    assert_eq!(root.read("etc/default/grub"), grub);
    // Nothing said what the swap was called before: its line named a device.
    assert_eq!(root.read("etc/initramfs-tools/conf.d/resume"), format!("RESUME=UUID={}\n", old[1]));
    let active = run(Command::new("sgdisk").args(["-A", "3:show"]).arg(&image));
    assert!(active.contains("3:2:1"), "{active}");
    drop(root);
    nothing_left(folder.path());
}

/// Whatever a loader's program does, what was mounted for it goes, and the step is not set.
#[test]
fn a_loader_that_fails_leaves_nothing_mounted_and_no_step() {
    let folder = scratch();
    clone(folder.path(), &["--loader", "none"]);
    change(folder.path(), "printf '#!/bin/sh\\necho no room >&2; exit 3\\n' > usr/sbin/grub-install");
    let lilo = |more: &[&str]| {
        kar_in(folder.path(), &[&["run", "lilo", "--disk", "room/node1.img", "--mount", "mnt"], more].concat())
    };
    let output = lilo(&["--steps", "steps", "--host", "node1", "--loader", "grub"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[proc.failed]") && text.contains("no room"), "{text}");
    assert!(!folder.path().join("steps/node1").exists());
    nothing_left(folder.path());

    // A disk without its place: nothing of the loader is begun.
    let output = lilo(&["--loader", "grub-efi"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("error[loader.space]: the disk has no EFI system partition"), "{text}");
    change(folder.path(), "rm -r boot/vmlinuz* usr/sbin/grub-install");
    let output = lilo(&["--loader", "auto"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("error[loader.missing]: the installed system has no kernel in /boot"), "{text}");
    let output = lilo(&["--loader", "grub"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[loader.missing]"));
    nothing_left(folder.path());
}

/// The partition is found and nothing guessed: no system, two systems, a mount that no partition is for.
#[test]
fn what_is_not_there_is_told() {
    let folder = scratch();
    let script = r#"
        fn main() {
            let disk = disk::open(disk::create("room.img", "64MiB"), #{ write: true });
            disk.write_table(table::plan("mbr", [#{ size: "16MiB" }, #{ size: "16MiB" }]));
            let parts = disk.attach();
            for number in [1, 2] {
                fs::mkfs("ext4", parts.part(number), #{ label: `system${number}` });
                let root = fs::mount(parts.part(number), "root");
                fs::mkdir("root/etc");
                if number == 2 { fs::write("root/etc/fstab", "UUID=123456789 / ext4 defaults 0 1\n/dev/sda7 /var xfs defaults 0 2\n"); }
                root.unmount();
            }
        }
    "#;
    std::fs::write(folder.path().join("make.rhai"), script).unwrap();
    kar_well(folder.path(), &["run", "make.rhai"]);
    let refused = |words: &[&str], told: &str| {
        let output = kar_in(folder.path(), &[&["run", "lilo", "--mount", "mnt"], words].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && text.contains(told), "`{told}` is missing in:\n{text}");
    };
    refused(&[], "error[lilo.disk]");
    refused(&["--disk", "room.img", "--host", "node1"], "error[lilo.step]");
    refused(&["--disk", "room.img", "--mount", "/proc"], "error[existing.mounted]");
    refused(&["--disk", "room.img", "--root", "7"], "partition 7 of /dev/loop");
    refused(&["--disk", "room.img"], "no partition of this disk is the /var that /etc/fstab mounts from /dev/sda7");
    nothing_left(folder.path());
}

/// LILO is no Debian package any more, so its program is not run here; what its configuration becomes is.
#[test]
fn a_lilo_conf_gets_this_disk() {
    let folder = scratch();
    let script = r##"
        import "std/entries" as entries;
        fn main() {
            let place = #{ parts: #{ path: "/dev/sdb" }, uuid: "1234-5678", words: "console=ttyS0 quiet" };
            let text = "# boot=here\nboot = /dev/hda\nlba32\nimage=/vmlinuz\n  label=linux\n  root=/dev/hda1\n  append=\"quiet\"\n";
            print(entries::lilo_conf(text, place));
            print(entries::newer("6.1.0-10-amd64", "6.1.0-9-amd64"));
            print(entries::newer("6.1.0-9-amd64", "6.1.0-9-amd64"));
            print(entries::newer("5.10", "6.1"));
        }
    "##;
    std::fs::write(folder.path().join("lilo.rhai"), script).unwrap();
    let output = kar_in(folder.path(), &["run", "./lilo.rhai"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = "# boot=here\nboot=/dev/sdb\nlba32\nimage=/vmlinuz\n  label=linux\n  root=\"UUID=1234-5678\"\n  \
                    append=\"quiet console=ttyS0\"\n\n1\n0\n-1\n";
    assert_eq!(text, expected, "{}", String::from_utf8_lossy(&output.stderr));
}
