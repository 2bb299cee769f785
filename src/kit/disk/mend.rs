//! A damaged table made right: what stands wrong is cut, left out or written anew, and each of it told.

use std::collections::HashSet;

use uuid::Uuid;

use super::flaws::{flaws, overlaps};
use super::table::HYBRID;
use super::{Disk, Label, Layout, Table};
use crate::host::{Fault, Result};

impl Layout {
    /// What was noticed on reading, without what is no damage.
    pub fn damage(&self) -> Vec<&String> {
        self.warnings.iter().filter(|warning| *warning != HYBRID).collect()
    }

    /// The table as it would be without its damage; [`Layout::changes`] says what is different. Entries past the end
    /// are cut or left out, a broken chain of logical partitions ends where it broke, both copies of a GPT become
    /// alike. Of partitions that overlap only a person knows which is right: `drop` names those to leave out.
    ///
    /// # Errors
    /// `table.overlap`: partitions overlap, and `drop` names neither; `table.number`: `drop` names one that is not
    /// there; all of [`Layout::check`].
    pub fn mended(&self, drop: &[u32]) -> Result<Layout> {
        let mut layout = Layout { changes: Vec::new(), ..self.clone() };
        // Before each change the old warnings: they are what is written anew.
        let mut changes: Vec<String> = self.damage().iter().map(|warning| format!("made right: {warning}")).collect();
        for number in drop {
            if self.partition(*number).is_none() {
                let message = format!("there is no partition {number} to leave out");
                return Err(Fault::new("table.number", message));
            }
            changes.push(format!("partition {number} left out, as asked"));
        }
        layout.partitions.retain(|part| !drop.contains(&part.number));
        let (first, last) = layout.geometry.usable(layout.label, layout.entries)?;
        layout.last_usable = last;
        // A table may keep more free in front than it needs; one that claims too much is put right.
        if layout.first_usable < first || layout.first_usable > last {
            layout.first_usable = first;
        }
        cut(&mut layout, &mut changes);
        if layout.label == Label::Mbr {
            logical(&mut layout, &mut changes);
        }
        let mut seen = HashSet::new();
        for part in layout.partitions.iter_mut().filter(|part| part.uuid.is_some()) {
            if part.uuid.is_none_or(|uuid| uuid.is_nil() || !seen.insert(uuid)) {
                part.uuid = Some(Uuid::new_v4());
                changes.push(format!("partition {} gets a UUID of its own", part.title()));
            }
        }
        if let Some((one, other)) = overlaps(&layout).first() {
            let fault = super::layout::overlap(one, other);
            let hint = format!("say which one to leave out: `drop: [{}]` or `drop: [{}]`", one.number, other.number);
            return Err(fault.hint(hint));
        }
        layout.check()?;
        layout.warnings = flaws(&layout);
        layout.changes = changes;
        Ok(layout)
    }
}

impl Disk {
    /// Makes a damaged table right, see [`Layout::mended`]; an undamaged one is not written. Boot code stays.
    ///
    /// # Errors
    /// `table.none`, those of [`Layout::mended`] and of [`Disk::write_table`].
    pub fn mend_table(&self, drop: &[u32]) -> Result<Layout> {
        let none = || Fault::new("table.none", format!("`{}` has no partition table to mend", self.path().display()));
        let mended = self.table()?.ok_or_else(none)?.mended(drop)?;
        if mended.changes.is_empty() {
            return Ok(mended);
        }
        let changes = mended.changes.clone();
        Ok(Layout { changes, ..self.write_table(&Table::Layout(mended))? })
    }
}

/// Top-level partitions end with the disk.
fn cut(layout: &mut Layout, changes: &mut Vec<String>) {
    let (first, last) = (layout.first_usable, layout.last_usable);
    layout.partitions.retain_mut(|part| {
        if part.start < first || part.start > last {
            changes.push(format!("partition {} starts outside the usable sectors: left out", part.title()));
            return false;
        }
        if part.end() > last + 1 {
            part.size = last + 1 - part.start;
            changes.push(format!("partition {} ends with the disk now: {} sectors", part.title(), part.size));
        }
        true
    });
}

/// One extended partition, and logical ones inside it, counted without gaps.
fn logical(layout: &mut Layout, changes: &mut Vec<String>) {
    let outer = layout.extended().map(|part| (part.number, part.start, part.end()));
    layout.partitions.retain_mut(|part| {
        let title = part.title();
        if part.number <= 4 {
            let second = part.kind.is_extended() && outer.is_none_or(|(number, ..)| number != part.number);
            if second {
                changes.push(format!("partition {title} is a second extended one: left out"));
            }
            return !second;
        }
        let Some((.., end)) = outer.filter(|(_, start, end)| part.start > *start && part.start < *end) else {
            changes.push(format!("logical partition {title} lies outside the extended one: left out"));
            return false;
        };
        if part.end() > end {
            part.size = end - part.start;
            changes.push(format!("logical partition {title} ends with the extended one now: {} sectors", part.size));
        }
        true
    });
    for (next, part) in (5..).zip(layout.partitions.iter_mut().filter(|part| part.number > 4)) {
        if part.number != next {
            changes.push(format!("logical partition {} becomes {next}", part.title()));
            part.number = next;
        }
    }
}
