//! Machines that boot into kar.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use kar::host::Cancel;
use kar::kit::watch;

use crate::harness::{need, run, scratch};
use crate::machine::{LONG, Machine};

fn disk(dir: &Path, name: &str, size: u64) -> String {
    let path = dir.join(name);
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    path.display().to_string()
}

/// Partitions, filesystems and files on a virtio disk, with disks of two more kinds beside it; read here by others.
#[test]
fn a_recipe_of_the_image_writes_a_disk() {
    let dir = scratch();
    let drives: Vec<String> = ["virtio", "nvme", "sata"]
        .map(|name| format!("file={},if=none,format=raw,id={name}", disk(dir.path(), name, 96 << 20)))
        .into();
    let devices =
        ["virtio-blk-pci,drive=virtio", "nvme,drive=nvme,serial=1", "ahci,id=ahci", "ide-hd,drive=sata,bus=ahci.0"];
    let mut more: Vec<&str> = drives.iter().flat_map(|drive| ["-drive", drive]).collect();
    more.extend(devices.iter().flat_map(|device| ["-device", device]));
    let mut machine = Machine::boot("kar.recipe=disk kar.word=written kar.disk=/dev/vda kar.wurd=1", &more);
    let console = machine.ends();
    assert!(console.contains("disks: [\"/dev/nvme0n1\", \"/dev/sda\", \"/dev/vda\"]"), "{console}");
    assert!(
        console
            .contains("warning: `kar.wurd` is neither kar's nor a parameter of this recipe; did you mean `kar.word`?"),
        "{console}"
    );
    assert!(console.contains("no_such_module") && console.contains("there is none of this name"), "{console}");
    assert!(console.contains("all done\n") && console.contains("kar: switching off"), "{console}");
    let seconds = console.split("main() of /recipes/disk.rhai, ").nth(1).and_then(|rest| rest.split(' ').next());
    let seconds: f64 = seconds.and_then(|text| text.parse().ok()).expect("the time stands there");
    println!("from the kernel's start to the recipe's first line: {seconds} s");

    let image = dir.path().join("virtio");
    let table = run(Command::new(need("sfdisk", "fdisk")).arg("--json").arg(&image));
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let parts = table["partitiontable"]["partitions"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| part["name"].as_str().unwrap()).collect::<Vec<_>>(), ["efi", "root"]);
    let offset = |number: usize| parts[number]["start"].as_u64().unwrap() * 512;
    let at = format!("{}?offset={}", image.display(), offset(1));
    run(Command::new(need("e2fsck", "e2fsprogs")).args(["-fn", &at]));
    assert_eq!(run(Command::new(need("debugfs", "e2fsprogs")).args(["-R", "cat /word", &at])), "written");
    // The vfat was mounted by name: the kernel asked kar for its module.
    let fat = std::fs::read(&image).unwrap();
    assert!(fat[offset(0) as usize..][..40 << 20].windows(7).any(|bytes| bytes == b"written"));
}

/// The recipe and its arguments over DHCP and TFTP, from servers that are not kar's.
#[test]
fn a_recipe_comes_over_the_network() {
    let dir = scratch();
    std::fs::write(
        dir.path().join("site.rhai"),
        "//! Says what a node knows.\nfn hello(args) {\n    \
         log::info(`${args.address} of ${args.server} on ${args.interface}, ${args.host}, ${args.session}`);\n    \
         node::reboot();\n}\n",
    )
    .unwrap();
    let net = format!("user,id=n,tftp={},hostname=node7", dir.path().display());
    let cmdline = "kar.recipe=tftp://10.0.2.2/site.rhai kar.server=10.0.2.2 kar.entry=hello kar.session=lab";
    let mut machine = Machine::boot(cmdline, &["-netdev", &net, "-device", "e1000,netdev=n,mac=52:54:00:12:34:56"]);
    let console = machine.ends();
    assert!(console.contains("hello() of /run/kar/site.rhai"), "{console}");
    assert!(console.contains("10.0.2.15 of 10.0.2.2 on eth0, node7, lab"), "{console}");
    assert!(console.contains("kar: restarting"), "{console}");
}

/// A link, and nobody who answers.
#[test]
fn without_an_answer_to_dhcp_the_node_says_so() {
    let nic = ["-netdev", "hubport,id=n,hubid=0", "-device", "e1000,netdev=n,mac=52:54:00:12:34:56"];
    let mut machine =
        Machine::boot("kar.recipe=disk kar.server=10.0.0.1 kar.timeout=3s kar.fail=poweroff kar.end=rebot", &nic);
    let console = machine.ends();
    assert!(console.contains("error[dhcp.timeout]: cannot get a lease for 52:54:00:12:34:56 on eth0"), "{console}");
    assert!(console.contains("`kar.end=rebot`: it takes wait, reboot, poweroff, shell"), "{console}");
    assert!(console.contains("kar: this node's work failed") && console.contains("kar: switching off"), "{console}");
}

/// Whatever happens to the worker, the first process goes on: tries again, says what it was, and gives a shell.
#[test]
fn a_node_that_fails_tries_again_and_then_gives_a_shell() {
    let mut machine = Machine::boot("kar.recipe=fails kar.fail=retry:1,shell", &[]);
    let console = machine.shows("kar: a shell on /dev/ttyS0");
    assert!(console.contains("kar: this node's work failed: kar was ended by signal 9"), "{console}");
    assert!(console.contains("kar: trying again, 1 of 1"), "{console}");
    assert!(console.contains("warning: this machine shows no disk"), "{console}");
    assert!(console.contains("error[disk.pick]") && console.contains("/recipes/fails.rhai:8:"), "{console}");
    assert_eq!(console.matches("kar: trying again").count(), 1, "{console}");
    // The screen has it, too.
    let screen = machine.screen();
    assert!(screen.contains("kar: trying again, 1 of 1") && screen.contains("kar: a shell on /dev/ttyS0"), "{screen}");
    machine.types("echo shell $((6 * 7)); ps 2>/dev/null | grep -c defunct; exit");
    machine.shows("shell 42");
    assert!(machine.ends().contains("kar: the shell has ended"));
}

/// Whatever is wrong is said on the node's console and on the server, in the same words.
#[test]
fn what_goes_wrong_is_told_on_the_console_and_on_the_server() {
    let dir = scratch();
    let recipe = "fn main(args) {
        let wrong = [
            || node::modprobe(\"no_such_module\"),
            || chain::receive(stream::discard(), #{ server: args.server + \":9\", timeout: \"2s\" }),
            || disk::open(disk::pick(#{ min: \"1GiB\" })),
        ];
        for done in task::gather(wrong, |what| what.call()) { log::error(done.fault.message); }
        disk::open(disk::pick(#{ path: \"/dev/sdz\" }));
    }";
    std::fs::write(dir.path().join("wrong.rhai"), recipe).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = watch::Options { bind, silent: LONG, boot: LONG };
    let server = runtime.block_on(watch::Watch::start(options, Cancel::new())).unwrap();
    let net = format!("user,id=n,tftp={}", dir.path().display());
    let drive = format!("file={},if=none,format=raw,id=d", disk(dir.path(), "disk", 96 << 20));
    let devices = ["-netdev", &net, "-device", "e1000,netdev=n", "-drive", &drive, "-device", "virtio-blk-pci,drive=d"];
    let wrong = ["no_such_module", "cannot join", "10.0.2.2:9", "1 GiB", "/dev/sdz", "/dev/vda"];
    for (words, expected) in [
        ("kar.recipe=tftp://10.0.2.2/wrong.rhai", &wrong[..]),
        (
            "kar.recipe=tftp://10.0.2.2/none.rhai kar.end=rebot",
            &["none.rhai", "`kar.end=rebot`: it takes wait, reboot, poweroff, shell"],
        ),
        ("", &["the kernel's command line names no recipe"]),
        ("kar.recipe=disc", &["kar.recipe=disc", "neither image nor kar has it"]),
    ] {
        let token = server.admit("node1", words);
        let told = format!("kar.server=10.0.2.2 kar.report=10.0.2.2:{},{token}", server.address().port());
        let console = Machine::boot(&format!("{words} {told} kar.fail=poweroff"), &devices).ends();
        let mut heard = String::new();
        loop {
            let next = runtime.block_on(async { tokio::time::timeout(LONG, server.next()).await });
            let happening = next.expect("the node tells how it ended").expect("the server goes on");
            heard += &format!("{}\n", happening.text);
            if happening.event == "failed" {
                break;
            }
        }
        for text in expected {
            assert!(console.contains(text), "{words}: `{text}` is not on the console:\n{console}");
            assert!(heard.contains(text), "{words}: `{text}` was not told to the server: {heard}");
        }
        assert!(console.contains("error[") && console.contains("kar: this node's work failed"), "{console}");
    }
}
