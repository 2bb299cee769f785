//! The network boot ROMs of QEMU, BIOS and UEFI: real firmware from power-on to its boot file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kar::host::{Host, Silent};
use kar::kit::dhcp::{Changes, Class, Mode, Setup};
use kar::kit::tftp;

use crate::harness;
use crate::rig::{Rig, counters, rig, text};

/// Emulated machines share two cores with all other tests.
const BOOT: Duration = Duration::from_secs(400);

/// A machine on node 2, its card joined to the wire.
fn machine(rig: &Rig, card: &str, more: &[&str]) {
    harness::need("qemu-system-x86_64", "qemu-system-x86");
    let ip = |args: &[&str]| rig.net.run(2, "ip", args);
    ip(&["link", "add", "br1", "type", "bridge", "forward_delay", "0"]);
    ip(&["tuntap", "add", "tap0", "mode", "tap"]);
    for port in ["eth0", "tap0"] {
        ip(&["link", "set", port, "master", "br1", "up"]);
    }
    ip(&["link", "set", "br1", "up"]);
    let card = format!("virtio-net-pci,netdev=wire,mac=52:54:00:77:00:07{card}");
    let args = ["-accel", "tcg", "-m", "256", "-display", "none", "-monitor", "none", "-serial", "none"];
    let net = ["-boot", "n", "-netdev", "tap,id=wire,ifname=tap0,script=no,downscript=no", "-device", &card];
    rig.net.background(2, "qemu-system-x86_64", &[&args, &net[..], more].concat());
}

/// Serves addresses and files; loaders go to what is no iPXE, the script to what is.
fn serve(rig: &Rig, root: &Path, mode: Mode) -> (kar::kit::dhcp::Server, Files) {
    let mut setup: Setup = rig.setup();
    setup.settings.mode = mode;
    let given = |file: &str| Changes { bootfile: Some(file.into()), ..Changes::default() };
    setup.settings.classes = vec![
        Class { user_class: Some("iPXE".into()), given: given("boot.ipxe"), ..Class::default() },
        Class { arch: vec![7, 9], given: given("ipxe.efi"), ..Class::default() },
        Class { vendor_class: Some("PXEClient".into()), given: given("undionly.kpxe"), ..Class::default() },
    ];
    let settings = tftp::Settings {
        bind: vec!["10.77.0.1:69".parse().unwrap()],
        root: Some(root.to_path_buf()),
        read: None,
        write: None,
        inbox: None,
        block: 65464,
        limit: 1 << 20,
        longest: u64::MAX,
        transfers: 16,
    };
    // Each transfer has a socket of its own, made on a thread of the runtime: that has to be at home on this wire.
    let runtime = rig.net.inside(1, || tokio::runtime::Runtime::new().unwrap());
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let server = rig.net.inside(1, || tftp::Server::start(&host, settings).unwrap());
    (rig.start(1, setup).unwrap(), Files { server, _runtime: runtime })
}

/// The TFTP server, and the threads it works on.
struct Files {
    server: tftp::Server,
    _runtime: tokio::runtime::Runtime,
}

fn root(rig: &Rig) -> PathBuf {
    let root = rig.dir.path().join("tftp");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("boot.ipxe"), "#!ipxe\nsleep 100\n").unwrap();
    root
}

/// The first file that the machine with this lease asks for and gets.
fn fetched(rig: &Rig, files: &Files) -> (String, String) {
    let wait = async {
        loop {
            let event = files.server.events().next().await.expect("the server runs");
            if event.event == "finished" {
                return (event.path, event.client);
            }
        }
    };
    let found = rig.host.runtime().block_on(async { tokio::time::timeout(BOOT, wait).await });
    found.expect("a boot file is fetched")
}

#[test]
fn a_bios_boots_its_rom_to_the_script() {
    harness::need("qemu-system-x86_64", "qemu-system-x86");
    assert!(Path::new("/usr/lib/ipxe/qemu/pxe-virtio.rom").exists(), "this test needs ipxe-qemu");
    let rig = rig(2);
    let (server, files) = serve(&rig, &root(&rig), Mode::Full);
    machine(&rig, "", &[]);
    let (path, client) = fetched(&rig, &files);
    let lease = server.leases().into_iter().find(|lease| lease.mac == "52:54:00:77:00:07").expect("a lease");
    assert_eq!((path.as_str(), client), ("boot.ipxe", lease.ip.to_string()));
}

#[test]
fn a_uefi_boots_its_own_pxe_to_ipxe_and_that_to_the_script() {
    let code = Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd");
    assert!(code.exists(), "this test needs ovmf");
    let ipxe = Path::new("/usr/lib/ipxe/ipxe.efi");
    assert!(ipxe.exists(), "this test needs ipxe");
    let rig = rig(2);
    let root = root(&rig);
    std::fs::copy(ipxe, root.join("ipxe.efi")).unwrap();
    let variables = rig.dir.path().join("vars.fd");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).unwrap();
    let (server, files) = serve(&rig, &root, Mode::Full);
    let code = format!("if=pflash,format=raw,readonly=on,file={}", code.display());
    let variables = format!("if=pflash,format=raw,file={}", text(&variables));
    // Without a ROM of its own the card is driven by the firmware, whose own PXE asks.
    machine(&rig, ",romfile=", &["-machine", "q35", "-drive", &code, "-drive", &variables]);
    assert_eq!(fetched(&rig, &files).0, "ipxe.efi");
    let (path, client) = fetched(&rig, &files);
    let lease = server.leases().into_iter().find(|lease| lease.mac == "52:54:00:77:00:07").expect("a lease");
    assert_eq!((path.as_str(), client), ("boot.ipxe", lease.ip.to_string()), "iPXE is one machine with its firmware");
}

#[test]
fn a_uefi_boots_from_a_proxy_beside_dnsmasq() {
    let code = Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd");
    assert!(code.exists(), "this test needs ovmf");
    let rig = rig(3);
    // Addresses come from node 3, boot files from node 1; the firmware asks the second one once more on port 4011.
    rig.net.run(3, "ip", &["addr", "add", "10.77.0.3/24", "dev", "eth0"]);
    crate::servers::dnsmasq(&rig, 3, &["--dhcp-range=10.77.0.200,10.77.0.220,1h"]);
    let root = root(&rig);
    std::fs::write(root.join("ipxe.efi"), "not to be run").unwrap();
    let (server, files) = serve(&rig, &root, Mode::Proxy);
    let variables = rig.dir.path().join("vars.fd");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).unwrap();
    let code = format!("if=pflash,format=raw,readonly=on,file={}", code.display());
    let variables = format!("if=pflash,format=raw,file={}", text(&variables));
    machine(&rig, ",romfile=", &["-machine", "q35", "-drive", &code, "-drive", &variables]);
    let (path, client) = fetched(&rig, &files);
    assert!(path == "ipxe.efi" && client.starts_with("10.77.0.2"), "{path} to {client}");
    let counts = counters(&server);
    assert!(counts["offers"] >= 1 && counts["acks"] >= 1, "asked on both ports: {counts:?}");
}
