//! Files that a distribution keeps compressed: kernel modules, firmware.

use std::io::Read;
use std::path::Path;

use crate::host::{Cancel, Fault, Result, format_size};
use crate::kit::stream::{self, Source};

/// The biggest module or firmware file that is taken; the biggest there are have some 50 MiB.
const MOST: u64 = 256 << 20;

/// A file's contents, unpacked as its ending says: `.xz` (by the program xz), `.zst`, `.gz` (by gzip), or as they are.
///
/// # Errors
/// `initramfs.read`: cannot be read, or unpacks to more than 256 MiB; `proc.missing`, `proc.failed`: of xz and gzip.
pub fn read_plain(path: &Path, cancel: &Cancel) -> Result<Vec<u8>> {
    let fail = |error: std::io::Error| Fault::io("initramfs.read", format_args!("read `{}`", path.display()), error);
    let too_big = || Fault::new("initramfs.read", format!("`{}` is bigger than {}", path.display(), format_size(MOST)));
    let mut data = Vec::new();
    let program = match path.extension().and_then(|end| end.to_str()) {
        Some("zst") => {
            let file = std::fs::File::open(path).map_err(fail)?;
            zstd::Decoder::new(file).and_then(|decoder| decoder.take(MOST + 1).read_to_end(&mut data)).map_err(fail)?;
            return if data.len() as u64 > MOST { Err(too_big()) } else { Ok(data) };
        }
        Some("xz") => "xz",
        Some("gz") => "gzip",
        _ => {
            let file = std::fs::File::open(path).map_err(fail)?;
            file.take(MOST + 1).read_to_end(&mut data).map_err(fail)?;
            return if data.len() as u64 > MOST { Err(too_big()) } else { Ok(data) };
        }
    };
    let mut source = stream::command(program, &["-dc".as_ref(), "--".as_ref(), path.as_os_str()])?;
    all(&mut source, cancel, MOST)?.ok_or_else(too_big)
}

/// All of a source; none when it is longer than `most`.
pub fn all(source: &mut dyn Source, cancel: &Cancel, most: u64) -> Result<Option<Vec<u8>>> {
    source.heed(cancel);
    let (mut data, mut buffer) = (Vec::new(), vec![0; 1 << 18]);
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(Some(data)),
            length => data.extend_from_slice(&buffer[..length]),
        }
        if data.len() as u64 > most {
            return Ok(None);
        }
    }
}
