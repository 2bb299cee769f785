//! Durations as people write them: `30s`, `500ms`, `2m`.

use std::time::Duration;

use super::{Fault, Result};

/// A duration: `500ms`, `30s`, `2m`, `1h 30m`; `0` is no time at all.
///
/// # Errors
/// `value.time`: not a duration; a bare number other than 0 has no unit.
pub fn parse_duration(text: &str) -> Result<Duration> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| {
        Fault::new("value.time", format!("`{text}` is not a time: {error}"))
            .hint("a time is a number and a unit: 500ms, 30s, 5m, 2h")
    })
}

/// A duration for people, to three digits: `12.3s`, `2m 5s`, `340ms`.
pub fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{:.0}ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1}s"),
        _ => humantime::format_duration(Duration::from_secs(time.as_secs())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("1h 30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_duration("0").unwrap(), Duration::ZERO);
        for text in ["", "30", "-1s", "soon"] {
            assert_eq!(parse_duration(text).unwrap_err().kind, "value.time", "{text}");
        }
        assert_eq!(format_duration(Duration::from_millis(12_340)), "12.3s");
    }
}
