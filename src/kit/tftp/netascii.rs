//! Text as terminals had it (RFC 764): a new line is CR LF, a CR alone CR NUL.

/// As it goes over the wire.
pub fn encode(text: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(text.len() + text.len() / 16);
    for byte in text {
        match byte {
            b'\n' => wire.extend(b"\r\n"),
            b'\r' => wire.extend(b"\r\0"),
            other => wire.push(*other),
        }
    }
    wire
}

/// Reads it back, piece by piece.
#[derive(Debug, Default)]
pub struct Decoder {
    /// A CR whose second byte is still to come.
    half: bool,
}

impl Decoder {
    pub fn decode(&mut self, wire: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(wire.len());
        for byte in wire {
            match (std::mem::take(&mut self.half), *byte) {
                (false, b'\r') => self.half = true,
                (false, other) => text.push(other),
                (true, b'\n') => text.push(b'\n'),
                (true, 0) => text.push(b'\r'),
                // Nobody writes this; nothing of it is lost.
                (true, b'\r') => {
                    text.push(b'\r');
                    self.half = true;
                }
                (true, other) => text.extend([b'\r', other]),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_comes_back_however_it_is_cut(text in "[a\r\n\0]{0,40}", cut in 0usize..40) {
            let wire = encode(text.as_bytes());
            let (head, tail) = wire.split_at(cut.min(wire.len()));
            let mut decoder = Decoder::default();
            prop_assert_eq!([decoder.decode(head), decoder.decode(tail)].concat(), text.into_bytes());
        }
    }
}
