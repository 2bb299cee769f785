//! Compression on the wire: once at the source, forwarded as it is, expanded only into each node's own sink.

use std::time::{Duration, Instant};

use zstd::bulk::Compressor;

use super::frame::CHUNK;
use crate::host::{Fault, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    Off,
    /// zstd at this level.
    Level(i32),
    /// As long as the network is what all wait for, and where it makes the stream smaller.
    Auto,
}

/// Bytes of the stream in one packed frame: small enough that a slow network passes it on soon.
pub const SPAN: usize = 128 << 10;
/// What saves less than a tenth is sent as it is, and is tried again only after so many frames.
const SKIP: u32 = 15;
/// How often `auto` looks who waits for whom, and how far it goes.
const LOOK: Duration = Duration::from_millis(50);
const HIGHEST: i32 = 3;

pub struct Packer {
    mode: Compress,
    /// 0: not at all.
    level: i32,
    compressor: Option<(i32, Compressor<'static>)>,
    skip: u32,
    since: Instant,
    waited: Duration,
}

impl Packer {
    pub fn new(mode: Compress) -> Self {
        let level = match mode {
            Compress::Off => 0,
            Compress::Level(level) => level,
            Compress::Auto => 1,
        };
        Packer { mode, level, compressor: None, skip: 0, since: Instant::now(), waited: Duration::ZERO }
    }

    /// Whether the next frame is to be tried.
    pub fn wants(&mut self) -> bool {
        let skipped = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        self.level != 0 && !skipped
    }

    /// Told how long there was no room for the last frame: then the network or a sink is slower than this.
    pub fn waited(&mut self, time: Duration) {
        self.waited += time;
        let elapsed = self.since.elapsed();
        if self.mode != Compress::Auto || elapsed < LOOK {
            return;
        }
        let share = self.waited.as_secs_f64() / elapsed.as_secs_f64();
        if share > 0.5 {
            self.level = (self.level + 1).min(HIGHEST);
        } else if share < 0.1 {
            self.level = (self.level - 1).max(0);
        }
        (self.since, self.waited) = (Instant::now(), Duration::ZERO);
    }

    /// The packed form; `None` where that is hardly smaller.
    ///
    /// # Errors
    /// `chain.pack`: no such level, or no memory.
    pub fn pack(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>> {
        let fail = |error| Fault::io("chain.pack", format_args!("compress at level {}", self.level), error);
        if self.compressor.as_ref().is_none_or(|(level, _)| *level != self.level) {
            self.compressor = Some((self.level, Compressor::new(self.level).map_err(fail)?));
        }
        let Some((_, compressor)) = &mut self.compressor else { return Ok(None) };
        let packed = compressor.compress(data).map_err(fail)?;
        if packed.len() >= data.len() / 10 * 9 || packed.len() > CHUNK {
            self.skip = SKIP;
            return Ok(None);
        }
        Ok(Some(packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::chain::unpack::expand;

    #[test]
    fn what_is_packed_expands_and_noise_is_left_alone() {
        let mut packer = Packer::new(Compress::Level(3));
        let text = b"ka-deploy ".repeat(1000);
        let packed = packer.pack(&text).unwrap().unwrap();
        assert_eq!(expand(&packed, text.len()).unwrap(), text);
        let mut noise = vec![0; 20_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert!(packer.wants() && packer.pack(&noise).unwrap().is_none());
        assert_eq!((0..20).filter(|_| packer.wants()).count(), 5);
        assert!(!Packer::new(Compress::Off).wants());
    }

    #[test]
    fn auto_follows_who_waits() {
        let mut packer = Packer::new(Compress::Auto);
        let mut after = |share: f64| {
            packer.since = Instant::now() - LOOK;
            packer.waited(LOOK.mul_f64(share));
            packer.level
        };
        assert_eq!([after(0.0), after(0.0), after(0.9), after(0.9), after(0.9), after(0.9)], [0, 0, 1, 2, 3, 3]);
    }
}
