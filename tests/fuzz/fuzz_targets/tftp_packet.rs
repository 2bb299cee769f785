#![no_main]
use kar::kit::tftp::{clean, packet::Packet};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(packet) = Packet::parse(data) {
        let _ = packet.encode();
        if let Packet::Read { file, .. } | Packet::Write { file, .. } = &packet {
            if let Some(name) = clean(file) {
                assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."));
            }
        }
    }
});
