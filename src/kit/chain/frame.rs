//! The frame: what everything in a chain travels in, on TCP and on UDP.
//!
//! ```text
//!  0  magic    "KARC"
//!  4  version  2; these five bytes stay as they are in every version
//!  5  kind     see [`Kind`]
//!  6  flags    u16, see [`PACKED`]
//!  8  offset   u64, position in the stream as the source gave it
//! 16  length   u32, bytes of payload
//! 20  span     u32, bytes of the stream that the payload stands for; 0 in what is no data
//! 24  check    u32, CRC-32 (IEEE) of bytes 0..24 and the payload
//! 28  payload
//! ```
//! Numbers are big-endian.

use std::fmt;

pub const MAGIC: [u8; 4] = *b"KARC";
pub const VERSION: u8 = 2;
/// Bytes in front of the payload.
pub const HEADER: usize = 28;
/// Flag of a data frame whose payload is one zstd frame.
pub const PACKED: u16 = 1;
/// Most bytes of the stream in one frame.
pub const CHUNK: usize = 512 << 10;
/// Most bytes of a message: plans and reports of one node.
pub const MESSAGE: usize = 64 << 10;
/// Bytes of either word of the Noise handshake: an X25519 key and a tag.
pub const NOISE: usize = 48;
/// Bytes of a BLAKE3 digest.
pub const DIGEST: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A [`super::message::Message`] as JSON.
    Message = 1,
    /// Bytes of the stream, from `offset` on.
    Data = 2,
    /// The stream ends at `offset`; the payload is its digest.
    End = 3,
    /// The sender and all behind it have received what is before `offset`.
    Ack = 4,
    /// Says only that the sender is alive.
    Ping = 5,
    /// A word of the handshake of an encrypted connection; what follows the second one is no frames any more.
    Noise = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        let all = [Kind::Message, Kind::Data, Kind::End, Kind::Ack, Kind::Ping, Kind::Noise];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether a payload of this kind may have this length.
    fn allows(self, length: usize) -> bool {
        match self {
            Kind::Message => length <= MESSAGE,
            Kind::Data => (1..=CHUNK).contains(&length),
            Kind::End => length == DIGEST,
            Kind::Noise => length == NOISE,
            Kind::Ack | Kind::Ping => length == 0,
        }
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// Not a chain's frame at all.
    Stranger,
    Version(u8),
    Kind(u8),
    Flags(u16),
    Length(Kind, usize),
    /// Stands for more or fewer bytes than it can, or beyond the end of all numbers.
    Span(u32),
    Check,
    /// Fewer bytes than the frame claims (only where it comes in one piece).
    Short,
    /// More bytes behind it (only where it comes in one piece).
    Trailing,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Stranger => write!(f, "not a chain's frame"),
            FrameError::Version(version) => write!(f, "speaks version {version}, this is {VERSION}"),
            FrameError::Kind(kind) => write!(f, "unknown frame kind {kind}"),
            FrameError::Flags(flags) => write!(f, "unknown frame flags {flags:#06x}"),
            FrameError::Length(kind, length) => write!(f, "a {kind:?} frame of {length} bytes"),
            FrameError::Span(span) => write!(f, "a frame that stands for {span} bytes"),
            FrameError::Check => write!(f, "wrong checksum"),
            FrameError::Short => write!(f, "half a frame"),
            FrameError::Trailing => write!(f, "bytes behind the frame"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub offset: u64,
    pub length: usize,
    /// Bytes of the stream it stands for.
    pub span: usize,
    /// Whether the payload has to be expanded to get them.
    pub packed: bool,
    check: u32,
}

impl Header {
    /// Reads a header. The length is known to be within the bound of its kind afterwards.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Header, FrameError> {
        if bytes[..4] != MAGIC {
            return Err(FrameError::Stranger);
        }
        if bytes[4] != VERSION {
            return Err(FrameError::Version(bytes[4]));
        }
        let kind = Kind::of(bytes[5]).ok_or(FrameError::Kind(bytes[5]))?;
        let packed = match (u16::from_be_bytes([bytes[6], bytes[7]]), kind) {
            (0, _) => false,
            (PACKED, Kind::Data) => true,
            (flags, _) => return Err(FrameError::Flags(flags)),
        };
        let length = u32_at(bytes, 16) as usize;
        if !kind.allows(length) {
            return Err(FrameError::Length(kind, length));
        }
        let offset = u64::from(u32_at(bytes, 8)) << 32 | u64::from(u32_at(bytes, 12));
        let span = u32_at(bytes, 20);
        let fits = match kind {
            Kind::Data if packed => (1..=CHUNK).contains(&(span as usize)),
            Kind::Data => span as usize == length,
            _ => span == 0,
        };
        if !fits || offset.checked_add(u64::from(span)).is_none() {
            return Err(FrameError::Span(span));
        }
        Ok(Header { kind, offset, length, span: span as usize, packed, check: u32_at(bytes, 24) })
    }

    /// Compares the checksum of a whole frame, header included.
    pub fn verify(&self, frame: &[u8]) -> Result<(), FrameError> {
        if frame.len() == HEADER + self.length && check(frame) == self.check { Ok(()) } else { Err(FrameError::Check) }
    }
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn check(frame: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame[..24]);
    crc.update(&frame[HEADER..]);
    crc.finalize()
}

/// Writes the header into the first [`HEADER`] bytes of `frame`; the payload stands behind them already. `packed`:
/// the payload is compressed and stands for so many bytes.
pub fn seal(frame: &mut [u8], kind: Kind, offset: u64, packed: Option<usize>) {
    let length = frame.len() - HEADER;
    debug_assert!(kind.allows(length), "{kind:?} of {length} bytes");
    let span = packed.unwrap_or(if kind == Kind::Data { length } else { 0 });
    frame[..4].copy_from_slice(&MAGIC);
    frame[4] = VERSION;
    frame[5] = kind as u8;
    frame[6..8].copy_from_slice(&packed.map_or(0, |_| PACKED).to_be_bytes());
    frame[8..16].copy_from_slice(&offset.to_be_bytes());
    frame[16..20].copy_from_slice(&(length as u32).to_be_bytes());
    frame[20..24].copy_from_slice(&(span as u32).to_be_bytes());
    let check = check(frame);
    frame[24..28].copy_from_slice(&check.to_be_bytes());
}

/// A whole frame out of its parts.
pub fn encode(kind: Kind, offset: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER + payload.len()];
    frame[HEADER..].copy_from_slice(payload);
    seal(&mut frame, kind, offset, None);
    frame
}

/// A frame that comes in one piece, as a datagram does.
pub fn decode(bytes: &[u8]) -> Result<(Header, &[u8]), FrameError> {
    let start: &[u8; HEADER] = bytes.first_chunk().ok_or(FrameError::Short)?;
    let header = Header::parse(start)?;
    match bytes.len().cmp(&(HEADER + header.length)) {
        std::cmp::Ordering::Less => return Err(FrameError::Short),
        std::cmp::Ordering::Greater => return Err(FrameError::Trailing),
        std::cmp::Ordering::Equal => {}
    }
    header.verify(bytes)?;
    Ok((header, &bytes[HEADER..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = (Kind, u64, Vec<u8>)> {
        let payload = |range| proptest::collection::vec(any::<u8>(), range);
        prop_oneof![
            (Just(Kind::Message), any::<u64>(), payload(0..2000usize)),
            (Just(Kind::Data), 0..u64::MAX - 5000, payload(1..5000)),
            (Just(Kind::End), any::<u64>(), payload(DIGEST..DIGEST + 1)),
            (Just(Kind::Ack), any::<u64>(), payload(0..1)),
            (Just(Kind::Ping), any::<u64>(), payload(0..1)),
            (Just(Kind::Noise), any::<u64>(), payload(NOISE..NOISE + 1)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back((kind, offset, payload) in frames()) {
            let frame = encode(kind, offset, &payload);
            let (header, read) = decode(&frame).unwrap();
            prop_assert_eq!((header.kind, header.offset, read), (kind, offset, &payload[..]));
            prop_assert_eq!(header.span, if kind == Kind::Data { payload.len() } else { 0 });
        }

        #[test]
        fn a_packed_frame_says_what_it_stands_for(payload in proptest::collection::vec(any::<u8>(), 1..300),
            span in 0..CHUNK * 2) {
            let mut frame = vec![0; HEADER];
            frame.extend(&payload);
            seal(&mut frame, Kind::Data, 7, Some(span));
            match decode(&frame) {
                Ok((header, _)) => prop_assert_eq!((header.packed, header.span), (true, span)),
                Err(error) => prop_assert!(error == FrameError::Span(span as u32) && !(1..=CHUNK).contains(&span)),
            }
        }

        /// Any one changed byte is noticed, a cut and an addition too.
        #[test]
        fn a_mutated_frame_is_refused((kind, offset, payload) in frames(), at in any::<usize>(), by in 1u8..) {
            let frame = encode(kind, offset, &payload);
            let mut bent = frame.clone();
            let at = at % bent.len();
            bent[at] ^= by;
            prop_assert!(decode(&bent).is_err());
            prop_assert!(decode(&frame[..at]).is_err());
            bent = frame;
            bent.push(by);
            prop_assert_eq!(decode(&bent).unwrap_err(), FrameError::Trailing);
        }

        /// A header never claims more than the bound of its kind, whatever it is made of.
        #[test]
        fn no_header_claims_more_than_its_bound(mut bytes in any::<[u8; HEADER]>(), kind in 0u8..8) {
            bytes[..5].copy_from_slice(b"KARC\x02");
            bytes[5] = kind;
            bytes[6..8].copy_from_slice(&[0, kind & 1]);
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert!(header.length <= CHUNK && header.span <= CHUNK);
            }
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut frame = encode(Kind::Ping, 0, b"");
        frame[4] = 9;
        assert_eq!(decode(&frame).unwrap_err().to_string(), "speaks version 9, this is 2");
    }
}
