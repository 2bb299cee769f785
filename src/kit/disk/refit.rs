//! A table put on a disk of another size: one partition takes the difference, the ones behind it move.

use super::{Geometry, Kind, Label, Layout, Measure, Partition, Plan, Size, Table};
use crate::host::{Fault, Result, format_size};

/// What may take the difference unless a partition is named: loaders, swap and the like have the size they need.
const KEPT: [&str; 8] = ["swap", "efi", "bios", "boot", "msr", "prep", "recovery", "extended"];

impl Table {
    /// The table on a disk of any size, [`Layout::changes`] says what became of it. A plan is placed: what it calls the
    /// rest takes the rest. A table of another disk, or a dump that says where everything starts, keeps its places where
    /// the disk is as big; on a bigger or smaller one the partition `grow` takes the difference, or the last one that is
    /// neither swap nor there for a loader, and those behind it move. Free space at the end is given up first. All moves
    /// are whole MiB, so what was aligned stays so.
    ///
    /// A dump of an MBR does not say how big its disk was: nothing grows there unless `grow` names it.
    ///
    /// # Errors
    /// `table.space`: it cannot fit, with the numbers; `table.number`: there is no partition `grow`; all of
    /// [`Layout::check`].
    pub fn refit(&self, geometry: Geometry, grow: Option<u32>) -> Result<Layout> {
        match self {
            Table::Layout(layout) => layout.refit(geometry, grow, true),
            Table::Plan(plan) => match plan.stood(geometry)? {
                Some((layout, known)) => layout.refit(geometry, grow, known || grow.is_some()),
                None if grow.is_some() => Err(Fault::new("table.number", "`grow` is for a table of another disk")
                    .hint("in a plan, `size: \"fill\"` takes the rest")),
                None => plan.fit(geometry).map(|layout| placed(plan, layout)),
            },
        }
    }
}

/// Tells what the open sizes of a plan became.
fn placed(plan: &Plan, mut layout: Layout) -> Layout {
    let wishes = super::partitions::numbered(plan).unwrap_or_default();
    let open = wishes.iter().filter(|(_, wish)| matches!(wish.size, Size::Fill | Size::Percent(_)));
    let told = open.filter_map(|(number, wish)| {
        let part = layout.partition(*number)?;
        let size = format_size(layout.bytes(part.size));
        Some(match wish.size {
            Size::Percent(percent) => format!("partition {} takes {percent}%: {size}", part.title()),
            _ => format!("partition {} takes the rest: {size}", part.title()),
        })
    });
    layout.changes = told.collect();
    layout
}

impl Plan {
    /// A dump as it stood on its own disk, and whether the size of that disk is known. None: starts or sizes are open.
    pub(super) fn stood(&self, target: Geometry) -> Result<Option<(Layout, bool)>> {
        let sector_size = self.sector_size.unwrap_or(target.sector_size);
        let mut end = 0u64;
        for wish in &self.wishes {
            let (Some(Measure::Sectors(start)), Size::Fixed(Measure::Sectors(size))) = (wish.start, wish.size) else {
                return Ok(None);
            };
            end = end.max(start.saturating_add(size));
        }
        if self.wishes.is_empty() {
            return Ok(None);
        }
        let probe = Geometry { sectors: end, sector_size };
        let behind = if self.label == Label::Gpt { 1 + probe.array(self.entries) } else { 0 };
        // Where the dump names no end, the disk is taken to end with its last partition.
        let usable = self.last_usable.map_or(end, |last| last.saturating_add(1)).max(end);
        let sectors = usable.saturating_add(behind);
        let layout = self.fit(Geometry { sectors, sector_size })?;
        Ok(Some((layout, self.last_usable.is_some() && self.label == Label::Gpt)))
    }
}

impl Layout {
    fn refit(&self, geometry: Geometry, grow: Option<u32>, known: bool) -> Result<Layout> {
        let mut layout = self.in_sectors_of(geometry.sector_size)?;
        let number = grow.map(|number| match layout.partition(number) {
            Some(part) if !part.kind.is_extended() => Ok(number),
            Some(_) => Err(Fault::new("table.number", format!("partition {number} is extended: name one in it"))),
            None => Err(Fault::new("table.number", format!("there is no partition {number} to take the difference"))),
        });
        let number = number.transpose()?.or_else(|| layout.last_that_may());
        let (first, last) = geometry.usable(layout.label, layout.entries)?;
        let end = layout.partitions.iter().map(Partition::end).max().unwrap_or(first);
        let align = i128::from(geometry.align());
        let more = (i128::from(last) - i128::from(layout.last_usable)).div_euclid(align) * align;
        let missing = i128::from(end) - i128::from(last) - 1;
        let difference = match (more, missing) {
            (_, 1..) => -((missing + align - 1) / align * align),
            (1.., _) if known => more,
            _ => 0,
        };
        layout.geometry = geometry;
        layout.last_usable = last;
        layout.first_usable = layout.first_usable.max(first);
        let bytes = |sectors: i128| format_size(layout.bytes(u64::try_from(sectors.abs()).unwrap_or(u64::MAX)));
        let spare = bytes(difference);
        match (difference, number) {
            (0, _) => {}
            (1.., None) => layout.changes.push(format!("{spare} stay free: no partition takes them")),
            (_, None) => return Err(too_small(format!("{spare} are missing, and no partition may give them"))),
            (_, Some(number)) => layout.give(number, difference)?,
        }
        layout.warnings = layout.misaligned();
        layout.check()?;
        Ok(layout)
    }

    /// The same places in sectors of another size.
    fn in_sectors_of(&self, sector_size: u32) -> Result<Layout> {
        let own = self.geometry.sector_size;
        let mut layout = Layout { warnings: Vec::new(), changes: Vec::new(), ..self.clone() };
        if own == sector_size {
            return Ok(layout);
        }
        let turned = |sectors: u64, what: &str| {
            let bytes = self.bytes(sectors);
            if bytes.is_multiple_of(sector_size.into()) {
                return Ok(bytes / u64::from(sector_size));
            }
            let message = format!("{what} at byte {bytes} is no multiple of the {sector_size} byte sectors");
            Err(Fault::new("table.space", message).hint("plan it anew with sizes in MiB"))
        };
        for part in &mut layout.partitions {
            part.start = turned(part.start, &format!("start of partition {}", part.number))?;
            // A last partition that ends with the disk may end within a bigger sector: the rest of it is given up.
            part.size = self.bytes(part.size) / u64::from(sector_size);
        }
        let sectors = self.bytes(self.geometry.sectors) / u64::from(sector_size);
        layout.geometry = Geometry { sectors, sector_size };
        (layout.first_usable, layout.last_usable) = layout.geometry.usable(layout.label, layout.entries)?;
        layout.changes.push(format!("sectors of {own} bytes become sectors of {sector_size} bytes"));
        Ok(layout)
    }

    fn last_that_may(&self) -> Option<u32> {
        let kept = |kind: Kind| kind.name().is_some_and(|name| KEPT.contains(&name));
        self.partitions.iter().filter(|part| !kept(part.kind)).max_by_key(|part| part.start).map(|part| part.number)
    }

    /// Makes one partition bigger or smaller, and moves those behind it.
    fn give(&mut self, number: u32, difference: i128) -> Result<()> {
        let unit = self.geometry.sector_size;
        let old = self.partitions.clone();
        let outer = self.extended().map(|part| (part.number, part.start, part.end()));
        let Some(grown) = old.iter().find(|part| part.number == number) else { return Ok(()) };
        let holds = |part: &Partition| outer.is_some_and(|(own, ..)| own == part.number) && number > 4;
        let by = |value: u64| u64::try_from(i128::from(value) + difference).ok();
        let size = |sectors: u64| format_size(sectors.saturating_mul(unit.into()));
        let verb = if difference > 0 { "grows" } else { "shrinks" };
        for part in &mut self.partitions {
            let title = part.title();
            if part.number == number || holds(part) {
                let Some(new) = by(part.size).filter(|new| *new >= self.geometry.align()) else {
                    let missing = size(u64::try_from(-difference).unwrap_or(u64::MAX));
                    let message = format!("{missing} are missing, and partition {title} has {}", size(part.size));
                    return Err(too_small(message));
                };
                self.changes.push(format!("partition {title} {verb} from {} to {}", size(part.size), size(new)));
                part.size = new;
            } else if part.start > grown.start {
                let Some(new) = by(part.start) else {
                    return Err(too_small(format!("partition {title} would start before the disk does")));
                };
                self.changes.push(format!("partition {title} moves from {} to {}", size(part.start), size(new)));
                part.start = new;
            }
        }
        Ok(())
    }
}

fn too_small(why: String) -> Fault {
    Fault::new("table.space", format!("the table does not fit: {why}"))
        .hint("`grow: NUMBER` names another partition that gives or takes; or take a bigger disk")
}
