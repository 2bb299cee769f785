//! The reading end of a data connection: frames straight into their place, with as few turns as there can be.

use std::os::fd::RawFd;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::QUIET;
use super::frame::HEADER;
use super::socket::wake_for;
use super::wire::{WireError, within};

/// Frames smaller than this are not worth a call of the kernel for fewer wake-ups; no wait is for more than [`MOST`].
const WORTH: usize = 4 << 10;
const MOST: usize = 128 << 10;
/// What is there already when a wait for more was in vain comes within this.
const THERE: Duration = Duration::from_millis(20);

/// What follows a payload in the same read is the header of the next frame.
pub struct Frames<R> {
    stream: R,
    /// Where the kernel can be told how much is waited for: not to wake this machine for every packet.
    socket: Option<RawFd>,
    /// The number that it was told last.
    told: usize,
    start: [u8; HEADER],
    /// Bytes of `start` that are there already.
    got: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// `socket` must be that of the stream, and its bytes those that come out of it.
    pub fn new(stream: R, socket: Option<RawFd>) -> Self {
        Frames { stream, socket, told: 1, start: [0; HEADER], got: 0 }
    }

    /// The next header.
    pub async fn start(&mut self) -> Result<[u8; HEADER], WireError> {
        let mut start = self.start;
        self.fill(&mut start, self.got, HEADER).await?;
        self.got = 0;
        Ok(start)
    }

    /// Fills `space`, all but its last [`HEADER`] bytes: into these goes what is there of the next header.
    pub async fn payload(&mut self, space: &mut [u8]) -> Result<(), WireError> {
        let length = space.len() - HEADER;
        let got = self.fill(space, 0, length).await?;
        self.got = got - length;
        self.start[..self.got].copy_from_slice(&space[length..got]);
        Ok(())
    }

    /// Fills `space`, of which `got` bytes are there, up to `least` or beyond; gives how far. Each read may take
    /// [`QUIET`], the whole of it longer.
    async fn fill(&mut self, space: &mut [u8], mut got: usize, least: usize) -> Result<usize, WireError> {
        while got < least {
            self.expect(least - got);
            let mut read = within(QUIET, self.stream.read(&mut space[got..])).await;
            if read.is_none() && self.told > 1 {
                // Less than was waited for may have come: slow, but not silent.
                self.expect(1);
                read = within(THERE, self.stream.read(&mut space[got..])).await;
            }
            match read {
                None => return Err(WireError::Silent(QUIET)),
                Some(Ok(0)) => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
                Some(Ok(read)) => got += read,
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(got)
    }

    fn expect(&mut self, bytes: usize) {
        let bytes = if bytes < WORTH { 1 } else { bytes.min(MOST) };
        if let Some(socket) = self.socket.filter(|_| bytes != self.told) {
            wake_for(socket, bytes);
            self.told = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    /// In whatever pieces it comes: headers and payloads are where they belong.
    async fn through(payloads: Vec<usize>, pieces: Vec<usize>) {
        use std::os::fd::AsRawFd;
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (far, _) = door.accept().await.unwrap();
        let sent: Vec<u8> = (0..payloads.iter().map(|p| p + HEADER).sum()).map(|n: usize| (n % 251) as u8).collect();
        let all = sent.clone();
        let writer = tokio::spawn(async move {
            let (mut rest, mut piece) = (&all[..], pieces.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*piece.next().unwrap()));
                near.write_all(now).await.unwrap();
                tokio::task::yield_now().await;
                rest = later;
            }
            near
        });
        let socket = far.as_raw_fd();
        let (mut reader, mut come) = (Frames::new(far, Some(socket)), Vec::new());
        for payload in payloads {
            come.extend(reader.start().await.unwrap());
            let mut space = vec![0; payload + HEADER];
            reader.payload(&mut space).await.unwrap();
            come.extend(&space[..payload]);
        }
        assert!(come == sent);
        drop(writer.await.unwrap());
        assert!(matches!(reader.start().await, Err(WireError::Io(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn frames_come_in_any_pieces(payloads in proptest::collection::vec(1..100_000usize, 1..8),
            pieces in proptest::collection::vec(1..150_000usize, 1..8)) {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
                .block_on(through(payloads, pieces.into_iter().map(|piece| piece.max(500)).collect()));
        }
    }
}
