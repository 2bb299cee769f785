//! A file on its way to a client.

use super::agree::Agreed;
use super::line::{Heard, Line, Stop};
use super::packet::{Packet, code};
use crate::kit::served::{Body, Tally};

/// Read ahead of a client, bytes: one system call for many small blocks.
const AHEAD: usize = 64 << 10;

/// A part of the file in memory.
struct Ahead<'a> {
    body: &'a Body,
    buffer: Vec<u8>,
    start: u64,
}

impl Ahead<'_> {
    /// `length` bytes from `at` on.
    fn part(&mut self, at: u64, length: usize) -> Result<&[u8], Stop> {
        let held = at >= self.start && at + length as u64 <= self.start + self.buffer.len() as u64;
        if !held {
            let wanted = AHEAD.max(length).min(usize::try_from(self.body.size() - at).unwrap_or(usize::MAX));
            self.buffer.resize(wanted, 0);
            let failed = |cause: String| Stop::Own(code::OTHER, "cannot read the file", cause);
            let read = self.body.read_at(&mut self.buffer, at).map_err(|error| failed(error.to_string()))?;
            (self.start, self.buffer) = (at, std::mem::take(&mut self.buffer));
            self.buffer.truncate(read);
            if read < length {
                return Err(failed("the file became shorter while it was sent".into()));
            }
        }
        let from = (at - self.start) as usize;
        Ok(&self.buffer[from..from + length])
    }
}

/// Sends all of `body`. `moving` is told once, when the client has taken the first of it.
pub fn send(
    line: &mut Line,
    body: &Body,
    agreed: &Agreed,
    tally: &mut Tally,
    mut moving: impl FnMut(),
) -> Result<(), Stop> {
    let (size, block) = (body.size(), agreed.block as u64);
    // The last one is shorter than a block, and may be empty.
    let blocks = size / block + 1;
    let length = |number: u64| block.min(size - (number - 1) * block) as usize;
    let mut ahead = Ahead { body, buffer: Vec::new(), start: 0 };
    if !agreed.answer.is_empty() {
        let options = Packet::Options(agreed.answer.clone()).encode();
        line.send(&options)?;
        loop {
            match line.hear()? {
                Heard::Ack(0) => break,
                Heard::Nothing => line.send(&options)?,
                Heard::Ack(_) | Heard::Data(..) => {
                    if line.is_late()? {
                        line.send(&options)?;
                    }
                }
            }
        }
        line.moved();
        moving();
    }
    // Blocks acknowledged, and blocks sent; whether a repeated acknowledgement was answered already.
    let (mut taken, mut sent, mut strayed) = (0, 0, false);
    loop {
        let end = blocks.min(taken + agreed.window);
        while sent < end {
            sent += 1;
            line.send_block(sent as u16, ahead.part((sent - 1) * block, length(sent))?)?;
        }
        if sent < blocks {
            // While the client is at work on these.
            ahead.part(sent * block, length(sent + 1))?;
        }
        match line.hear()? {
            Heard::Ack(number) => {
                let step = u64::from(number.wrapping_sub(taken as u16));
                if step == 0 && agreed.window > 1 && !strayed {
                    // The first of the window was lost (RFC 7440, 4).
                    (strayed, sent) = (true, taken);
                } else if (1..=sent - taken).contains(&step) {
                    let before = taken;
                    taken += step;
                    // Less than was sent: the rest is sent anew from there.
                    (sent, strayed) = (taken, false);
                    tally.add((taken * block).min(size) - (before * block).min(size));
                    line.moved();
                    if before == 0 {
                        moving();
                    }
                    if taken == blocks {
                        return Ok(());
                    }
                } else if line.is_late()? {
                    // An old one, as the network doubles them: answered it would double every block from here on.
                    sent = taken;
                }
            }
            Heard::Nothing => (sent, strayed) = (taken, false),
            Heard::Data(..) => {
                if line.is_late()? {
                    sent = taken;
                }
            }
        }
    }
}
