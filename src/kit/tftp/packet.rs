//! TFTP packets (RFC 1350, 2347).

/// Error codes of RFC 1350 and RFC 2347.
pub mod code {
    pub const OTHER: u16 = 0;
    pub const MISSING: u16 = 1;
    pub const REFUSED: u16 = 2;
    pub const FULL: u16 = 3;
    pub const OPTIONS: u16 = 8;
}

/// How a file goes over the wire (RFC 1350, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Octet,
    Netascii,
    /// `mail`, and what nobody knows.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    Read {
        file: String,
        mode: Mode,
        options: Vec<(String, String)>,
    },
    Write {
        file: String,
        mode: Mode,
        options: Vec<(String, String)>,
    },
    Data {
        block: u16,
        data: &'a [u8],
    },
    Ack {
        block: u16,
    },
    Error {
        code: u16,
        message: String,
    },
    /// What the server takes of the options; names in lower case.
    Options(Vec<(String, String)>),
}

impl<'a> Packet<'a> {
    /// `None` for what is no packet.
    pub fn parse(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (opcode, rest) = (u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]), &bytes[2..]);
        let number = || Some(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        match opcode {
            1 | 2 => {
                let mut words = strings(rest).into_iter();
                let (file, mode) = (words.next()?, words.next()?);
                let mode = match mode {
                    _ if mode.eq_ignore_ascii_case("octet") => Mode::Octet,
                    _ if mode.eq_ignore_ascii_case("netascii") => Mode::Netascii,
                    _ => Mode::Other,
                };
                let options = pairs(words);
                Some(if opcode == 1 {
                    Packet::Read { file, mode, options }
                } else {
                    Packet::Write { file, mode, options }
                })
            }
            3 => Some(Packet::Data { block: number()?, data: &rest[2..] }),
            4 => Some(Packet::Ack { block: number()? }),
            5 => {
                let text = rest[..].get(2..)?.split(|byte| *byte == 0).next().unwrap_or_default();
                let text = String::from_utf8_lossy(&text[..text.len().min(512)]);
                Some(Packet::Error { code: number()?, message: text.chars().filter(|c| !c.is_control()).collect() })
            }
            6 => Some(Packet::Options(pairs(strings(rest).into_iter()))),
            _ => None,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut words = |opcode: [u8; 2], words: &[&str], options: &[(String, String)]| {
            bytes.extend(opcode);
            for word in words.iter().copied().chain(options.iter().flat_map(|(name, value)| [name.as_str(), value])) {
                bytes.extend(word.bytes().filter(|byte| *byte != 0));
                bytes.push(0);
            }
        };
        match self {
            Packet::Read { file, mode, options } => words([0, 1], &[file, mode.name()], options),
            Packet::Write { file, mode, options } => words([0, 2], &[file, mode.name()], options),
            Packet::Options(options) => words([0, 6], &[], options),
            Packet::Data { block, data } => {
                bytes.extend([0, 3]);
                bytes.extend(block.to_be_bytes());
                bytes.extend_from_slice(data);
            }
            Packet::Ack { block } => bytes.extend([[0, 4], block.to_be_bytes()].concat()),
            Packet::Error { code, message } => {
                bytes.extend([[0, 5], code.to_be_bytes()].concat());
                bytes.extend(message.bytes().filter(|byte| *byte != 0));
                bytes.push(0);
            }
        }
        bytes
    }
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Octet => "octet",
            Mode::Netascii => "netascii",
            Mode::Other => "mail",
        }
    }
}

/// Texts, each ended by NUL; what comes after the last NUL is dropped. Bytes that are no UTF-8 make a name that no file
/// has.
fn strings(bytes: &[u8]) -> Vec<String> {
    let end = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
    let texts = bytes[..end].split(|byte| *byte == 0);
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Options, up to the first that has no name: some ROMs fill their packets up with zeros.
fn pairs(mut words: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name.is_empty() {
            break;
        }
        pairs.push((name.to_ascii_lowercase(), value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn option() -> impl Strategy<Value = (String, String)> {
        ("[a-z]{1,8}", "[0-9]{1,5}")
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(file in "[a-zA-Z0-9./ -]{1,40}", options in prop::collection::vec(option(), 0..4), block: u16, data: Vec<u8>) {
            for packet in [
                Packet::Read { file: file.clone(), mode: Mode::Octet, options: options.clone() },
                Packet::Write { file: file.clone(), mode: Mode::Netascii, options: options.clone() },
                Packet::Options(options.clone()),
                Packet::Ack { block },
                Packet::Data { block, data: &data },
                Packet::Error { code: block, message: file.clone() },
            ] {
                let bytes = packet.encode();
                prop_assert_eq!(Packet::parse(&bytes), Some(packet.clone()));
            }
        }

        #[test]
        fn what_follows_the_options_is_left_aside(fill in 0usize..20, options in prop::collection::vec(option(), 0..4)) {
            let packet = Packet::Read { file: "a".into(), mode: Mode::Octet, options };
            let mut bytes = packet.encode();
            bytes.extend(std::iter::repeat_n(0, fill));
            prop_assert_eq!(Packet::parse(&bytes), Some(packet));
        }

        #[test]
        fn anything_reads_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), opcode in 0u8..8) {
            if bytes.len() > 1 {
                (bytes[0], bytes[1]) = (0, opcode);
            }
            if let Some(packet) = Packet::parse(&bytes) {
                let _ = packet.encode();
            }
        }
    }
}
