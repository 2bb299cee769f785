#![no_main]
use kar::kit::dhcp::{Changes, Mode, Network, Packet, Rules, Settings, Wire};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::parse(data) else { return };
    for mode in [Mode::Full, Mode::Proxy, Mode::Discover("hosts".into())] {
        let range = "10.0.0.100-200".parse().unwrap();
        let common = Changes { bootfile: Some("boot.ipxe".into()), ..Changes::default() };
        let networks = vec![Network::new("10.0.0.0/24".parse().unwrap(), vec![range])];
        let settings = Settings { mode, networks, common, ..Settings::default() };
        let mut rules = Rules::new(settings, vec![Wire::new("eth0", [10, 0, 0, 1].into())]).unwrap();
        let _ = rules.question(&packet, 0, 1_000_000);
        for second in 0..2 {
            let outcome = rules.handle(&packet, 0, &Changes::default(), 1_000_000 + second);
            if let Some(reply) = outcome.reply {
                Packet::parse(&reply.encode()).unwrap();
            }
        }
    }
});
