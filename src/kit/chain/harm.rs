//! Failures on purpose, for rehearsals of them: files in a folder say what is to go wrong at a node, while it runs.
//!
//! ```text
//! corrupt   the next frame that comes in is damaged, past all checksums of the network; the file is removed
//! slow      holds the MB/s that its sink takes
//! wedge     its sink takes nothing, as long as the file is there
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{Cancel, Fault, Result};
use crate::kit::stream::{Delivered, Sink};

const LOOK: Duration = Duration::from_millis(20);

/// Damages a frame where that was asked for.
pub fn damage(folder: &Path, payload: &mut [u8]) {
    let file = folder.join("corrupt");
    if file.exists()
        && std::fs::remove_file(file).is_ok()
        && let Some(byte) = payload.last_mut()
    {
        *byte ^= 0x10;
    }
}

/// A sink that is slow or stuck where that was asked for.
pub struct Harmed {
    sink: Box<dyn Sink>,
    folder: PathBuf,
    cancel: Cancel,
}

impl Harmed {
    pub fn new(sink: Box<dyn Sink>, folder: PathBuf) -> Self {
        Harmed { sink, folder, cancel: Cancel::new() }
    }
}

/// How long so many bytes take, by what the file says.
fn pace(text: &str, bytes: usize) -> Duration {
    let rate = text.trim().parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64((bytes as f64 / 1e6 / rate).min(60.0)))
}

impl Sink for Harmed {
    fn describe(&self) -> String {
        self.sink.describe()
    }

    fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
        self.sink.heed(cancel);
    }

    fn expect(&mut self, bytes: u64) -> Result<()> {
        self.sink.expect(bytes)
    }

    fn can_seek(&self) -> bool {
        self.sink.can_seek()
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.sink.seek(position)
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        while self.folder.join("wedge").exists() && !self.cancel.is_set() {
            std::thread::sleep(LOOK);
        }
        if let Ok(text) = std::fs::read_to_string(self.folder.join("slow")) {
            std::thread::sleep(pace(&text, data.len()));
        }
        self.sink.write(data)
    }

    fn finish(&mut self) -> Result<Delivered> {
        self.sink.finish()
    }

    fn abort(&mut self, why: &Fault) {
        self.sink.abort(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_what_goes_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let mut payload = [7; 3];
        damage(folder.path(), &mut payload);
        assert_eq!(payload, [7; 3]);
        std::fs::write(folder.path().join("corrupt"), "").unwrap();
        damage(folder.path(), &mut payload);
        damage(folder.path(), &mut payload);
        assert_eq!(payload, [7, 7, 0x17], "once");
        assert_eq!(pace("2\n", 1_000_000), Duration::from_millis(500));
        for odd in ["", "-1", "0", "nan", "inf", "x"] {
            assert_eq!(pace(odd, 1 << 20), Duration::ZERO, "{odd}");
        }
    }
}
