//! What of a server's happenings stands in the journal, and what a person is told at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::request::Event;
use crate::host::{Fault, Host, Level};
use crate::kit::net::Events;

/// The same trouble of many clients is told once in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Everything but questions stands in the journal; what failed is told to the person as well.
pub fn events(host: &Host) -> Events<Event> {
    let host = host.clone();
    let told: Mutex<HashMap<String, (Instant, usize)>> = Mutex::default();
    Events::watched(move |event: &Event| {
        let object = || format!("{} {}", event.mac, event.ip).trim_end().to_string();
        match event.event {
            "discovered" | "offered" | "informed" => {}
            "acknowledged" | "learned" => host.note("dhcp.lease", &object(), None),
            "released" => host.note("dhcp.release", &object(), None),
            "expired" => host.note("dhcp.expire", &object(), None),
            other => {
                let fault = Fault::new(format!("dhcp.{other}"), event.message.clone());
                host.note("dhcp.lease", &object(), Some(&fault));
                if !matches!(other, "failed" | "exhausted" | "conflict" | "limited") {
                    return;
                }
                let mut told = told.lock().expect("no holder panics");
                if told.len() > 1000 {
                    told.clear();
                }
                let now = Instant::now();
                let (last, more) = told.entry(event.message.clone()).or_insert((now - QUIET, 0));
                if now.saturating_duration_since(*last) < QUIET {
                    *more += 1;
                    return;
                }
                let others = if *more > 0 { format!(" (and {more} more of these)") } else { String::new() };
                (*last, *more) = (now, 0);
                drop(told);
                host.log(Level::Warn, &format!("DHCP, {}: {}{others}", object(), event.message));
            }
        }
    })
}
