#![no_main]
use kar::kit::tftp::{agree, clean, packet::Packet};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(packet) = Packet::parse(data) {
        let _ = packet.encode();
        if let Packet::Read { file, options, .. } | Packet::Write { file, options, .. } = &packet {
            if let Some(name) = clean(file) {
                assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."));
            }
            let agreed = agree(options, 1468, Some(7));
            assert!((8..=1468).contains(&agreed.block) && (1..=64).contains(&agreed.window));
        }
    }
});
