//! A table in either form, and the reader that finds out which label a disk has.

use std::os::unix::fs::FileExt;

use super::{Geometry, Label, Layout, Plan, label_gpt, label_mbr, parse_description, parse_dump};
use crate::host::{Fault, Result};

/// A table: wished for, or as it stands on a disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Table {
    Plan(Plan),
    Layout(Layout),
}

impl From<Layout> for Table {
    fn from(layout: Layout) -> Self {
        Table::Layout(layout)
    }
}

impl From<Plan> for Table {
    fn from(plan: Plan) -> Self {
        Table::Plan(plan)
    }
}

impl Table {
    /// Reads an `sfdisk -d` dump or a Ka-deploy partition description.
    ///
    /// # Errors
    /// `table.parse` with line and column; `table.kind`.
    pub fn parse(text: &str) -> Result<Self> {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("");
        let word = line.split_whitespace().next().unwrap_or("");
        // In a dump every line has a `:` or a `=`; a description line is two or three words.
        let description = !word.is_empty() && !line.contains([':', '=']);
        if description { parse_description(text) } else { parse_dump(text) }.map(Table::Plan)
    }

    pub fn label(&self) -> Label {
        match self {
            Table::Plan(plan) => plan.label,
            Table::Layout(layout) => layout.label,
        }
    }

    /// The table as it would stand on a disk. A layout of another disk keeps its starts, sizes and identities; only
    /// the end of the usable area moves with the disk.
    ///
    /// # Errors
    /// `table.space`, and all of [`Layout::check`].
    pub fn fit(&self, geometry: Geometry) -> Result<Layout> {
        let layout = match self {
            Table::Plan(plan) => return plan.fit(geometry),
            Table::Layout(layout) if layout.geometry == geometry => layout.clone(),
            Table::Layout(layout) => {
                let (own, other) = (layout.geometry.sector_size, geometry.sector_size);
                if own != other {
                    let message =
                        format!("a table in {own} byte sectors does not fit a disk with {other} byte sectors");
                    return Err(Fault::new("table.space", message).hint("`.fit(disk)` turns one into the other"));
                }
                let (_, last_usable) = geometry.usable(layout.label, layout.entries)?;
                Layout { geometry, last_usable, ..layout.clone() }
            }
        };
        layout.check()?;
        Ok(layout)
    }
}

/// No damage: some systems boot from such tables.
pub(super) const HYBRID: &str = "the protective MBR holds further partitions (a hybrid): they are not read";

/// Bytes at a place; what lies past the end of the disk is an error, not zeros.
pub(super) fn read_at(file: &impl FileExt, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    let read = file.read_exact_at(&mut buffer, offset);
    read.map_err(|error| Fault::io("table.read", format_args!("read {length} bytes at {offset}"), error))?;
    Ok(buffer)
}

/// The table on a disk, None when there is none. A damaged copy of a GPT is made up for by the other, with a warning.
///
/// # Errors
/// `table.damaged`: a table is there, but neither copy can be believed; `table.read`.
pub fn read_table(file: &impl FileExt, geometry: Geometry) -> Result<Option<Layout>> {
    if ![512, 4096].contains(&geometry.sector_size) {
        let message = format!("sectors of {} bytes: only 512 and 4096 are known", geometry.sector_size);
        return Err(Fault::new("table.geometry", message));
    }
    if geometry.sectors < 2 {
        return Ok(None);
    }
    let boot = read_at(file, 0, 512)?;
    match label_mbr::what(&boot) {
        label_mbr::Found::Protective { hybrid } => {
            let mut layout = label_gpt::read(file, geometry)?;
            if hybrid {
                layout.warnings.push(HYBRID.into());
            }
            Ok(Some(layout))
        }
        label_mbr::Found::Mbr => label_mbr::read(file, geometry, &boot).map(Some),
        // Overwritten by accident, by all zeros mostly: a filesystem there would be what the disk is used for now.
        label_mbr::Found::Nothing if boot[510..] != [0x55, 0xaa] && label_gpt::is_there(file, geometry) => {
            let mut layout = label_gpt::read(file, geometry)?;
            layout.warnings.push("the protective MBR is missing: kernel and firmware do not see this GPT".into());
            Ok(Some(layout))
        }
        label_mbr::Found::Nothing => Ok(None),
    }
}
