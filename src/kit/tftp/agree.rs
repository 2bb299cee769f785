//! Which options of a request are taken (RFC 2347): those that are understood, within what the server allows.

use std::time::Duration;

/// Blocks sent without waiting, at most (RFC 7440).
const WINDOW: u64 = 64;
/// Before a packet is sent again, unless the client says otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How one transfer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Bytes in a block.
    pub block: usize,
    /// Blocks between two acknowledgements.
    pub window: u64,
    /// Before a packet is sent again.
    pub timeout: Duration,
    /// What a client that writes says is to come.
    pub size: Option<u64>,
    /// What the OACK says; none is sent when it is empty.
    pub answer: Vec<(String, String)>,
}

/// Reads a client's options. `size` is that of the file it reads, `largest` the largest block allowed, bytes.
pub fn agree(options: &[(String, String)], largest: u16, size: Option<u64>) -> Agreed {
    let mut agreed = Agreed { block: 512, window: 1, timeout: TIMEOUT, size: None, answer: Vec::new() };
    for (name, value) in options {
        let Ok(number) = value.trim().parse::<u64>() else { continue };
        if agreed.answer.iter().any(|(known, _)| known == name) {
            continue;
        }
        let answer = match (name.as_str(), number) {
            ("blksize", 8..) => {
                agreed.block = number.min(u64::from(largest)) as usize;
                agreed.block as u64
            }
            ("timeout", 1..=255) => {
                agreed.timeout = Duration::from_secs(number);
                number
            }
            ("windowsize", 1..=65_535) => {
                agreed.window = number.min(WINDOW);
                agreed.window
            }
            ("tsize", _) => match size {
                // curl takes the size 0 for an error, from any server; without a word on it the file ends as it should.
                Some(0) => continue,
                Some(size) => size,
                None => {
                    // A client that copies its question for a size means nothing by the 0.
                    agreed.size = Some(number).filter(|number| *number > 0);
                    number
                }
            },
            _ => continue,
        };
        agreed.answer.push((name.clone(), answer.to_string()));
    }
    agreed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(options: &[(&str, &str)], size: Option<u64>) -> String {
        let options: Vec<_> = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let answer = agree(&options, 8192, size).answer;
        answer.iter().map(|(name, value)| format!("{name}={value} ")).collect()
    }

    #[test]
    fn what_is_understood_is_answered() {
        let all = [("tsize", "0"), ("blksize", "1468"), ("timeout", "3"), ("windowsize", "16"), ("multicast", "")];
        assert_eq!(said(&all, Some(77)), "tsize=77 blksize=1468 timeout=3 windowsize=16 ");
        assert_eq!(said(&[("blksize", "65464"), ("windowsize", "65535")], None), "blksize=8192 windowsize=64 ");
        assert_eq!(said(&[("blksize", "7"), ("timeout", "0"), ("windowsize", "0"), ("blksize", "x")], None), "");
        assert_eq!(said(&[("tsize", "500")], None), "tsize=500 ");
        assert_eq!(said(&[("tsize", "0"), ("blksize", "1468")], Some(0)), "blksize=1468 ");
        assert_eq!(said(&[("blksize", "16"), ("blksize", "32")], None), "blksize=16 ");
    }

    proptest! {
        #[test]
        fn nothing_beyond_the_bounds_is_agreed(options in prop::collection::vec(("(blksize|timeout|tsize|windowsize)", "[0-9]{1,21}"), 0..6)) {
            let agreed = agree(&options, 1468, Some(9));
            prop_assert!((8..=1468).contains(&agreed.block) && (1..=WINDOW).contains(&agreed.window));
            prop_assert!((1..=255).contains(&agreed.timeout.as_secs()));
        }
    }
}
