//! A connection of the chain and its two ends: plain, or sealed under the session's token.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::record::{Opening, Sealing};
use super::seal::{SealError, Sealed, accept, connect};

/// The receiving end of a connection.
pub struct Reader<R> {
    inner: R,
    opening: Option<Opening>,
}

/// The sending end of a connection.
pub struct Writer<W> {
    inner: W,
    sealing: Option<Sealing>,
}

pub type ReadEnd = Reader<OwnedReadHalf>;
pub type WriteEnd = Writer<OwnedWriteHalf>;

impl<R> Reader<R> {
    /// What comes over `inner`, sealed or not.
    pub fn new(inner: R, opening: Option<Opening>) -> Self {
        Reader { inner, opening }
    }
}

impl<W> Writer<W> {
    /// What goes over `inner`, sealed or not.
    pub fn new(inner: W, sealing: Option<Sealing>) -> Self {
        Writer { inner, sealing }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Reader { inner, opening } = &mut *self;
        match opening {
            Some(opening) => opening.poll_read(context, inner, out),
            None => Pin::new(inner).poll_read(context, out),
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Writer<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Writer { inner, sealing } = &mut *self;
        match sealing {
            Some(sealing) => sealing.poll_write(context, inner, slices),
            None => Pin::new(inner).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Writer { inner, sealing } = &mut *self;
        if let Some(sealing) = sealing {
            ready!(sealing.poll_flush(context, inner))?;
        }
        Pin::new(inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Writer { inner, sealing } = &mut *self;
        if let Some(sealing) = sealing {
            ready!(sealing.poll_flush(context, inner))?;
        }
        Pin::new(inner).poll_shutdown(context)
    }
}

/// A connection with both its ends.
pub struct Channel {
    pub reader: ReadEnd,
    pub writer: WriteEnd,
}

impl Channel {
    pub fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Channel { reader: Reader::new(reader, None), writer: Writer::new(writer, None) }
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.reader.inner.local_addr()
    }

    /// Its socket, where the bytes on it are those that are read and written here.
    pub fn socket(&self) -> Option<RawFd> {
        let sealed = self.reader.opening.is_some() || self.writer.sealing.is_some();
        (!sealed).then(|| self.reader.inner.as_ref().as_raw_fd())
    }

    /// Seals a connection that this side made.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn seal_connected(&mut self, key: &[u8; 32], silence: Duration) -> Result<(), SealError> {
        let sealed = connect(self, key, silence).await?;
        self.seal(sealed);
        Ok(())
    }

    /// Seals a connection that came in.
    ///
    /// # Errors
    /// As [`accept`].
    pub async fn seal_accepted(&mut self, key: &[u8; 32], silence: Duration) -> Result<(), SealError> {
        let sealed = accept(self, key, silence).await?;
        self.seal(sealed);
        Ok(())
    }

    fn seal(&mut self, (sealing, opening): Sealed) {
        (self.writer.sealing, self.reader.opening) = (Some(sealing), Some(opening));
    }
}

impl AsyncRead for Channel {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, out)
    }
}

impl AsyncWrite for Channel {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}
