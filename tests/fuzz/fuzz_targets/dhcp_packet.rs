#![no_main]
use kar::kit::dhcp::{Changes, Packet, Rules, Settings};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::parse(data) else { return };
    let settings = Settings {
        subnet: "10.0.0.0/24".parse().unwrap(),
        range: Some(([10, 0, 0, 100].into(), [10, 0, 0, 200].into())),
        hosts: Default::default(),
        common: Changes::default(),
        leases: None,
    };
    let mut rules = Rules::new(settings, [10, 0, 0, 1].into()).unwrap();
    let _ = rules.question(&packet, 1_000_000);
    if let Some(reply) = rules.handle(&packet, &Changes::default(), 1_000_000).unwrap().reply {
        Packet::parse(&reply.encode().unwrap()).unwrap();
    }
});
