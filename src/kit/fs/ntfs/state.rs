//! Whether an NTFS was left as Windows leaves one that others may copy.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::probe::Read;
use super::field::{quad, short, unfixed};
use super::volume::{BITMAP, LOG, Volume};
use crate::host::{Fault, Result, format_size};

/// `$VOLUME_INFORMATION`: versions and flags.
const INFORMATION: u32 = 0x70;

/// The state of an NTFS. What ntfs-3g and Windows go by: the flag in `$Volume`, the header of `hiberfil.sys`, and whether
/// the log in `$LogFile` was closed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NtfsState {
    /// `3.1` since Windows XP.
    pub version: String,
    /// None of what `reasons` would name.
    pub clean: bool,
    /// Windows wants to check it: it was not unmounted, or damage was seen.
    pub dirty: bool,
    /// A Windows sleeps on it (hibernation or fast startup): what it holds in memory and this disk belong together.
    pub hibernated: bool,
    /// Changes stand in the log that are not in the files yet.
    pub unfinished_log: bool,
    /// Each of the above in words, and what else is wrong.
    pub reasons: Vec<String>,
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Bytes of the volume.
    pub size: u64,
    /// Bytes in clusters that are in use.
    pub used: u64,
}

/// Reads the state of an NTFS on a device or in an image file; nothing is changed, and it need not be sound.
///
/// # Errors
/// `fs.open`; `fs.kind`: it holds no NTFS; `fs.damaged`: its state cannot be told.
pub fn ntfs(device: &Path) -> Result<NtfsState> {
    with_volume(device, state)
}

/// As [`ntfs`], of bytes in memory; None where [`ntfs`] fails.
pub fn ntfs_bytes(bytes: &[u8]) -> Option<NtfsState> {
    let read = |offset: u64, length: usize| {
        let start = usize::try_from(offset).ok()?;
        bytes.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
    };
    let volume = Volume::open(&read)?;
    state(&volume, bytes.len() as u64)
}

/// Calls `look` with the volume on a device and the bytes it has room for.
pub(super) fn with_volume<T>(device: &Path, look: impl FnOnce(&Volume, u64) -> Option<T>) -> Result<T> {
    let shown = device.display();
    let fail = |error| Fault::io("fs.open", format_args!("look into `{shown}`"), error);
    let file = File::open(device).map_err(fail)?;
    let room = std::io::Seek::seek(&mut &file, std::io::SeekFrom::End(0)).map_err(fail)?;
    let read = |offset: u64, length: usize| {
        let end = offset.checked_add(length as u64)?;
        let mut buffer = vec![0; if end <= room { length } else { return None }];
        file.read_exact_at(&mut buffer, offset).ok().map(|()| buffer)
    };
    let read: &Read<'_> = &read;
    if read(0, 512).is_none_or(|boot| boot[3..11] != *b"NTFS    ") {
        return Err(Fault::new("fs.kind", format!("`{shown}` holds no NTFS")));
    }
    Volume::open(read).as_ref().and_then(|volume| look(volume, room)).ok_or_else(|| {
        Fault::new("fs.damaged", format!("the NTFS on `{shown}` is damaged: its state cannot be told"))
            .hint("let Windows repair it: `chkdsk /f`; `ntfsfix -n` tells more")
    })
}

fn state(volume: &Volume, room: u64) -> Option<NtfsState> {
    let information = volume.of_volume(INFORMATION)?;
    let (major, minor, flags) = (information.get(8)?, information.get(9)?, short(&information, 10)?);
    let dirty = flags & 1 != 0;
    let hibernated = hibernated(volume)?;
    let unfinished_log = !log_is_closed(volume)?;
    let mut reasons = Vec::new();
    if hibernated {
        reasons.push("Windows is hibernated on it (a sleeping system in hiberfil.sys)".to_string());
    }
    if dirty {
        reasons.push("it is marked dirty (it was not unmounted, or is damaged)".into());
    }
    if unfinished_log {
        reasons.push("its log holds changes that were not carried out (Windows did not shut down)".into());
    }
    if volume.size > room {
        let (has, wants) = (format_size(room), format_size(volume.size));
        reasons.push(format!("it ends before its end: {wants} in a place of {has}"));
    }
    Some(NtfsState {
        version: format!("{major}.{minor}"),
        clean: reasons.is_empty(),
        dirty,
        hibernated,
        unfinished_log,
        reasons,
        cluster_size: volume.cluster,
        size: volume.size,
        // A size beyond its place is not to be believed.
        used: if volume.size > room { 0 } else { used(volume)? },
    })
}

/// The header of the file that Windows sleeps in, as ntfs-3g's `ntfs_volume_check_hiberfile` reads it.
fn hibernated(volume: &Volume) -> Option<bool> {
    let Some(number) = volume.in_root("hiberfil.sys").ok()? else { return Some(false) };
    let header = volume.data(number)?;
    if header.size() < 4096 {
        // Of a volume that Windows only uses: its system sleeps elsewhere.
        return Some(true);
    }
    let magic = volume.bytes(&header, 0, 4)?;
    Some(magic.eq_ignore_ascii_case(b"hibr"))
}

const LOG_PAGE: usize = 4096;

fn log_is_closed(volume: &Volume) -> Option<bool> {
    let log = volume.data(LOG)?;
    Some(closed([0, LOG_PAGE as u64].map(|offset| volume.bytes(&log, offset, LOG_PAGE).unwrap_or_default())))
}

/// As ntfs-3g's `ntfs_is_logfile_clean`: the newer of the two restart pages says whether anybody has the log open.
pub(super) fn closed(pages: [Vec<u8>; 2]) -> bool {
    const NOBODY: usize = 0xffff;
    const IS_CLEAN: usize = 2;
    // An emptied log, as ntfs-3g and mkntfs leave it.
    if pages.iter().all(|page| page.iter().all(|byte| *byte == 0xff)) {
        return true;
    }
    let read = |page: Vec<u8>| {
        let page = if page.starts_with(b"CHKD") { unfixed(b"CHKD", page)? } else { unfixed(b"RSTR", page)? };
        let area = page.get(short(&page, 24)?..)?;
        Some((quad(area, 0)?, short(area, 12)? == NOBODY || short(area, 14)? & IS_CLEAN != 0))
    };
    pages.into_iter().filter_map(read).max().is_some_and(|(_, closed)| closed)
}

fn used(volume: &Volume) -> Option<u64> {
    let bits = volume.data(BITMAP)?;
    let length = volume.clusters.div_ceil(8);
    let mut count = 0u64;
    let mut at = 0;
    while at < length {
        let piece = volume.bytes(&bits, at, usize::try_from(length - at).unwrap_or(usize::MAX).min(1 << 20))?;
        count += piece.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
        at += piece.len().max(1) as u64;
    }
    // Bits behind the last cluster are set.
    let behind = length * 8 - volume.clusters;
    let last = volume.bytes(&bits, length.checked_sub(1)?, 1)?;
    let extra = (last.first()?.leading_ones() as u64).min(behind);
    count.saturating_sub(extra).checked_mul(volume.cluster)
}
