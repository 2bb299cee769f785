//! What the server and the client know, as scripts see it.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use rhai::Identifier;

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
    let mut map = Map::new();
    for (code, data) in options {
        let mut name = Identifier::new_const();
        let _ = write!(name, "{code}");
        map.insert(name, shown(option::show(*code, data)));
    }
    map
}

/// By hand: a closure is asked thousands of times a second when a room of machines is switched on. What is empty is one
/// text for all.
pub fn request(request: &Request<'_>) -> Map {
    static EMPTY: LazyLock<ImmutableString> = LazyLock::new(ImmutableString::new);
    let text = |text: &str| Dynamic::from(if text.is_empty() { EMPTY.clone() } else { text.into() });
    let archs = request.archs.iter().map(|arch| i64::from(*arch).into()).collect::<Array>();
    let mut map = Map::new();
    for (name, value) in [
        ("arch", request.arch.map_or(Dynamic::UNIT, |arch| i64::from(arch).into())),
        ("archs", archs.into()),
        ("hostname", text(&request.hostname)),
        ("interface", text(&request.interface)),
        ("ip", text(&request.ip)),
        ("kind", text(request.kind)),
        ("mac", text(&request.mac)),
        ("name", text(&request.name)),
        ("options", options(request.options).into()),
        ("relay", text(&request.relay)),
        ("user_class", text(&request.user_class)),
        ("uuid", text(&request.uuid)),
        ("vendor_class", text(&request.vendor_class)),
    ] {
        map.insert(name.into(), value);
    }
    map
}

/// Options that have a name, by their names.
fn named(options: &Options) -> Map {
    let name = |(code, data): (&u8, &Vec<u8>)| Some((option::name(*code)?.into(), shown(option::show(*code, data))));
    options.iter().filter_map(name).collect()
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
        ("named", named(&granted.options).into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, Dynamic)| (name.into(), value))
    .collect()
}
