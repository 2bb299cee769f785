//! What boot firmware demands, line by line: a test for each, named after it.

use std::net::SocketAddrV4;

use super::field::{WAY, answer};
use super::*;
use crate::kit::dhcp::port::Target;

fn firmware(mac: u8, arch: u16, class: &str) -> Packet {
    let class = format!("{class}:Arch:{arch:05}:UNDI:003016").into_bytes();
    let options = [(60, class), (93, arch.to_be_bytes().to_vec()), (94, vec![1, 3, 16]), (55, vec![1, 3, 66, 67])];
    from(mac, Kind::Discover, &options)
}

#[test]
fn option_60_is_answered_by_its_beginning() {
    let list = [
        ("PXEClient", 0, Some("PXEClient")),
        ("HTTPClient", 16, Some("HTTPClient")),
        ("MSFT 5.0", 0, None),
        // UEFI takes the echo as a call to port 4011, which is a proxy's.
        ("PXEClient", 7, None),
    ];
    for (class, arch, told) in list {
        let reply = answer(&mut rules(), &firmware(7, arch, class));
        assert_eq!(reply.text(60).as_deref(), told, "{class}");
    }
}

#[test]
fn option_93_is_a_list_whose_first_number_counts() {
    let mut settings = settings();
    let file = |name: &str| Changes { bootfile: Some(name.into()), ..Changes::default() };
    settings.classes = [(vec![0], "bios"), (vec![7, 9], "x64"), (vec![11], "arm64"), (vec![16], "http")]
        .map(|(arch, name)| Class { arch, given: file(name), ..Class::default() })
        .to_vec();
    let mut rules = made(settings).unwrap();
    let list = |archs: &[u8]| from(7, Kind::Discover, &[(93, archs.to_vec())]);
    for (archs, name) in [
        (&[0, 0][..], "bios"),
        (&[0, 7], "x64"),
        (&[0, 9, 0, 0], "x64"),
        (&[0, 11], "arm64"),
        (&[0, 16, 0, 7], "http"),
        (&[0, 27], "boot.ipxe"),
        (&[7], "boot.ipxe"),
    ] {
        assert_eq!(answer(&mut rules, &list(archs)).file, name.as_bytes(), "{archs:?}");
    }
}

#[test]
fn option_97_may_be_absent_and_is_echoed() {
    let mut rules = rules();
    assert!(!answer(&mut rules, &firmware(7, 7, "PXEClient")).options.contains_key(&97));
    for id in [vec![0; 17], vec![9; 5]] {
        let mut question = firmware(7, 7, "PXEClient");
        question.options.insert(97, id.clone());
        assert_eq!(answer(&mut rules, &question).options[&97], id);
    }
}

#[test]
fn the_boot_file_stands_in_the_header_and_in_66_and_67_when_asked() {
    let mut rules = rules();
    let reply = answer(&mut rules, &firmware(7, 7, "PXEClient"));
    assert_eq!((reply.siaddr, reply.sname, reply.file), (SERVER, b"10.0.0.1".to_vec(), b"boot.ipxe".to_vec()));
    assert_eq!((&reply.options[&66], &reply.options[&67]), (&b"10.0.0.1".to_vec(), &b"boot.ipxe".to_vec()));
    let reply = answer(&mut rules, &from(8, Kind::Discover, &[]));
    assert_eq!((reply.file.as_slice(), reply.options.get(&67)), (b"boot.ipxe".as_slice(), None));
}

#[test]
fn option_43_sends_bios_straight_to_the_file_and_leaves_uefi_alone() {
    let mut rules = rules();
    assert_eq!(answer(&mut rules, &firmware(7, 0, "PXEClient")).options[&43], [6, 1, 8, 255]);
    assert!(!answer(&mut rules, &firmware(7, 7, "PXEClient")).options.contains_key(&43));
}

#[test]
fn http_boot_is_echoed_and_gets_its_url_in_67() {
    let mut settings = settings();
    let url = format!("http://10.0.0.1/{}/ipxe.efi", "x".repeat(130));
    settings.common.bootfile = Some(url.clone());
    let mut question = firmware(7, 16, "HTTPClient");
    question.options.remove(&55);
    let reply = answer(&mut made(settings).unwrap(), &question);
    assert_eq!((reply.text(60).as_deref(), reply.text(67)), (Some("HTTPClient"), Some(url)));
    assert!(reply.file.is_empty(), "too long for its field, and not cut");
}

#[test]
fn ipxe_by_77_bare_or_framed_or_by_175_is_not_sent_in_a_circle() {
    let mut settings = settings();
    let loader = Changes { bootfile: Some("ipxe.efi".into()), ..Changes::default() };
    settings.classes = vec![
        Class { user_class: Some("iPXE".into()), ..Class::default() },
        Class { has: Some(175), ..Class::default() },
        Class { given: loader, ..Class::default() },
    ];
    let mut rules = made(settings).unwrap();
    let mut ask = |option: Option<(u8, &[u8])>| {
        let mut question = firmware(7, 7, "PXEClient");
        question.options.extend(option.map(|(code, data)| (code, data.to_vec())));
        String::from_utf8(answer(&mut rules, &question).file).unwrap()
    };
    assert_eq!(ask(None), "ipxe.efi");
    for option in [(77, &b"iPXE"[..]), (77, b"\x04iPXE"), (175, &[1, 1, 1])] {
        assert_eq!(ask(Some(option)), "boot.ipxe", "{option:?}");
    }
}

#[test]
fn options_128_to_135_and_155_and_any_other_pass_as_given() {
    let mut rules = rules();
    let codes: Vec<u8> = (128..=135).chain([155, 224, 252, 254]).collect();
    rules.settings.common.options = codes.iter().map(|code| (*code, vec![*code, 0, 255])).collect();
    let reply = answer(&mut rules, &from(7, Kind::Discover, &[]));
    for code in codes {
        assert_eq!(reply.options[&code], [code, 0, 255]);
    }
}

#[test]
fn a_raspberry_pi_hears_its_words_and_its_server() {
    let mut settings = settings();
    let mut given = Changes { bootfile: Some("bootcode.bin".into()), ..Changes::default() };
    given.options.insert(43, b"Raspberry Pi Boot".to_vec());
    settings.classes = vec![Class { mac: vec![vec![2, 0, 0]], given, ..Class::default() }];
    let reply = answer(&mut made(settings).unwrap(), &firmware(7, 0, "PXEClient"));
    assert_eq!((reply.text(43).as_deref(), reply.text(66).as_deref()), (Some("Raspberry Pi Boot"), Some("10.0.0.1")));
}

#[test]
fn a_proxy_offers_no_address_and_tells_firmware_alone() {
    let mut rules = made(Settings { mode: Mode::Proxy, ..settings() }).unwrap();
    let offer = answer(&mut rules, &firmware(7, 7, "PXEClient"));
    assert_eq!((offer.kind(), offer.yiaddr, offer.siaddr), (Some(Kind::Offer), Ipv4Addr::UNSPECIFIED, SERVER));
    assert_eq!((offer.text(60).as_deref(), offer.file.as_slice()), (Some("PXEClient"), b"boot.ipxe".as_slice()));
    assert!([1, 3, 51].iter().all(|code| !offer.options.contains_key(code)), "nothing of addresses");
    let mut request = Packet { ciaddr: ip(77), ..firmware(7, 7, "PXEClient") };
    request.options.insert(53, vec![Kind::Request as u8]);
    let told = answer(&mut rules, &request);
    assert_eq!(
        (told.kind(), told.yiaddr, told.file.as_slice()),
        (Some(Kind::Ack), Ipv4Addr::UNSPECIFIED, b"boot.ipxe".as_slice())
    );
    assert_eq!(
        WAY.target(&request, &told, SocketAddrV4::new(ip(77), 4011), true),
        Target::Address(SocketAddrV4::new(ip(77), 4011))
    );
    assert!(handle(&mut rules, &from(7, Kind::Discover, &[]), NOW).reply.is_none(), "no firmware");
    assert!(rules.bound(NOW).is_empty());
}

#[test]
fn discovery_gives_addresses_in_order_and_each_machine_keeps_its_own() {
    let mut rules = made(Settings { mode: Mode::Discover("hosts".into()), ..settings() }).unwrap();
    // Whatever it wishes for.
    let wish = from(9, Kind::Discover, &[address(50, ip(102))]);
    let offer = answer(&mut rules, &wish);
    let request = from(9, Kind::Request, &[address(50, offer.yiaddr), address(54, SERVER)]);
    let learned = handle(&mut rules, &request, NOW).learned.unwrap();
    assert_eq!(learned, (Key::Mac(Mac([2, 0, 0, 0, 0, 9])), ip(100)));
    assert_eq!(lease(&mut rules, 8, NOW), Some(ip(101)));
    assert_eq!(lease(&mut rules, 9, NOW + 9_000_000), Some(ip(100)), "for good");
}
