//! From a source to a sink, on two threads.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use super::{Delivered, Sink, Source};
use crate::host::{Cancel, Effect, Fault, Meter, Planned, Result, Worker};

/// Bytes moved at once.
pub const BLOCK: usize = 1 << 20;

/// What a copy did.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    /// Bytes read from the source, all of them taken by the sink.
    pub bytes: u64,
    pub seconds: f64,
    /// BLAKE3 of those bytes, hexadecimal.
    pub digest: String,
    pub delivered: Delivered,
}

impl Planned for Report {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        let digest = blake3::hash(b"").to_hex().to_string();
        Ok(Report { bytes: 0, seconds: 0.0, digest, delivered: Delivered::default() })
    }
}

/// What the reading thread hands over.
enum Piece {
    Data(Vec<u8>),
    End { digest: String },
    Failed(Fault),
}

/// Copies all of `source` into `sink` and ends the sink well, or aborts it. One thread reads and hashes, the calling
/// one writes, with two blocks in between. `meter` counts what the sink took.
///
/// # Errors
/// The source's fault, the sink's, or `host.stopped` and `host.late` when `cancel` is set or the worker's deadline
/// passes. After any of them the sink was aborted.
pub fn copy(source: &mut dyn Source, sink: &mut dyn Sink, meter: &Meter, cancel: &Cancel) -> Result<Report> {
    let start = Instant::now();
    // Ends the reader's waits when the sink fails.
    let over = cancel.child();
    source.heed(&over);
    sink.heed(&over);
    if let Some(bytes) = source.size()
        && let Err(fault) = sink.expect(bytes)
    {
        sink.abort(&fault);
        return Err(fault);
    }
    let (pieces, arriving) = sync_channel(1);
    let (give_back, blanks) = channel();
    for _ in 0..3 {
        let _ = give_back.send(Vec::new());
    }
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new()
            .name("stream source".into())
            .spawn_scoped(scope, move || read_all(source, &pieces, &blanks))
            .map_err(|error| Fault::io("stream.thread", "start a thread", error));
        let result = reader.and_then(|_| write_all(sink, meter, &over, &arriving, &give_back));
        if let Err(fault) = &result {
            over.set();
            sink.abort(fault);
        }
        // The reader may wait for a block or for room.
        drop((arriving, give_back));
        let (bytes, digest) = result?;
        let delivered = sink.finish()?;
        Ok(Report { bytes, seconds: start.elapsed().as_secs_f64(), digest, delivered })
    })
}

fn read_all(source: &mut dyn Source, pieces: &SyncSender<Piece>, blanks: &Receiver<Vec<u8>>) {
    let mut hash = blake3::Hasher::new();
    while let Ok(mut block) = blanks.recv() {
        block.resize(BLOCK, 0);
        let (filled, ended) = fill(source, &mut block);
        hash.update(&block[..filled]);
        block.truncate(filled);
        if filled > 0 && pieces.send(Piece::Data(block)).is_err() {
            return;
        }
        let last = match ended {
            Ok(false) => continue,
            Ok(true) => Piece::End { digest: hash.finalize().to_hex().to_string() },
            Err(fault) => Piece::Failed(fault),
        };
        // Nobody listens any more: the sink failed first, and that is told.
        let _ = pieces.send(last);
        return;
    }
}

/// Fills the block as far as the source goes; with it, whether that was the end.
fn fill(source: &mut dyn Source, block: &mut [u8]) -> (usize, Result<bool>) {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => return (filled, Ok(true)),
            Ok(count) => filled += count,
            Err(fault) => return (filled, Err(fault)),
        }
    }
    (filled, Ok(false))
}

fn write_all(
    sink: &mut dyn Sink,
    meter: &Meter,
    over: &Cancel,
    arriving: &Receiver<Piece>,
    give_back: &Sender<Vec<u8>>,
) -> Result<(u64, String)> {
    let late = Worker::current().deadline;
    let mut bytes = 0;
    loop {
        if over.is_set() {
            return Err(Fault::stopped());
        }
        if late.is_some_and(|at| Instant::now() >= at) {
            return Err(Fault::late());
        }
        match arriving.recv_timeout(Duration::from_millis(50)) {
            Ok(Piece::Data(block)) => {
                sink.write(&block)?;
                bytes += block.len() as u64;
                meter.advance(block.len() as u64);
                let _ = give_back.send(block);
            }
            Ok(Piece::End { digest }) => return Ok((bytes, digest)),
            Ok(Piece::Failed(fault)) => return Err(fault),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Fault::new("kar.panic", "a source panicked: this is a bug in kar"));
            }
        }
    }
}
