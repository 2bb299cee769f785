//! Discovery datagrams: any bytes are read or refused.
#![no_main]

use kar::kit::chain::{discovery, frame};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = discovery::parse(data);
    let payload = &data[..data.len().min(1400)];
    if let Ok(message) = discovery::parse(&frame::encode(frame::Kind::Message, 0, payload)) {
        assert_eq!(discovery::parse(&message.frame()), Ok(message));
    }
});
