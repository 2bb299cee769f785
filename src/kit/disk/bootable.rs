//! The mark that a BIOS boot code looks for: which partition it starts.

use super::layout::BOOTABLE;
use super::{Disk, Label, Layout, label_gpt, label_mbr};
use crate::host::{Fault, Result};

impl Disk {
    /// Marks one partition as the one to start, and no other: the active flag of an MBR, the attribute "legacy BIOS
    /// bootable" of a GPT. Nothing moves, so a disk in use may be marked, as boot loaders are installed from the
    /// running system. A table that says so already is not written.
    ///
    /// # Errors
    /// `table.none`, `table.damaged`; `table.number`: no such partition; `disk.readonly`, `table.write`,
    /// `table.verify`.
    pub fn set_bootable(&self, number: u32) -> Result<Layout> {
        self.guard_write()?;
        let shown = self.path().display();
        let none = || Fault::new("table.none", format!("`{shown}` has no partition table"));
        let mut layout = self.table()?.ok_or_else(none)?;
        if let Some(damage) = layout.damage().first() {
            let message = format!("the table of `{shown}` is damaged: {damage}");
            return Err(Fault::new("table.damaged", message).hint("`disk.mend_table()` first"));
        }
        if layout.partition(number).is_none() {
            let message = format!("`{shown}` has no partition {number} to mark as the one to start");
            return Err(Fault::new("table.number", message));
        }
        let before = layout.partitions.clone();
        for part in &mut layout.partitions {
            part.attrs = if part.number == number { part.attrs | BOOTABLE } else { part.attrs & !BOOTABLE };
        }
        if layout.partitions == before {
            return Ok(layout);
        }
        let boot = super::table::read_at(self.file(), 0, 512)?;
        let differs = |number: &u32| layout.partition(*number).map(|part| part.attrs);
        let logical = before.iter().any(|part| part.number > 4 && differs(&part.number) != Some(part.attrs));
        let mut areas = match layout.label {
            Label::Gpt => label_gpt::areas(&layout, &boot)?,
            Label::Mbr => label_mbr::areas(&layout, &boot)?,
        };
        // What the mark does not stand in keeps every byte: a hybrid MBR in front of a GPT, extended boot records.
        areas.retain(|(offset, _)| match layout.label {
            Label::Gpt => *offset != 0,
            Label::Mbr => *offset == 0 || logical,
        });
        self.write_areas(&areas)?;
        self.written(&layout)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, OpenOptions, Plan, Size, Table, Wish};
    use super::*;

    fn marked(layout: &Layout) -> Vec<u32> {
        layout.partitions.iter().filter(|part| part.is_bootable()).map(|part| part.number).collect()
    }

    #[test]
    fn one_partition_is_marked_and_nothing_else_changes() {
        for label in [Label::Gpt, Label::Mbr] {
            let folder = tempfile::tempdir().unwrap();
            let image = folder.path().join("disk.img");
            super::super::create(&image, 64 << 20, false).unwrap();
            let disk = Disk::open(&image, OpenOptions { write: true, ..OpenOptions::default() }).unwrap();
            let kind = Kind::parse(label, "linux").unwrap();
            let wishes = (0..6).map(|_| Wish::new(kind, Size::parse("4MiB").unwrap()));
            let plan = Plan::new(label, wishes.collect());
            disk.write_boot_code(&[0x90; 440]).unwrap();
            let before = disk.write_table(&Table::Plan(plan)).unwrap();
            let last = before.partitions.last().unwrap().number;
            for number in [2, last, last] {
                let after = disk.set_bootable(number).unwrap();
                assert_eq!(marked(&after), [number]);
                let mut same = disk.table().unwrap().unwrap();
                assert_eq!(marked(&same), [number]);
                same.partitions.iter_mut().for_each(|part| part.attrs = 0);
                assert_eq!((same.id, same.partitions), (before.id, before.partitions.clone()));
            }
            assert_eq!(disk.boot_code().unwrap(), [0x90; 440]);
            assert_eq!(disk.set_bootable(77).unwrap_err().kind, "table.number");
            assert_eq!(marked(&disk.table().unwrap().unwrap()), [last]);
        }
    }
}
