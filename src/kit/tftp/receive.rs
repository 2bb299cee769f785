//! A file on its way from a client.

use std::io::ErrorKind;
use std::time::Duration;

use super::agree::Agreed;
use super::line::{Heard, Line, Stop};
use super::netascii::Decoder;
use super::packet::{Packet, code};
use crate::kit::served::{Tally, Upload};

/// Gathered before a write, bytes.
const GATHERED: usize = 64 << 10;
/// How long a client is listened to after the end, in case the last acknowledgement was lost.
const DALLY: Duration = Duration::from_secs(2);

/// A file as it comes in.
struct Intake {
    upload: Upload,
    gathered: Vec<u8>,
    text: Option<Decoder>,
    limit: u64,
    bytes: u64,
}

impl Intake {
    fn failed(error: std::io::Error) -> Stop {
        match error.kind() {
            ErrorKind::FileTooLarge => Stop::Own(code::FULL, "the file is too large", error.to_string()),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Stop::Own(code::FULL, "disk full", error.to_string()),
            _ => Stop::Own(code::OTHER, "cannot store the file", error.to_string()),
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Stop> {
        self.bytes += data.len() as u64;
        if self.bytes > self.limit {
            let cause = format!("it has more than the limit of {} bytes", self.limit);
            return Err(Stop::Own(code::FULL, "the file is too large", cause));
        }
        match &mut self.text {
            Some(decoder) => self.gathered.extend(decoder.decode(data)),
            None => self.gathered.extend_from_slice(data),
        }
        if self.gathered.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.upload.write(&self.gathered).map_err(Intake::failed)?;
        self.gathered.clear();
        Ok(())
    }

    /// Safely on the disk, under its name.
    fn finish(mut self, said: Option<u64>) -> Result<(), Stop> {
        if let Some(said) = said.filter(|said| *said != self.bytes && self.text.is_none()) {
            let cause = format!("it ended after {} of {said} bytes", self.bytes);
            return Err(Stop::Own(code::OTHER, "the file is not whole", cause));
        }
        self.flush()?;
        self.upload.finish().map(drop).map_err(Intake::failed)
    }
}

/// Takes a whole file. The last block is acknowledged once the file is safely stored.
pub fn receive(
    line: &mut Line,
    upload: Upload,
    limit: u64,
    text: bool,
    agreed: &Agreed,
    tally: &mut Tally,
    mut moving: impl FnMut(),
) -> Result<(), Stop> {
    let text = text.then(Decoder::default);
    let mut intake = Intake { upload, gathered: Vec::new(), text, limit, bytes: 0 };
    // What is said again after silence.
    let mut last = match agreed.answer.is_empty() {
        true => Packet::Ack { block: 0 }.encode(),
        false => Packet::Options(agreed.answer.clone()).encode(),
    };
    line.send(&last)?;
    // Blocks taken, and how many of them were not yet acknowledged; whether a gap was told of already.
    let (mut taken, mut open, mut strayed) = (0u16, 0, false);
    loop {
        let end = match line.hear()? {
            Heard::Data(number, data) if number == taken.wrapping_add(1) && data.len() <= agreed.block => {
                intake.take(data)?;
                tally.add(data.len() as u64);
                data.len() < agreed.block
            }
            Heard::Data(..) if !strayed => {
                // A gap, or an old one whose acknowledgement was lost (RFC 1350, 2; RFC 7440, 4).
                (strayed, open) = (agreed.window > 1, 0);
                line.send(&last)?;
                line.is_late()?;
                continue;
            }
            Heard::Nothing => {
                (strayed, open) = (false, 0);
                line.send(&last)?;
                continue;
            }
            _ => {
                if line.is_late()? {
                    line.send(&last)?;
                }
                continue;
            }
        };
        line.moved();
        if taken == 0 {
            moving();
        }
        (taken, open, strayed) = (taken.wrapping_add(1), open + 1, false);
        last = Packet::Ack { block: taken }.encode();
        if end {
            intake.finish(agreed.size)?;
            line.send(&last)?;
            tally.finish();
            dally(line, &last);
            return Ok(());
        }
        if open >= agreed.window {
            open = 0;
            line.send(&last)?;
        }
    }
}

/// Says the last word again to a client that did not hear it.
fn dally(line: &mut Line, last: &[u8]) {
    let end = std::time::Instant::now() + DALLY;
    while std::time::Instant::now() < end {
        match line.hear() {
            Ok(Heard::Data(..)) => drop(line.send(last)),
            Ok(Heard::Ack(_)) => {}
            Ok(Heard::Nothing) | Err(_) => return,
        }
    }
}
