//! Prints tables as Ka-deploy reads them: `[logical] TYPE SIZE`.

use std::fmt::Write;

use super::{Geometry, Kind, Label, Layout, Measure, Plan, Size, Table, Wish};
use crate::host::{Fault, Result};

fn cannot(why: impl Into<String>) -> Fault {
    Fault::new("table.description", format!("no partition description can say this: {}", why.into()))
        .hint("`.sfdisk()` prints every table in full")
}

impl Table {
    /// A Ka-deploy partition description. It holds types and sizes of an MBR, sizes in whole megabytes (2^20 bytes,
    /// rounded up); starts, IDs, names and the active flag have no place in it.
    ///
    /// # Errors
    /// `table.description`: a GPT, sizes in percent, numbers that are not those which a reader would give.
    pub fn description(&self) -> Result<String> {
        if self.label() != Label::Mbr {
            return Err(cannot("it is a GPT"));
        }
        let lines = match self {
            // A dump lists by number; what counts is the order on the disk.
            Table::Plan(plan) => match plan.stood(Geometry { sectors: 0, sector_size: 512 })? {
                Some((layout, _)) => of_layout(&layout),
                None => of_plan(plan)?,
            },
            Table::Layout(layout) => of_layout(layout),
        };
        let mut text = String::new();
        let (mut primary, mut logical) = (0, 4);
        for (number, kind, size) in lines {
            let is_logical = number > 4;
            let next = if is_logical { &mut logical } else { &mut primary };
            *next += 1;
            if *next != number {
                return Err(cannot(format!("partition {number} would become {next}")));
            }
            let prefix = if is_logical { "logical " } else { "" };
            let _ = writeln!(text, "{prefix}{} {size}", word(kind)?);
        }
        Ok(text)
    }
}

fn word(kind: Kind) -> Result<String> {
    match kind {
        Kind::Byte(0x83) => Ok("linux".into()),
        Kind::Byte(0x82) => Ok("swap".into()),
        Kind::Byte(0x05) => Ok("extended".into()),
        Kind::Byte(byte) => Ok(format!("type{byte:x}")),
        Kind::Guid(_) => Err(cannot("a type of GPT")),
    }
}

fn of_plan(plan: &Plan) -> Result<Vec<(u32, Kind, String)>> {
    let unit = u64::from(plan.sector_size.unwrap_or(512));
    let line = |(number, wish): (u32, Wish)| {
        let size = match wish.size {
            Size::Fill => "fill".into(),
            Size::Fixed(Measure::Bytes(bytes)) => megabytes(bytes),
            Size::Fixed(Measure::Sectors(sectors)) => megabytes(sectors.saturating_mul(unit)),
            Size::Percent(percent) => return Err(cannot(format!("partition {number} has {percent}% of a disk"))),
        };
        Ok((number, wish.kind, size))
    };
    super::partitions::numbered(plan)?.into_iter().map(line).collect()
}

/// In the order on the disk, the logical ones right behind their extended one.
fn of_layout(layout: &Layout) -> Vec<(u32, Kind, String)> {
    let outer = layout.extended().map(|part| part.start);
    let mut parts: Vec<_> = layout.partitions.iter().collect();
    let top = |part: &super::Partition| if part.number > 4 { outer.unwrap_or(part.start) } else { part.start };
    parts.sort_by_key(|part| (top(part), part.number > 4, part.start));
    parts.iter().map(|part| (part.number, part.kind, megabytes(layout.bytes(part.size)))).collect()
}

fn megabytes(bytes: u64) -> String {
    bytes.div_ceil(1 << 20).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_printed_as_it_was_read() {
        let text = "linux 2000\ntype6 32\nextended fill\nlogical swap 512\nlogical linux fill\n";
        let table = Table::parse(text).unwrap();
        assert_eq!(table.description().unwrap(), text);
        let geometry = Geometry { sectors: 8 << 21, sector_size: 512 };
        let placed = Table::Layout(table.fit(geometry).unwrap());
        let sized = "linux 2000\ntype6 32\nextended 6159\nlogical swap 512\nlogical linux 5645\n";
        assert_eq!(placed.description().unwrap(), sized);
        // With the sizes of this disk it comes out as the same table there.
        assert_eq!(
            Table::parse(sized).unwrap().fit(geometry).unwrap().partitions,
            table.fit(geometry).unwrap().partitions
        );
    }

    #[test]
    fn what_it_cannot_say_is_refused() {
        for text in ["label: gpt\nx1 : size=1MiB", "label: dos\nx2 : start=2048, size=4096"] {
            assert_eq!(Table::parse(text).unwrap().description().unwrap_err().kind, "table.description");
        }
    }
}
