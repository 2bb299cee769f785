//! Boot firmware on the servers: UEFI's own PXE client, and the iPXE of a network card's ROM.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kar::host::{Host, Silent};
use kar::kit::tftp::{Read, Reads};
use kar::kit::{http, tftp};

use crate::harness::{eventually, need, netns::Net, scratch};
use crate::noise;

/// Emulated machines on a busy computer.
const LONG: Duration = Duration::from_secs(240);

/// A look for an event that may be there.
const SHORT: Duration = Duration::from_millis(1);

/// A machine on the network card `tap0` of a namespace; switched off when dropped.
struct Machine(Child);

impl Machine {
    fn start(net: &Net, tap: &str, more: &[&str]) -> Machine {
        let mut command = net.command(1, "qemu-system-x86_64");
        command.args(["-accel", "tcg", "-m", "256", "-display", "none", "-monitor", "none", "-nodefaults", "-netdev"]);
        command.arg(format!("tap,id=n,ifname={tap},script=no,downscript=no")).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Machine(command.spawn().unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two machines at once. UEFI asks for the size, ends that by ERROR 8 and fetches its boot file by TFTP, in windows; the
/// card's iPXE fetches its script by TFTP, then a kernel's worth by TFTP and by HTTP, and says so.
#[test]
fn firmware_boots_from_both_servers() {
    need("qemu-system-x86_64", "qemu-system-x86");
    need("dnsmasq", "dnsmasq-base");
    let code = std::path::Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd");
    assert!(code.exists(), "this test needs {}: apt-get install ovmf", code.display());
    let rom = std::path::Path::new("/usr/lib/ipxe/qemu/efi-virtio.rom");
    assert!(rom.exists(), "this test needs {}: apt-get install ipxe-qemu", rom.display());
    let net = Net::new("firmware", 1);
    let dir = scratch();
    for tap in ["tap0", "tap1"] {
        net.run(1, "ip", &["tuntap", "add", tap, "mode", "tap"]);
    }
    net.run(1, "ip", &["link", "add", "br1", "type", "bridge", "forward_delay", "0"]);
    for link in ["tap0", "tap1"] {
        net.run(1, "ip", &["link", "set", link, "master", "br1", "up"]);
    }
    net.run(1, "ip", &["addr", "add", "10.78.0.1/24", "dev", "br1"]);
    net.run(1, "ip", &["link", "set", "br1", "up"]);
    let leases = dir.path().join("leases").display().to_string();
    let dhcp = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--interface=br1"];
    let given =
        ["--dhcp-range=10.78.0.100,10.78.0.150", "--dhcp-match=set:ipxe,175", "--dhcp-boot=boot.efi,,10.78.0.1"];
    let boot = ["--dhcp-boot=tag:ipxe,boot.ipxe,,10.78.0.1"];
    let leases = format!("--dhcp-leasefile={leases}");
    net.background(1, "dnsmasq", &[&dhcp[..], &given, &boot, &[leases.as_str()]].concat());

    // Threads of this runtime stay in the namespace, and with them the sockets of each transfer.
    let runtime = net.inside(1, || tokio::runtime::Runtime::new().unwrap());
    let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
    let kernel: Arc<[u8]> = noise(3_000_001).into();
    let served = kernel.clone();
    let read: Reads = Arc::new(move |request| {
        Ok(match request.path.as_str() {
            "boot.ipxe" => Read::Content(
                b"#!ipxe\nimgfetch tftp://10.78.0.1/kernel\nimgfree\nimgfetch http://10.78.0.1/kernel\nimgfree\nimgfetch http://10.78.0.1/said?${net0/mac}\n"
                    .as_slice()
                    .into(),
            ),
            // Nothing that UEFI can run: it is fetched whole all the same.
            "boot.efi" | "kernel" => Read::Content(served.clone()),
            "said" => Read::Content(b"ok".as_slice().into()),
            _ => Read::Pass,
        })
    });
    let bind = |port: u16| vec![(std::net::Ipv4Addr::new(10, 78, 0, 1), port).into()];
    let (tftp, http) = net.inside(1, || {
        let tftp = tftp::Settings { bind: bind(69), read: Some(read.clone()), ..tftp::Settings::default() };
        let http = http::Settings { bind: bind(80), read: Some(read.clone()), ..http::Settings::default() };
        (tftp::Server::start(&host, tftp).unwrap(), http::Server::start(&host, http).unwrap())
    });
    let uefi = format!("if=pflash,format=raw,readonly=on,file={}", code.display());
    let vars = format!("if=pflash,format=raw,snapshot=on,file={}", code.with_file_name("OVMF_VARS_4M.fd").display());
    let _uefi = Machine::start(
        &net,
        "tap0",
        &[
            "-drive",
            &uefi,
            "-drive",
            &vars,
            "-device",
            "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01,romfile=",
            "-boot",
            "n",
        ],
    );
    // The ROM of the card is iPXE, for BIOS and for UEFI.
    let card = "virtio-net-pci,netdev=n,mac=52:54:00:00:00:02,bootindex=1";
    let _bios = Machine::start(&net, "tap1", &["-device", card]);

    let mut seen: Vec<(String, &str, u64, String)> = Vec::new();
    let done = |seen: &[(String, &str, u64, String)], server: &str, path: &str, bytes: usize| {
        seen.iter().any(|(from, event, got, asked)| {
            (from.as_str(), *event, *got, asked.as_str()) == (server, "finished", bytes as u64, path)
        })
    };
    eventually(LONG, "both machines have all of it", || {
        for (server, events) in [("tftp", tftp.events()), ("http", http.events())] {
            let soon = || runtime.block_on(async { tokio::time::timeout(SHORT, events.next()).await });
            while let Ok(Some(event)) = soon() {
                // Shown when the test fails.
                eprintln!("{server} {event:?}");
                seen.push((server.into(), event.event, event.bytes, event.path));
            }
        }
        done(&seen, "tftp", "boot.efi", kernel.len())
            && done(&seen, "tftp", "kernel", kernel.len())
            && done(&seen, "http", "kernel", kernel.len())
            && done(&seen, "http", "said", 2)
    });
    assert!(
        seen.iter().any(|(from, event, bytes, path)| {
            (from.as_str(), *event, *bytes, path.as_str()) == ("tftp", "aborted", 0, "boot.efi")
        }),
        "UEFI asked for the size first: {seen:?}"
    );
}
