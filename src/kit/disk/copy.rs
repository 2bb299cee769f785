//! A table copied from disk to disk, to the byte: sectors, not entries.

use std::os::unix::fs::{FileExt, MetadataExt};

use super::table::{HYBRID, read_at};
use super::{Disk, Label, Layout, compare, label_gpt, label_gpt_moved, label_mbr};
use crate::host::{Fault, Result, format_size};

/// Of each stretch that no partition covers, this much is copied: loaders, boot records and firmware's own data lie
/// at its start; the rest is free space.
const MOST_OF_A_GAP: u64 = 16 << 20;

/// Bytes moved at once.
const PIECE: u64 = 1 << 20;

/// Copies everything of a disk that is no partition's content: boot code, table with all its IDs and flags, the gap
/// before the first partition, the chain of extended boot records, both copies of a GPT. Of a gap at most the first
/// 16 MiB. On a disk of another size the backup GPT moves to its end. What was written is read back and compared.
/// [`Layout::changes`] of the result says what could not be the same.
///
/// # Errors
/// `table.none`; `table.damaged`: mend it first; `table.same`: both are one disk; `table.space`: what does not fit,
/// or sectors of another size, before anything is written; those of [`Disk::guard`] of the target; `table.read`,
/// `table.write`; `table.verify`.
pub fn copy_table(from: &Disk, to: &Disk) -> Result<Layout> {
    let layout = from.table()?.ok_or_else(|| {
        Fault::new("table.none", format!("`{}` has no partition table to copy", from.path().display()))
    })?;
    refuse(from, to, &layout)?;
    to.guard()?;
    let mut changes = Vec::new();
    let unit = u64::from(layout.geometry.sector_size);
    let heads = heads(from, to, &layout, &mut changes)?;
    let stretches = without(stretches(from, to, &layout, &mut changes)?, &heads);
    let fail = |error| Fault::io("table.write", format_args!("copy the table to `{}`", to.path().display()), error);
    // Without its first sector the disk has no table: cut short, this leaves one that does not boot.
    to.file().write_all_at(&vec![0; unit as usize], 0).map_err(fail)?;
    // What an old GPT left at the end of the target.
    super::wipe::gpt(to.file(), to.geometry()).map_err(fail)?;
    for (start, end) in &stretches {
        each_piece(from, *start, *end, |at, bytes| {
            // What is there already is not written again: a sparse image stays sparse.
            if read_at(to.file(), at, bytes.len())? != bytes {
                to.file().write_all_at(bytes, at).map_err(fail)?;
            }
            Ok(())
        })?;
    }
    for (at, bytes) in &heads {
        to.file().write_all_at(bytes, *at).map_err(fail)?;
    }
    to.file().sync_all().map_err(fail)?;
    to.forget_cached();
    verify(from, to, &layout, &stretches, &heads)?;
    let mut written = to.written(&layout)?;
    written.changes = changes;
    Ok(written)
}

fn refuse(from: &Disk, to: &Disk, layout: &Layout) -> Result<()> {
    let id = |disk: &Disk| disk.file().metadata().map(|meta| (meta.dev(), meta.ino(), meta.rdev())).ok();
    let (source, target) = (from.path().display(), to.path().display());
    if id(from).is_some() && id(from) == id(to) {
        return Err(Fault::new("table.same", format!("`{source}` and `{target}` are the same disk")));
    }
    // A backup that stands in the middle, since the disk has grown, is no loss: the copy gets one at the end.
    let harmless = |warning: &&String| *warning == HYBRID || warning.contains(label_gpt::ELSEWHERE);
    if let Some(warning) = layout.warnings.iter().find(|warning| !harmless(warning)) {
        let message = format!("the table of `{source}` is damaged and not copied: {warning}");
        return Err(Fault::new("table.damaged", message).hint("`mend_table()` on that disk first"));
    }
    let (own, other) = (layout.geometry.sector_size, to.geometry().sector_size);
    if own != other {
        let message =
            format!("`{source}` has sectors of {own} bytes, `{target}` of {other}: no exact copy is possible");
        return Err(Fault::new("table.space", message).hint("`table.fit(disk)` turns one into the other"));
    }
    let (_, last) = to.geometry().usable(layout.label, layout.entries)?;
    let over = layout.partitions.iter().filter(|part| part.end() > last + 1);
    let over: Vec<String> = over
        .map(|part| {
            let by = format_size(layout.bytes(part.end() - last - 1));
            format!("partition {} ends {by} past its last usable sector", part.title())
        })
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    let size = format_size(to.size());
    let message = format!("the table of `{source}` does not fit `{target}` ({size}): {}", over.join("; "));
    Err(Fault::new("table.space", message).hint("`table.fit(disk)` makes it fit, where a partition can give"))
}

/// First sector and both GPT headers with their arrays, in the order in which they are written: the first sector last.
fn heads(from: &Disk, to: &Disk, layout: &Layout, changes: &mut Vec<String>) -> Result<Vec<(u64, Vec<u8>)>> {
    let unit = layout.geometry.sector_size as usize;
    let mut first = read_at(from.file(), 0, unit)?;
    let mut areas = Vec::new();
    if layout.label == Label::Gpt {
        let moved = from.geometry() != to.geometry();
        areas = label_gpt_moved::moved(from.file(), layout, to.geometry())?;
        if moved || layout.warnings.iter().any(|warning| warning.contains(label_gpt::ELSEWHERE)) {
            changes.push(format!("the backup GPT stands at the end of the disk: sector {}", to.geometry().sectors - 1));
        }
        if moved && label_gpt_moved::stretch_protective(&mut first, from.geometry(), to.geometry()) {
            changes.push("the protective MBR covers the disk as it is".into());
        }
    }
    areas.push((0, first));
    Ok(areas)
}

/// Stretches without what [`heads`] covers.
fn without(stretches: Vec<(u64, u64)>, heads: &[(u64, Vec<u8>)]) -> Vec<(u64, u64)> {
    heads.iter().fold(stretches, |stretches, (at, bytes)| {
        let end = at + bytes.len() as u64;
        let outside = |(start, stop): (u64, u64)| [(start, stop.min(*at)), (start.max(end), stop)];
        stretches.into_iter().flat_map(outside).filter(|(start, stop)| start < stop).collect()
    })
}

/// Stretches of bytes outside partitions' contents, behind the first sector.
fn stretches(from: &Disk, to: &Disk, layout: &Layout, changes: &mut Vec<String>) -> Result<Vec<(u64, u64)>> {
    let geometry = layout.geometry;
    let (_, last) = to.geometry().usable(layout.label, layout.entries)?;
    let mut taken: Vec<_> = layout.partitions.iter().filter(|part| !part.kind.is_extended()).collect();
    taken.sort_by_key(|part| part.start);
    let mut found = Vec::new();
    let mut at: u64 = 1;
    let end = last.min(layout.last_usable) + 1;
    let bounds = taken.iter().map(|part| (part.start, part.end())).chain([(end, end)]);
    for (start, next) in bounds {
        let most = at.saturating_add(MOST_OF_A_GAP / u64::from(geometry.sector_size));
        if start > most {
            let (size, copied) = (format_size(layout.bytes(start - at)), format_size(MOST_OF_A_GAP));
            changes.push(format!("of {size} free from sector {at} on the first {copied} were copied"));
        }
        if at < start {
            found.push((at, start.min(most)));
        }
        at = at.max(next);
    }
    if let Some(extended) = layout.extended() {
        let chain = label_mbr::chain(from.file(), geometry, extended)?;
        found.extend(chain.at.iter().map(|at| (*at, at + 1)));
    }
    Ok(found.iter().map(|(start, end)| (layout.bytes(*start), layout.bytes(*end))).collect())
}

fn each_piece(disk: &Disk, start: u64, end: u64, mut act: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let mut at = start;
    while at < end {
        let length = (end - at).min(PIECE);
        act(at, &read_at(disk.file(), at, length as usize)?)?;
        at += length;
    }
    Ok(())
}

fn verify(from: &Disk, to: &Disk, layout: &Layout, stretches: &[(u64, u64)], heads: &[(u64, Vec<u8>)]) -> Result<()> {
    let wrong = |at: u64| {
        let message = format!("`{}` does not hold what was written at byte {at}", to.path().display());
        Err(Fault::new("table.verify", message).hint("the disk or its controller is failing: replace it"))
    };
    for (start, end) in stretches {
        each_piece(from, *start, *end, |at, bytes| {
            let same = read_at(to.file(), at, bytes.len())? == bytes;
            if same { Ok(()) } else { wrong(at) }
        })?;
    }
    for (at, bytes) in heads {
        if read_at(to.file(), *at, bytes.len())? != *bytes {
            return wrong(*at);
        }
    }
    let Some(written) = to.table()? else { return wrong(0) };
    let differences = compare(&layout.clone().into(), &written.into());
    match differences.first() {
        None => Ok(()),
        Some(first) => {
            let message = format!("the copied table of `{}` reads otherwise: {first}", to.path().display());
            Err(Fault::new("table.verify", message))
        }
    }
}
