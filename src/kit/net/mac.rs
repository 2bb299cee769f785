//! Hardware addresses.

use std::fmt;
use std::str::FromStr;

use crate::host::Fault;

/// An Ethernet address. Written `52:54:00:12:34:56`; read with `:`, `-` or nothing between, in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Mac, Fault> {
        let bad = || {
            Fault::new("net.mac", format!("`{}` is not a MAC address", text.escape_debug()))
                .hint("a MAC address is six pairs of hexadecimal digits: 52:54:00:12:34:56")
        };
        let digits: String = match text.len() {
            12 => text.into(),
            17 => {
                let parts: Vec<&str> = text.split([':', '-']).collect();
                if parts.len() != 6 || parts.iter().any(|part| part.len() != 2) {
                    return Err(bad());
                }
                parts.concat()
            }
            _ => return Err(bad()),
        };
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let value = u64::from_str_radix(&digits, 16).map_err(|_| bad())?;
        let [_, _, mac @ ..] = value.to_be_bytes();
        Ok(Mac(mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_as_people_write_them() {
        let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0xab]);
        for text in ["52:54:00:12:34:ab", "52-54-00-12-34-AB", "5254001234aB"] {
            assert_eq!(text.parse::<Mac>().unwrap(), mac);
        }
        assert_eq!(mac.to_string(), "52:54:00:12:34:ab");
        for text in [
            "",
            "52:54:00:12:34",
            "5:254:00:12:34:ab",
            "+254001234ab",
            "52:54:00:12:34:xx",
            "ééééééß",
            "52:54:00:12:34:ab:",
        ] {
            assert_eq!(text.parse::<Mac>().unwrap_err().kind, "net.mac", "{text}");
        }
    }
}
