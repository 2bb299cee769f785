//! Frames on a TCP connection.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::frame::{FrameError, HEADER, Header, Kind};
use super::message::Message;
use crate::host::format_duration;

/// Why a connection is of no use any more, in words that follow "vanished:" or "broke:".
#[derive(Debug)]
pub enum WireError {
    Io(io::Error),
    Frame(FrameError),
    Silent(Duration),
    /// A frame or message that has no place here.
    Unexpected,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Io(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => write!(f, "connection closed"),
                io::ErrorKind::ConnectionReset => write!(f, "connection reset"),
                io::ErrorKind::ConnectionRefused => write!(f, "connection refused"),
                _ => write!(f, "{error}"),
            },
            WireError::Frame(error) => write!(f, "{error}"),
            WireError::Silent(time) => write!(f, "silent for {}", format_duration(*time)),
            WireError::Unexpected => write!(f, "a message out of order"),
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        WireError::Io(error)
    }
}

impl From<FrameError> for WireError {
    fn from(error: FrameError) -> Self {
        WireError::Frame(error)
    }
}

/// What comes of `what` within `limit`; `None` when it is over. A machine that slept itself meanwhile, or was kept from work, waits
/// once more: it has not listened, so it cannot tell whether somebody was silent.
pub async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    loop {
        let since = Instant::now();
        match timeout(limit, &mut what).await {
            Ok(result) => return Some(result),
            Err(_) if since.elapsed() > limit + limit / 2 => {}
            Err(_) => return None,
        }
    }
}

/// Fills `buffer`. Each read may take `silence`, the whole of it longer.
pub async fn fill(
    stream: &mut (impl AsyncRead + Unpin),
    mut buffer: &mut [u8],
    silence: Duration,
) -> Result<(), WireError> {
    while !buffer.is_empty() {
        match within(silence, stream.read(buffer)).await {
            None => return Err(WireError::Silent(silence)),
            Some(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Some(Ok(read)) => buffer = &mut buffer[read..],
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A frame that is no data, for connections that carry none.
pub async fn read_small(
    stream: &mut (impl AsyncRead + Unpin),
    silence: Duration,
) -> Result<(Header, Vec<u8>), WireError> {
    let mut start = [0; HEADER];
    fill(stream, &mut start, silence).await?;
    let header = Header::parse(&start)?;
    if header.kind == Kind::Data {
        return Err(WireError::Unexpected);
    }
    let mut frame = vec![0; HEADER + header.length];
    frame[..HEADER].copy_from_slice(&start);
    fill(stream, &mut frame[HEADER..], silence).await?;
    header.verify(&frame)?;
    frame.drain(..HEADER);
    Ok((header, frame))
}

/// The next message; any other frame is out of order.
pub async fn read_message(stream: &mut (impl AsyncRead + Unpin), silence: Duration) -> Result<Message, WireError> {
    let (header, payload) = read_small(stream, silence).await?;
    match header.kind {
        Kind::Message => Message::parse(&payload).ok_or(WireError::Unexpected),
        _ => Err(WireError::Unexpected),
    }
}

pub async fn write_message(stream: &mut (impl AsyncWrite + Unpin), message: &Message) -> Result<(), WireError> {
    Ok(stream.write_all(&message.frame()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test]
    async fn who_slept_listens_once_more() {
        let limit = Duration::from_millis(200);
        assert_eq!(within(limit, std::future::pending::<()>()).await, None);
        let asleep = async {
            std::thread::sleep(limit * 3);
            sleep(limit / 4).await;
        };
        assert_eq!(within(limit, asleep).await, Some(()));
    }
}
