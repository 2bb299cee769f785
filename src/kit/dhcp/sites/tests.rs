//! Each kind of file as its system writes it.

use super::*;

fn found(text: &str) -> Vec<(String, String, String)> {
    let shown = |machine: Machine| {
        let ip = machine.ip.map(|ip| ip.to_string()).unwrap_or_default();
        (machine.mac, ip, machine.name.unwrap_or_default())
    };
    parse(text).into_iter().map(shown).collect()
}

fn expected(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    list.iter().map(|(mac, ip, name)| (mac.to_string(), ip.to_string(), name.to_string())).collect()
}

const MAC: &str = "52:54:00:12:34:56";

#[test]
fn hosts_of_isc_dhcpd_conf() {
    let text = r#"
        # host commented { hardware ethernet 00:00:00:00:00:01; }
        subnet 10.0.0.0 netmask 255.255.255.0 { range 10.0.0.100 10.0.0.200;
            group { filename "bpbatch";
                host node1 { hardware ethernet 52:54:00:12:34:56; fixed-address 10.0.0.7; option option-135 "scripts/224"; }
                host node2 {
                    fixed-address 10.0.0.8;   # before the other
                    hardware ethernet 52:54:0:12:34:57;
                    hardware ethernet 52:54:00:12:34:57; filename "pxelinux.0"; }
                host nobody { fixed-address 10.0.0.9; }
            } }"#;
    let machines = parse(text);
    assert_eq!(found(text), expected(&[(MAC, "10.0.0.7", "node1")]), "a MAC that is none is passed over");
    assert_eq!(machines[0].bootfile, None);
    let text = text.replace("hardware ethernet 52:54:0:12:34:57;", "");
    assert_eq!(found(&text)[1], ("52:54:00:12:34:57".into(), "10.0.0.8".into(), "node2".into()));
    assert_eq!(parse(&text)[1].bootfile.as_deref(), Some("pxelinux.0"));
}

#[test]
fn leases_of_isc_dhcpd() {
    let text = "lease 10.0.0.50 {\n  starts 4 2026/01/01 00:00:00;\n  binding state active;\n  hardware ethernet \
                52:54:00:12:34:56;\n  client-hostname \"box\";\n}\nlease 10.0.0.51 { hardware ethernet 52:54:00:12:34:56; }\n";
    assert_eq!(found(text), expected(&[(MAC, "10.0.0.51", "")]), "the last counts");
}

#[test]
fn hosts_and_leases_of_dnsmasq() {
    let text = "# a comment\ndhcp-range=10.0.0.10,10.0.0.20\ndhcp-host=52:54:00:12:34:56,node1,10.0.0.7,infinite\n\
                dhcp-host=52:54:00:12:34:57,10.0.0.8\ndhcp-host=52:54:00:12:34:58,set:red,node3\n\
                dhcp-host=52:54:00:12:34:59,ignore\n";
    let hosts = [(MAC, "10.0.0.7", "node1"), ("52:54:00:12:34:57", "10.0.0.8", ""), ("52:54:00:12:34:58", "", "node3")];
    assert_eq!(found(text), expected(&hosts));
    let text =
        "1767225600 52:54:00:12:34:56 10.0.0.7 node1 01:52:54:00:12:34:56\n1767225601 52:54:00:12:34:57 10.0.0.8 * *\n";
    assert_eq!(found(text), expected(&[(MAC, "10.0.0.7", "node1"), ("52:54:00:12:34:57", "10.0.0.8", "")]));
}

#[test]
fn reservations_and_leases_of_kea() {
    let text = r#"{ // the server
        "Dhcp4": { "subnet4": [ { "subnet": "10.0.0.0/24",
        # one machine
        "reservations": [ { "hw-address": "52:54:00:12:34:56", "ip-address": "10.0.0.7", "hostname": "node1" } ] } ] } }"#;
    let text = text.replace("{ // the server", "{");
    assert_eq!(found(&text), expected(&[(MAC, "10.0.0.7", "node1")]));
    let text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n\
                10.0.0.7,52:54:00:12:34:56,,3600,1767225600,1,0,0,node1,0,\n";
    assert_eq!(found(text)[0].1, "10.0.0.7");
}

#[test]
fn ethers_kas_data_and_our_own_pairs() {
    assert_eq!(found("52:54:0:12:34:56 node1\n"), expected(&[(MAC, "", "node1")]));
    assert_eq!(found("52:54:00:12:34:56\t10.0.0.7\n"), expected(&[(MAC, "10.0.0.7", "")]));
    assert_eq!(found("10.0.0.7 52:54:00:12:34:56 node1\n"), expected(&[(MAC, "10.0.0.7", "node1")]));
    let lease = r#"{"ip":"10.0.0.7","mac":"52:54:00:12:34:56","client":"52:54:00:12:34:56","hostname":"","state":"bound","expires":1}"#;
    assert_eq!(found(lease)[0].1, "10.0.0.7");
}

#[test]
fn lines_of_a_log() {
    let text = "Nov 22 10:00:01 srv dhcpd[77]: DHCPDISCOVER from 52:54:00:12:34:56 via eth0\n\
                Nov 22 10:00:02 srv dhcpd[77]: DHCPACK on 10.0.0.7 to 52:54:00:12:34:56 (node1) via eth0\n\
                Nov 22 10:00:03 srv dnsmasq-dhcp[5]: DHCPACK(eth0) 10.0.0.8 52:54:00:12:34:57 node2\n";
    assert_eq!(found(text), expected(&[(MAC, "10.0.0.7", ""), ("52:54:00:12:34:57", "10.0.0.8", "")]));
}

#[test]
fn what_discover_mode_writes_a_server_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts");
    let learned = super::super::learned::Learned::open(&path).unwrap();
    learned.add(&Key::Mac(MAC.parse().unwrap()), Ipv4Addr::new(10, 0, 0, 7)).unwrap();
    assert_eq!(hosts(&path).unwrap().all().next().unwrap().1.ip, Some(Ipv4Addr::new(10, 0, 0, 7)));
    std::fs::write(&path, "nothing of the kind\n").unwrap();
    assert_eq!(hosts(&path).unwrap_err().kind, "dhcp.hosts");
    std::fs::write(&path, "# empty\n").unwrap();
    assert!(hosts(&path).unwrap().is_empty());
}

#[test]
fn any_text_is_read() {
    let samples =
        ["host a { hardware ethernet 52:54:00:12:34:56; }", "dhcp-host=52:54:00:12:34:56,\"é\"", "{\"hw-address\": 1}"];
    let mut seed = 3u64;
    for round in 0..20_000usize {
        let mut bytes = samples[round % samples.len()].as_bytes().to_vec();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % bytes.len();
            bytes[at] = (seed >> 20) as u8;
        }
        parse(&String::from_utf8_lossy(&bytes));
    }
}
