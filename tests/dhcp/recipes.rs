//! The recipes and the table of boot loaders, as a site runs them.

use std::process::Stdio;

use kar::kit::dhcp::client::Ask;

use crate::harness::{self, eventually};
use crate::rig::{LONG, rig, text};

#[test]
fn discover_learns_a_rack_and_dhcpd_serves_it() {
    let rig = rig(3);
    let hosts = rig.dir.path().join("rack");
    let listens = || rig.net.run(1, "ss", &["-ulnH"]).contains(":67 ");
    let ask = |node| rig.ask(node, Ask { arch: Some(0), ..Ask::default() });
    let start = |args: &[&str]| {
        let mut command = rig.net.command(1, text(harness::kar()));
        command.current_dir(rig.dir.path()).args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let args =
        ["run", "discover", "--interface", "eth0", "--range", "10.77.0.31-40", "--nodes", "2", "--hosts", "rack"];
    let learning = start(&args);
    eventually(LONG, "the recipe serves", listens);
    // Switched on in this order.
    assert_eq!([ask(3), ask(2)].map(|lease| lease.ip.octets()[3]), [31, 32]);
    let out = learning.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1: 10.77.0.31 "), "{said}");
    assert_eq!(std::fs::read_to_string(&hosts).unwrap().lines().count(), 2);

    let mut serving = start(&["run", "dhcpd", "--interface", "eth0", "--hosts", "rack", "--bootfile", "boot.ipxe"]);
    eventually(LONG, "the recipe serves", listens);
    let lease = ask(2);
    assert_eq!((lease.ip.octets()[3], lease.bootfile.as_str()), (32, "undionly.kpxe"));
    serving.kill().unwrap();
    serving.wait().unwrap();
}

#[test]
fn every_firmware_gets_its_loader_and_ipxe_the_script() {
    let dir = harness::scratch();
    let path = dir.path().join("table.rhai");
    let script = r#"
import "std/pxe" as pxe;
fn main(args) {
    let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.10-90",
                                bootfile: "boot.ipxe", classes: pxe::classes(#{ http: "http://10.9.0.1/" }) });
    let http = "HTTPClient:Arch";
    for ask in [#{ arch: 0 }, #{ arch: 6 }, #{ arch: 7 }, #{ arch: 9 }, #{ arch: 10 }, #{ arch: 11 }, #{ arch: 27 },
                #{ arch: 15, vendor_class: http }, #{ arch: 18, vendor_class: http }, #{ arch: 20, vendor_class: http },
                #{ arch: 16, vendor_class: http }, #{ arch: 19, vendor_class: http }, #{ arch: 99, vendor_class: http },
                #{ arch: 7, user_class: "iPXE" }, #{ arch: 0, options: #{ "175": 1 } }, #{},
                #{ arch: 0, mac: "b8:27:eb:00:00:01" }] {
        let lease = dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port } + ask);
        print(lease.bootfile);
    }
}"#;
    std::fs::write(&path, script).unwrap();
    let said = harness::run(std::process::Command::new(harness::kar()).arg("run").arg(&path));
    let expected = [
        "undionly.kpxe",
        "ipxe32.efi",
        "snponly.efi",
        "snponly.efi",
        "ipxe-arm32.efi",
        "ipxe-arm64.efi",
        "ipxe-riscv64.efi",
        "http://10.9.0.1/ipxe32.efi",
        "http://10.9.0.1/ipxe-arm32.efi",
        "http://10.9.0.1/undionly.kpxe",
        "http://10.9.0.1/snponly.efi",
        "http://10.9.0.1/ipxe-arm64.efi",
        "",
        "boot.ipxe",
        "boot.ipxe",
        "boot.ipxe",
        "bootcode.bin",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
