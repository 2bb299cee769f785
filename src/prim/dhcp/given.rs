//! What clients are given, as scripts write it: for all, for a subnet, a host, a class, an answer.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use super::super::prelude::*;
use crate::kit::dhcp::option::{self, Options, Value};
use crate::kit::dhcp::{Changes, Class, Hosts, Key, Network, Range};
use crate::kit::net::Mac;

/// What a client can be given, in a host's map, in a closure's answer and in `reserve`.
const GIVEN: [&str; 9] = ["ip", "name", "router", "dns", "domain", "lease", "next_server", "bootfile", "options"];

pub fn ip_of(opts: &Opts, name: &str) -> Result<Option<Ipv4Addr>> {
    let Some(text) = opts.text(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| opts.refuse(name, &format!("`{text}` is not an IPv4 address")))
}

fn ips_of(opts: &Opts, name: &str) -> Result<Option<Vec<Ipv4Addr>>> {
    if opts.raw(name).is_none() {
        return Ok(None);
    }
    let wrong = |text: &str| opts.refuse(name, &format!("`{text}` is not an IPv4 address"));
    opts.texts(name)?.iter().map(|text| text.parse().map_err(|_| wrong(text))).collect::<Result<_>>().map(Some)
}

/// The names of a server or a subnet; `ip` and `name` are a host's alone.
pub fn common(opts: &Opts) -> Result<Changes> {
    Ok(Changes {
        ip: None,
        name: None,
        router: ips_of(opts, "router")?,
        dns: ips_of(opts, "dns")?,
        domain: opts.text("domain")?,
        lease: opts.time("lease")?,
        next_server: ip_of(opts, "next_server")?,
        bootfile: opts.text("bootfile")?,
        options: opts.map("options")?.map(numbered).transpose()?.unwrap_or_default(),
    })
}

pub fn changes(opts: &Opts) -> Result<Changes> {
    Ok(Changes { ip: ip_of(opts, "ip")?, name: opts.text("name")?, ..common(opts)? })
}

/// A map of what is given, and of the names in `more`.
pub fn given(call: &'static str, map: Map, more: &[&str]) -> Result<Opts> {
    let known: Vec<String> = GIVEN.iter().chain(more).map(|name| name.to_string()).collect();
    Opts::new(call, map, &known)
}

/// What a closure returned.
pub fn answered(map: Map) -> Result<Changes> {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| GIVEN.map(String::from).to_vec());
    changes(&Opts::new("dhcp::serve answer", map, &KNOWN)?)
}

pub fn numbered(map: Map) -> Result<Options> {
    let encode = |(name, value): (rhai::Identifier, Dynamic)| {
        let code = option::code(&name)?;
        let value = value_of(&value).ok_or_else(|| {
            Fault::new("dhcp.value", format!("option {code} cannot be {} ({})", value, value.type_name()))
                .hint("an option is a text, a number, a blob, or a list of them; #{ address: \"10.0.0.1\" } and #{ number: 7, bytes: 4 } say how")
        })?;
        Ok((code, option::encode(code, &value)?))
    };
    map.into_iter().map(encode).collect()
}

fn value_of(value: &Dynamic) -> Option<Value> {
    if let Ok(number) = value.as_int() {
        return Some(Value::Number(number));
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return Some(Value::Bytes(blob.clone()));
    }
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().map(value_of).collect::<Option<_>>().map(Value::List);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return said(&map);
    }
    value.clone().into_string().ok().map(Value::Text)
}

/// A value whose form the recipe says, for numbers whose form kar does not know, or knows otherwise.
fn said(map: &Map) -> Option<Value> {
    let text = |name: &str| map.get(name).and_then(|value| value.clone().into_string().ok());
    let number = |name: &str| map.get(name).and_then(|value| value.as_int().ok());
    let bytes = match map.len() {
        1 => match (text("address"), text("text")) {
            (Some(address), None) => address.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
            (None, Some(text)) => text.into_bytes(),
            _ => return None,
        },
        2 => {
            let (number, width) = (u32::try_from(number("number")?).ok()?, usize::try_from(number("bytes")?).ok()?);
            let fits = matches!(width, 1 | 2 | 4) && (width == 4 || number >> (8 * width) == 0);
            fits.then(|| number.to_be_bytes()[4 - width..].to_vec())?
        }
        _ => return None,
    };
    Some(Value::Bytes(bytes))
}

fn maps(opts: &Opts, name: &str, example: &str) -> Result<Vec<Map>> {
    let map =
        |item: Dynamic| item.try_cast::<Map>().ok_or_else(|| opts.refuse(name, "it is a list of maps").hint(example));
    opts.list(name)?.unwrap_or_default().into_iter().map(map).collect()
}

/// Who a host is: a MAC address, a UUID, or a map that says which of `mac`, `uuid` and `port` it is known by.
pub fn who(who: Dynamic) -> Result<Key> {
    if let Some(map) = who.read_lock::<Map>() {
        let known = ["mac", "uuid", "port"].map(String::from);
        return key_of(&Opts::new("dhcpserver.reserve", map.clone(), &known)?);
    }
    let kind = who.type_name();
    let wrong = || Fault::new("dhcp.option", format!("a host is known by a text or a map, not by {kind}"));
    let text = who.into_string().map_err(|_| wrong())?;
    match uuid::Uuid::parse_str(&text) {
        Ok(uuid) if text.len() >= 32 => Ok(Key::Uuid(uuid.to_string())),
        _ => Ok(Key::Mac(text.parse()?)),
    }
}

fn key_of(opts: &Opts) -> Result<Key> {
    let port = match opts.raw("port") {
        Some(id) if id.is_blob() => Some(id.cast::<Blob>()),
        _ => opts.text("port")?.map(String::into_bytes),
    };
    match (opts.text("mac")?, opts.text("uuid")?, port) {
        (Some(mac), None, None) => Ok(Key::Mac(mac.parse::<Mac>()?)),
        (None, Some(uuid), None) => uuid::Uuid::parse_str(&uuid)
            .map(|uuid| Key::Uuid(uuid.to_string()))
            .map_err(|_| opts.refuse("uuid", &format!("`{uuid}` is not a UUID"))),
        (None, None, Some(port)) => Ok(Key::Port(port)),
        _ => Err(opts.refuse("hosts", "a host is known by one of `mac`, `uuid` and `port`")),
    }
}

/// A list of maps.
pub fn hosts_of(opts: &Opts) -> Result<Hosts> {
    let mut hosts = Hosts::default();
    let example = "a host is #{ mac: \"52:54:00:12:34:56\", ip: \"10.0.0.7\", name: \"node7\" }";
    for map in maps(opts, "hosts", example)? {
        let opts = given("dhcp::serve hosts", map, &["mac", "uuid", "port"])?;
        hosts.add(key_of(&opts)?, changes(&opts)?)?;
    }
    Ok(hosts)
}

/// Bytes of the beginning of a hardware address: `b8:27:eb`.
fn start_of(opts: &Opts, text: &str) -> Result<Vec<u8>> {
    let byte = |pair: &str| u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2);
    let bytes = text.split([':', '-']).map(byte).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| opts.refuse("mac", &format!("`{text}` is not the beginning of a MAC address")))
}

pub fn classes_of(opts: &Opts) -> Result<Vec<Class>> {
    let example = "a class is #{ arch: [7, 9], bootfile: \"ipxe.efi\" }; std/pxe has a table of them";
    let class = |map: Map| {
        let who = ["arch", "vendor_class", "user_class", "mac", "has"];
        let opts = given("dhcp::serve classes", map, &who)?;
        let number = |value: Dynamic| value.as_int().ok().and_then(|n| u16::try_from(n).ok());
        let arch = match opts.raw("arch") {
            None => Some(Vec::new()),
            Some(list) if list.is_array() => list.cast::<Array>().into_iter().map(number).collect(),
            Some(one) => number(one).map(|one| vec![one]),
        };
        Ok(Class {
            arch: arch.ok_or_else(|| opts.refuse("arch", "it is a number of option 93, or a list of them"))?,
            vendor_class: opts.text("vendor_class")?,
            user_class: opts.text("user_class")?,
            mac: opts.texts("mac")?.iter().map(|text| start_of(&opts, text)).collect::<Result<_>>()?,
            has: opts.count("has", 1, 254)?.map(|code| code as u8),
            given: Changes { name: opts.text("name")?, ..common(&opts)? },
        })
    };
    maps(opts, "classes", example)?.into_iter().map(class).collect()
}

/// `range`: a text or a list of texts.
pub fn ranges_of(opts: &Opts) -> Result<Vec<Range>> {
    opts.texts("range")?.iter().map(|text| text.parse()).collect()
}

/// The list `subnets`.
pub fn networks_of(opts: &Opts) -> Result<Vec<Network>> {
    let network = |map: Map| {
        let opts = given("dhcp::serve subnets", map, &["subnet", "range", "interface"])?;
        let subnet = opts.need("subnet", opts.text("subnet")?)?.parse()?;
        let (ranges, interfaces, given) = (ranges_of(&opts)?, opts.texts("interface")?, common(&opts)?);
        Ok(Network { subnet, ranges, interfaces, given })
    };
    maps(opts, "subnets", "a subnet is #{ subnet: \"10.0.1.0/24\", range: \"10.0.1.100-200\" }")?
        .into_iter()
        .map(network)
        .collect()
}
