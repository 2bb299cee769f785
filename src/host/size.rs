//! Sizes as people write them: `512MiB`, `20 GB`, `4096`.

use super::{Fault, Result};

const UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

/// Bytes of a size. Units: `B`, `KiB`..`TiB` (1024), `KB`..`TB` (1000), `K`..`T` as in sfdisk and mkfs (1024); a
/// fraction is allowed (`1.5GiB`), a bare number is bytes.
///
/// # Errors
/// `value.size`: not a size, negative, or more than 2^63 bytes.
pub fn parse_size(text: &str) -> Result<u64> {
    let bad = || {
        Fault::new("value.size", format!("`{text}` is not a size"))
            .hint("a size is a number and a unit: 512MiB, 20GiB, 1.5TB; a bare number is bytes")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(*factor),
        Err(_) => {
            let fraction: f64 = number.parse().map_err(|_| bad())?;
            Some((fraction * *factor as f64).round() as u64)
        }
    };
    bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(bad)
}

/// A size for people: `512 MiB`, `1.4 GiB`, `17 B`.
pub fn format_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value.fract() == 0.0 || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512MiB", 512 << 20),
            ("20 GB", 20_000_000_000),
            ("1.5k", 1536),
            ("2T", 2 << 40),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MiB", "-1", "12 parsecs", "1..5G", "99999999999T", "0x10"] {
            assert_eq!(parse_size(text).unwrap_err().kind, "value.size", "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for bytes in [0, 17, 1024, 512 << 20, 3 << 40] {
            assert_eq!(parse_size(&format_size(bytes)).unwrap(), bytes);
        }
    }
}
