//! What a server has done so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// Each counts up from the start of the server.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$about])* pub $name: AtomicU64,)* }

        impl Counters {
            /// All of them, by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Packets of clients.
    received,
    /// What came to the port and is no DHCP.
    malformed,
    /// Packets of clients that asked too often.
    limited,
    offers,
    acks,
    naks,
    declines,
    releases,
    /// Addresses asked about on the wire before they were offered.
    probes,
    /// Of these, addresses that somebody had.
    conflicts,
    /// Writings to disk; each holds the leases of all clients that waited.
    commits,
    /// Closures that failed or took too long.
    failed,
    /// Clients that got the usual answer because the closure was busy for too long with others.
    hurried,
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
