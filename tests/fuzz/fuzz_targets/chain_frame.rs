//! Frames of the chain: any bytes are read or refused; what is read is what is written again.
#![no_main]

use kar::kit::chain::{frame, message::Message};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok((header, payload)) = frame::decode(data) {
        if !header.packed {
            assert_eq!(frame::encode(header.kind, header.offset, payload), data);
        }
        let _ = Message::parse(payload);
    }
    // Behind a right checksum, which no mutation finds.
    let payload = &data[..data.len().min(frame::MESSAGE)];
    let sent = frame::encode(frame::Kind::Message, 7, payload);
    assert_eq!(frame::decode(&sent).unwrap().1, payload);
    let _ = Message::parse(payload);
});
