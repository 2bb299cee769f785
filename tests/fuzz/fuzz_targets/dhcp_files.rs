#![no_main]
use std::path::Path;

use kar::kit::dhcp::{sites, store};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for machine in sites::parse(&String::from_utf8_lossy(data)) {
        machine.mac.parse::<kar::kit::net::Mac>().unwrap();
    }
    let _ = store::parse(data, Path::new("leases"));
});
