//! What the server and the client know, as scripts see it.

use std::net::Ipv4Addr;

use super::super::prelude::*;
use crate::kit::dhcp::client::Granted;
use crate::kit::dhcp::option::{self, Options, Value};
use crate::kit::dhcp::{Lease, Request};

fn shown(value: Value) -> Dynamic {
    match value {
        Value::Text(text) => text.into(),
        Value::Number(number) => number.into(),
        Value::Bytes(bytes) => Dynamic::from_blob(bytes),
        Value::List(list) => list.into_iter().map(shown).collect::<Array>().into(),
    }
}

pub fn options(options: &Options) -> Map {
    options.iter().map(|(code, data)| (code.to_string().into(), shown(option::show(*code, data)))).collect()
}

/// By hand: a closure is asked thousands of times a second when a room of machines is switched on.
pub fn request(request: &Request) -> Map {
    let archs = request.archs.iter().map(|arch| i64::from(*arch).into()).collect::<Array>();
    [
        ("kind", request.kind.into()),
        ("mac", request.mac.clone().into()),
        ("ip", request.ip.clone().into()),
        ("name", request.name.clone().into()),
        ("arch", request.arch.map_or(Dynamic::UNIT, |arch| i64::from(arch).into())),
        ("archs", archs.into()),
        ("vendor_class", request.vendor_class.clone().into()),
        ("user_class", request.user_class.clone().into()),
        ("uuid", request.uuid.clone().into()),
        ("hostname", request.hostname.clone().into()),
        ("relay", request.relay.clone().into()),
        ("interface", request.interface.clone().into()),
        ("options", options(&request.options).into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, Dynamic)| (name.into(), value))
    .collect()
}

pub fn lease(lease: &Lease) -> Dynamic {
    let mut map = Map::new();
    map.insert("ip".into(), lease.ip.to_string().into());
    map.insert("mac".into(), lease.mac.clone().into());
    map.insert("hostname".into(), lease.hostname.clone().into());
    map.insert("expires".into(), i64::try_from(lease.expires).unwrap_or(i64::MAX).into());
    map.into()
}

pub fn granted(granted: &Granted) -> Map {
    let texts = |list: &[Ipv4Addr]| list.iter().map(|ip| ip.to_string().into()).collect::<Array>();
    let router = granted.router.first().map(|ip| ip.to_string()).unwrap_or_default();
    [
        ("mac", granted.mac.to_string().into()),
        ("ip", granted.ip.to_string().into()),
        ("mask", granted.subnet.mask().to_string().into()),
        ("prefix", i64::from(granted.subnet.prefix).into()),
        ("router", router.into()),
        ("dns", texts(&granted.dns).into()),
        ("domain", granted.domain.clone().into()),
        ("hostname", granted.hostname.clone().into()),
        ("server", granted.server.to_string().into()),
        ("next_server", granted.next_server.clone().into()),
        ("bootfile", granted.bootfile.clone().into()),
        ("lease", i64::from(granted.lease).into()),
        ("options", options(&granted.options).into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, Dynamic)| (name.into(), value))
    .collect()
}
