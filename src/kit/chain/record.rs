//! What travels on a sealed connection: records, two bytes of length, big-endian, then so many bytes of ciphertext with its
//! tag. Both directions change their key after [`REKEY`] records. The keys come from the handshake ([`super::seal`]).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use snow::StatelessTransportState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Records under one key: 4 GiB at most, a hundredth of what is safe for AES-GCM.
const REKEY: u64 = 1 << 16;
const TAG: usize = 16;
/// Most bytes of a record, and of what it holds.
const RECORD: usize = 65535;
const CONTENT: usize = RECORD - TAG;
/// Bytes sealed for one write, and read by one.
const BATCH: usize = 256 << 10;
const READ: usize = 2 * (RECORD + 2);

/// Of both directions; the halves of a connection share them.
pub(super) type Keys = Arc<RwLock<StatelessTransportState>>;

/// A key that both sides take a new one from when its time is over.
fn rekeyed(nonce: u64) -> bool {
    nonce > 0 && nonce.is_multiple_of(REKEY)
}

/// The sending half's cipher. A write that was given up half done leaves the connection of no use, as it does for a plain one.
pub struct Sealing {
    keys: Keys,
    nonce: u64,
    /// Records that wait to be written, from `at` on; they stand for `taken` bytes of the one who writes.
    out: Vec<u8>,
    at: usize,
    taken: usize,
}

impl Sealing {
    pub(super) fn new(keys: Keys) -> Self {
        Sealing { keys, nonce: 0, out: Vec::new(), at: 0, taken: 0 }
    }

    /// The next record.
    fn seal(&mut self, data: &[u8]) -> io::Result<()> {
        if rekeyed(self.nonce) {
            self.keys.write().unwrap_or_else(PoisonError::into_inner).rekey_outgoing();
        }
        let from = self.out.len();
        self.out.resize(from + 2 + data.len() + TAG, 0);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let length = keys.write_message(self.nonce, data, &mut self.out[from + 2..]).map_err(io::Error::other)?;
        self.out[from..from + 2].copy_from_slice(&(length as u16).to_be_bytes());
        self.nonce += 1;
        Ok(())
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        inner: &mut (impl AsyncWrite + Unpin),
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            for data in slices.iter().flat_map(|slice| slice.chunks(CONTENT)) {
                if self.taken > 0 && self.taken + data.len() > BATCH {
                    break;
                }
                self.seal(data)?;
                self.taken += data.len();
            }
        }
        ready!(self.poll_flush(context, inner))?;
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    pub(super) fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        inner: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.at < self.out.len() {
            match ready!(Pin::new(&mut *inner).poll_write(context, &self.out[self.at..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.at += written,
            }
        }
        self.out.clear();
        self.at = 0;
        Poll::Ready(Ok(()))
    }
}

/// The receiving half's cipher.
pub struct Opening {
    keys: Keys,
    nonce: u64,
    /// What came and is not opened yet: `raw[at..end]`.
    raw: Vec<u8>,
    at: usize,
    end: usize,
    /// What was opened and did not fit: from `given` on.
    plain: Vec<u8>,
    given: usize,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the encryption does not fit: {what}"))
}

impl Opening {
    pub(super) fn new(keys: Keys) -> Self {
        Opening { keys, nonce: 0, raw: vec![0; READ], at: 0, end: 0, plain: Vec::new(), given: 0 }
    }

    /// Length of the next record's ciphertext, once all of it is here.
    fn whole(&self) -> io::Result<Option<usize>> {
        let there = &self.raw[self.at..self.end];
        let Some(start) = there.first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*start));
        match length {
            // An empty one would look like the end.
            0..=TAG => Err(damaged("a record of no bytes")),
            _ => Ok((there.len() >= 2 + length).then_some(length)),
        }
    }

    fn open(&mut self, length: usize, out: &mut ReadBuf<'_>) -> io::Result<()> {
        if rekeyed(self.nonce) {
            self.keys.write().unwrap_or_else(PoisonError::into_inner).rekey_incoming();
        }
        let record = &self.raw[self.at + 2..self.at + 2 + length];
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let bad = |_| damaged("a record was changed on the way, or left out");
        // With room for the tag it is opened where it is wanted.
        if out.remaining() >= length {
            let opened = keys.read_message(self.nonce, record, out.initialize_unfilled_to(length)).map_err(bad)?;
            out.advance(opened);
        } else {
            self.plain.resize(length, 0);
            let opened = keys.read_message(self.nonce, record, &mut self.plain);
            // What does not fit its tag is given to nobody.
            self.plain.truncate(*opened.as_ref().unwrap_or(&0));
            self.given = 0;
            opened.map_err(bad)?;
        }
        self.nonce += 1;
        self.at += 2 + length;
        Ok(())
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        inner: &mut (impl AsyncRead + Unpin),
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        loop {
            let waiting = &self.plain[self.given..];
            let length = waiting.len().min(out.remaining());
            out.put_slice(&waiting[..length]);
            self.given += length;
            if out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match self.whole() {
                Ok(Some(length)) => match self.open(length, out) {
                    Ok(()) => continue,
                    // What was right goes first; it fails again then.
                    Err(_) if out.filled().len() > before => return Poll::Ready(Ok(())),
                    Err(error) => return Poll::Ready(Err(error)),
                },
                _ if out.filled().len() > before => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(None) => {}
            }
            self.raw.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
            let mut space = ReadBuf::new(&mut self.raw[self.end..]);
            ready!(Pin::new(&mut *inner).poll_read(context, &mut space))?;
            match space.filled().len() {
                0 if self.end == 0 => return Poll::Ready(Ok(())),
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                read => self.end += read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::channel::{Reader, Writer};
    use super::super::seal::{Sealed, accept, connect};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// Both sides' ciphers after a handshake in memory.
    fn pair() -> (Sealed, Sealed) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut a, mut b) = tokio::io::duplex(4096);
            let (here, there) = tokio::join!(connect(&mut a, &[7; 32], LIMIT), accept(&mut b, &[7; 32], LIMIT));
            (here.unwrap(), there.unwrap())
        })
    }

    /// All records that these writes make.
    fn records(sealing: Sealing, writes: &[Vec<u8>]) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut records = Vec::new();
            let mut writer = Writer::new(&mut records, Some(sealing));
            for data in writes {
                writer.write_all(data).await.unwrap();
            }
            records
        })
    }

    /// What is read of these records, up to the first error.
    fn read(opening: Opening, records: &[u8], step: usize) -> (Vec<u8>, io::Result<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut reader, mut all) = (Reader::new(records, Some(opening)), Vec::new());
            let mut buffer = vec![0; step];
            loop {
                match reader.read(&mut buffer).await {
                    Ok(0) => return (all, Ok(())),
                    Ok(length) => all.extend(&buffer[..length]),
                    Err(error) => return (all, Err(error)),
                }
            }
        })
    }

    fn writes() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let data = prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..300),
            (CONTENT - 2..CONTENT * 2 + 2).prop_map(|length| vec![length as u8; length]),
        ];
        proptest::collection::vec(data, 1..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_sealed_opens(writes in writes(), step in prop_oneof![1..40usize, 60_000..200_000usize]) {
            let ((sealing, _), (_, opening)) = pair();
            let records = records(sealing, &writes);
            let (all, end) = read(opening, &records, step);
            prop_assert_eq!(all, writes.concat());
            prop_assert!(end.is_ok());
        }

        /// A changed byte, a cut and a doubled record never give other bytes than those that were sent, and never an end.
        #[test]
        fn what_was_touched_is_noticed(writes in writes(), at in any::<usize>(), by in 1u8.., step in 1..100_000usize) {
            let sent = writes.concat();
            for touch in 0..3 {
                let ((sealing, _), (_, opening)) = pair();
                let mut records = records(sealing, &writes);
                let at = at % records.len();
                match touch {
                    0 => records[at] ^= by,
                    1 if at > 0 => records.truncate(at),
                    _ => records = [&records[..], &records[..]].concat(),
                }
                let (all, end) = read(opening, &records, step);
                prop_assert!(sent.starts_with(&all));
                // A cut between two records is one of the connection: what stands above has to see to it.
                prop_assert!(end.is_err() || (touch == 1 && all.len() < sent.len()));
            }
        }
    }

    #[test]
    fn keys_are_changed_on_both_sides_alike() {
        let ((sealing, _), (_, opening)) = pair();
        let writes: Vec<Vec<u8>> = (0..REKEY + 3).map(|n| vec![n as u8]).collect();
        let (all, end) = read(opening, &records(sealing, &writes), 100);
        assert_eq!(all, writes.concat());
        end.unwrap();
    }
}
