//! Option values between people and the wire (RFC 2132 and those that followed).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::host::{Fault, Result};

/// An option as a script writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Addresses,
    /// A whole number of this many bytes.
    Number(usize),
    /// Several of them.
    Numbers(usize),
    Text,
    /// Text stays text, anything else as it comes.
    Free,
}

fn form(code: u8) -> Form {
    match code {
        1 | 3..=11 | 16 | 21 | 28 | 32 | 33 | 41 | 42 | 44 | 45 | 48..=50 | 54 | 65 | 68..=76 | 118 | 150 => {
            Form::Addresses
        }
        19 | 20 | 23 | 27 | 29..=31 | 34 | 36 | 37 | 39 | 46 | 52 | 53 | 116 => Form::Number(1),
        13 | 22 | 26 | 57 => Form::Number(2),
        2 | 24 | 35 | 38 | 51 | 58 | 59 | 108 | 211 => Form::Number(4),
        55 => Form::Numbers(1),
        25 | 93 => Form::Numbers(2),
        12 | 14 | 15 | 17 | 18 | 40 | 47 | 56 | 60 | 62 | 64 | 66 | 67 | 100 | 101 | 114 | 209 | 210 => Form::Text,
        _ => Form::Free,
    }
}

/// The bytes of an option. Numbers without a form of their own take the fewest of 1, 2 or 4 bytes that hold them;
/// lists are one after the other; bytes always go as they are.
///
/// # Errors
/// `dhcp.value`: not a value for this option; says what it takes.
pub fn encode(code: u8, value: &Value) -> Result<Vec<u8>> {
    if matches!(code, 0 | 255) {
        return Err(Fault::new("dhcp.value", format!("option {code} is a mark on the wire and carries no value")));
    }
    let wrong = |takes: &str| Fault::new("dhcp.value", format!("option {code} takes {takes}, not {value:?}"));
    let bytes = match (form(code), value) {
        (_, Value::Bytes(bytes)) => bytes.clone(),
        (_, Value::List(list)) => {
            let parts = list.iter().map(|item| encode(code, item)).collect::<Result<Vec<_>>>()?;
            parts.concat()
        }
        (Form::Addresses, Value::Text(text)) => {
            let address: Ipv4Addr = text.trim().parse().map_err(|_| wrong("an IPv4 address"))?;
            address.octets().to_vec()
        }
        (Form::Number(width) | Form::Numbers(width), Value::Number(number)) => {
            sized(*number, width).ok_or_else(|| wrong(&format!("a number of {width} bytes")))?
        }
        (Form::Text | Form::Free, Value::Text(text)) => text.clone().into_bytes(),
        (Form::Free, Value::Number(number)) => {
            let widths = [1, 2, 4].into_iter().find_map(|width| sized(*number, width));
            widths.ok_or_else(|| wrong("a number from 0 to 4294967295"))?
        }
        (Form::Addresses, _) => return Err(wrong("an IPv4 address or a list of them")),
        (Form::Number(_) | Form::Numbers(_), _) => return Err(wrong("a number")),
        (Form::Text, _) => return Err(wrong("a text")),
    };
    if bytes.len() > 1024 {
        return Err(Fault::new(
            "dhcp.value",
            format!("option {code} with {} bytes is longer than a packet", bytes.len()),
        ));
    }
    Ok(bytes)
}

fn sized(number: i64, width: usize) -> Option<Vec<u8>> {
    let number = u32::try_from(number).ok()?;
    (width == 4 || number >> (8 * width) == 0).then(|| number.to_be_bytes()[4 - width..].to_vec())
}

/// An option as a script reads it: by its form, or as text where all of it is printable, or as bytes.
pub fn show(code: u8, bytes: &[u8]) -> Value {
    let number = |bytes: &[u8]| Value::Number(bytes.iter().fold(0, |n, byte| n << 8 | i64::from(*byte)));
    match form(code) {
        Form::Addresses if !bytes.is_empty() && bytes.len().is_multiple_of(4) => {
            let address = |four: &[u8]| Value::Text(Ipv4Addr::new(four[0], four[1], four[2], four[3]).to_string());
            match bytes.len() {
                4 => address(bytes),
                _ => Value::List(bytes.chunks_exact(4).map(address).collect()),
            }
        }
        Form::Number(width) if bytes.len() == width => number(bytes),
        Form::Numbers(width) if bytes.len().is_multiple_of(width) => {
            Value::List(bytes.chunks_exact(width).map(number).collect())
        }
        _ => match std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)) {
            Ok(text) if !text.is_empty() && !text.contains(char::is_control) => Value::Text(text.into()),
            _ => Value::Bytes(bytes.to_vec()),
        },
    }
}

/// Options by number, as configurations hold them: encoded.
pub type Options = BTreeMap<u8, Vec<u8>>;

/// Options that people name (RFC 2132 and those that followed, as ISC dhcpd and Kea write them).
const NAMES: [(u8, &str); 48] = [
    (1, "subnet-mask"),
    (2, "time-offset"),
    (3, "routers"),
    (4, "time-servers"),
    (6, "domain-name-servers"),
    (7, "log-servers"),
    (12, "host-name"),
    (13, "boot-size"),
    (15, "domain-name"),
    (17, "root-path"),
    (18, "extensions-path"),
    (23, "default-ip-ttl"),
    (26, "interface-mtu"),
    (28, "broadcast-address"),
    (33, "static-routes"),
    (40, "nis-domain"),
    (41, "nis-servers"),
    (42, "ntp-servers"),
    (43, "vendor-encapsulated-options"),
    (50, "dhcp-requested-address"),
    (51, "dhcp-lease-time"),
    (52, "dhcp-option-overload"),
    (53, "dhcp-message-type"),
    (54, "dhcp-server-identifier"),
    (55, "dhcp-parameter-request-list"),
    (56, "dhcp-message"),
    (57, "dhcp-max-message-size"),
    (58, "dhcp-renewal-time"),
    (59, "dhcp-rebinding-time"),
    (60, "vendor-class-identifier"),
    (61, "dhcp-client-identifier"),
    (66, "tftp-server-name"),
    (67, "bootfile-name"),
    (77, "user-class"),
    (81, "fqdn"),
    (82, "relay-agent-information"),
    (93, "client-system"),
    (94, "client-ndi"),
    (97, "uuid-guid"),
    (100, "pcode"),
    (101, "tcode"),
    (114, "v4-captive-portal"),
    (118, "subnet-selection"),
    (119, "domain-search"),
    (121, "classless-static-routes"),
    (150, "tftp-server-address"),
    (209, "pxelinux-config-file"),
    (210, "pxelinux-path-prefix"),
];

/// What an option is called.
pub fn name(code: u8) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// The number in `"135"`, or of `"ntp-servers"`.
pub fn code(text: &str) -> Result<u8> {
    let number = text.parse::<u8>().ok().filter(|code| !matches!(code, 0 | 255));
    let named = || NAMES.iter().find(|(_, name)| *name == text).map(|(code, _)| *code);
    number.or_else(named).ok_or_else(|| {
        Fault::new("dhcp.value", format!("`{}` is not the number or the name of a DHCP option", text.escape_debug()))
            .nearest(text, NAMES.map(|(_, name)| name))
            .hint("options are named by number, 1 to 254, or as ISC dhcpd names them: options: #{ \"135\": \"scripts/224\" }")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_form_of_their_option() {
        let text = |t: &str| Value::Text(t.into());
        for (code, value, bytes) in [
            (135, text("scripts/224"), b"scripts/224".to_vec()),
            (3, text("10.0.0.1"), vec![10, 0, 0, 1]),
            (6, Value::List(vec![text("10.0.0.1"), text("10.0.0.2")]), vec![10, 0, 0, 1, 10, 0, 0, 2]),
            (51, Value::Number(3600), vec![0, 0, 14, 16]),
            (26, Value::Number(1500), vec![5, 220]),
            (175, Value::Number(300), vec![1, 44]),
            (43, Value::Bytes(vec![6, 1, 8, 255]), vec![6, 1, 8, 255]),
        ] {
            assert_eq!(encode(code, &value).unwrap(), bytes, "{code}");
            assert_eq!(show(code, &bytes), if code == 175 { Value::Bytes(bytes.clone()) } else { value }, "{code}");
        }
        for (code, value) in
            [(3, text("here")), (51, text("1h")), (26, Value::Number(70_000)), (12, Value::Number(1)), (0, text("x"))]
        {
            assert_eq!(encode(code, &value).unwrap_err().kind, "dhcp.value", "{code}");
        }
        assert_eq!((super::code("ntp-servers").unwrap(), super::name(42)), (42, Some("ntp-servers")));
        assert!(super::code("ntp-server").unwrap_err().hints.iter().any(|hint| hint.contains("ntp-servers")));
        for (code, name) in NAMES {
            assert_eq!((super::code(name).unwrap(), super::name(code)), (code, Some(name)));
        }
        assert!(super::code("135").is_ok() && super::code("0").is_err() && super::code("256").is_err());
    }
}
