//! The archive, packed as the kernel unpacks it.

use std::path::PathBuf;

use super::image::Image;
use super::unpack::all;
use crate::host::{Cancel, Fault, Result};
use crate::kit::{fs, stream};

/// What the kernel has to know: CONFIG_RD_ZSTD (Linux 5.9 and later), CONFIG_RD_GZIP (all).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    /// By the program gzip, at its best.
    Gzip,
    /// Level, 1 to 19: beyond that the kernel would need more memory than small machines have.
    Zstd(i32),
}

impl Compression {
    pub const NAMES: [&'static str; 3] = ["zstd", "gzip", "none"];
}

/// One packed archive, filled up to four bytes: the kernel looks for the next one there.
pub fn pack(image: &Image, how: Compression, cancel: &Cancel) -> Result<Vec<u8>> {
    let fail = |error: std::io::Error| Fault::io("initramfs.pack", "pack the image", error);
    let mut packed = match how {
        Compression::None => image.write(Vec::new()).map_err(fail)?,
        Compression::Zstd(level) => {
            let mut encoder = zstd::Encoder::new(Vec::new(), level).map_err(fail)?;
            encoder.include_checksum(true).map_err(fail)?;
            image.write(encoder).and_then(zstd::Encoder::finish).map_err(fail)?
        }
        Compression::Gzip => {
            let dir = Scratch(fs::temp("kar-initramfs")?);
            let raw = dir.0.join("archive");
            std::fs::write(&raw, image.write(Vec::new()).map_err(fail)?).map_err(fail)?;
            // -n: without name and time, so that the same image is the same bytes.
            let args = ["-9nc".as_ref(), "--".as_ref(), raw.as_os_str()];
            all(&mut stream::command("gzip", &args)?, cancel, u64::MAX)?.unwrap_or_default()
        }
    };
    packed.resize(packed.len().next_multiple_of(4), 0);
    Ok(packed)
}

/// A folder that goes when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
