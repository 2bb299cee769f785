//! A table that is wished for: sizes with units, the rest, percent; no disk known yet.

use uuid::Uuid;

use super::layout::BOOTABLE;
use super::{DiskId, Geometry, Kind, Label, Layout, Partition};
use crate::host::{Fault, Result, format_size, parse_size};

/// A place or a length, in the unit it was given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Bytes(u64),
    /// See [`Plan::sector_size`].
    Sectors(u64),
}

impl Measure {
    /// Sectors of `unit` bytes, rounded up; `exact` refuses to round. `own` is the plan's sector size.
    fn sectors(self, own: Option<u32>, unit: u32, exact: bool) -> Result<u64> {
        let bytes = match (self, own) {
            (Measure::Sectors(sectors), None) => return Ok(sectors),
            (Measure::Sectors(sectors), Some(own)) if own == unit => return Ok(sectors),
            (Measure::Sectors(sectors), Some(own)) => sectors.saturating_mul(own.into()),
            (Measure::Bytes(bytes), _) => bytes,
        };
        if exact && bytes % u64::from(unit) != 0 {
            let message = format!("start at byte {bytes} is no multiple of the {unit} byte sectors");
            return Err(Fault::new("table.space", message));
        }
        Ok(bytes.div_ceil(unit.into()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    Fixed(Measure),
    /// Of all usable sectors.
    Percent(f64),
    /// What the others leave; several share it alike.
    Fill,
}

impl Size {
    /// `512MiB`, `50%`, `fill` or nothing for the rest.
    ///
    /// # Errors
    /// `value.size`
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed == "fill" {
            return Ok(Size::Fill);
        }
        match trimmed.strip_suffix('%') {
            None => parse_size(trimmed).map(|bytes| Size::Fixed(Measure::Bytes(bytes))),
            Some(number) => match number.trim().parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Size::Percent(percent)),
                _ => Err(Fault::new("value.size", format!("`{text}` is no part of a whole: 0% to 100%"))),
            },
        }
    }
}

/// One partition wished for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// None: the next free one.
    pub number: Option<u32>,
    pub start: Option<Measure>,
    pub size: Size,
    pub kind: Kind,
    pub name: String,
    /// None: a new one.
    pub uuid: Option<Uuid>,
    pub attrs: u64,
    /// MBR: lives in the extended partition. None: it does when it stands after the extended one, or when four
    /// entries do not suffice.
    pub logical: Option<bool>,
}

impl Wish {
    pub fn new(kind: Kind, size: Size) -> Self {
        Wish { number: None, start: None, size, kind, name: String::new(), uuid: None, attrs: 0, logical: None }
    }

    pub fn bootable(mut self) -> Self {
        self.attrs |= BOOTABLE;
        self
    }

    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// A whole table wished for; [`Plan::fit`] makes it a [`Layout`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub label: Label,
    pub id: Option<DiskId>,
    pub wishes: Vec<Wish>,
    pub first_usable: Option<u64>,
    /// Of the disk that a dump was made of; on another it is where that one ends.
    pub last_usable: Option<u64>,
    /// In bytes, as a dump says it: how its tool was to align partitions. Only printed again.
    pub grain: Option<u64>,
    /// What [`Measure::Sectors`] count; None: the sectors of the disk it is fitted to.
    pub sector_size: Option<u32>,
    pub entries: u32,
    pub device: Option<String>,
}

impl Plan {
    pub fn new(label: Label, wishes: Vec<Wish>) -> Self {
        Plan {
            label,
            id: None,
            wishes,
            first_usable: None,
            last_usable: None,
            grain: None,
            sector_size: None,
            entries: 128,
            device: None,
        }
    }

    /// Places the partitions on a disk: in the order given, starts on 1 MiB, nothing left out, and the result checked.
    ///
    /// # Errors
    /// `table.space` with the numbers when they do not fit; all of [`Layout::check`].
    pub fn fit(&self, geometry: Geometry) -> Result<Layout> {
        let (first, last_usable) = geometry.usable(self.label, self.entries)?;
        let same_unit = self.sector_size.is_none_or(|size| size == geometry.sector_size);
        let first_usable = self.first_usable.filter(|_| same_unit).unwrap_or(first).max(first);
        let align = geometry.align();
        // What is placed by itself starts at 1 MiB: boot loaders live in the gap before it.
        let region = Region {
            first: align.max(first_usable),
            end: last_usable.saturating_add(1),
            align,
            gap: 0,
            sector: geometry.sector_size,
        };
        let usable = region.end.saturating_sub(region.first);
        let wishes = super::partitions::numbered(self)?;
        let mut asks = Vec::new();
        for (number, wish) in &wishes {
            asks.push(self.ask(*number, wish, geometry, usable)?);
        }
        let (logical, primary): (Vec<_>, Vec<_>) =
            asks.into_iter().partition(|ask| self.label == Label::Mbr && ask.number > 4);
        let mut placed = region.place(primary)?;
        if !logical.is_empty() {
            let extended = wishes.iter().find(|(_, wish)| wish.kind.is_extended()).map(|(number, _)| *number);
            let outer = placed
                .iter()
                .find(|place| Some(place.0) == extended)
                .ok_or_else(|| Fault::new("table.extended", "logical partitions need an extended one to live in"))?;
            // Before each logical partition stands its EBR, with a whole step of alignment to itself.
            let inner = Region { first: outer.1, end: outer.1 + outer.2, align, gap: align, sector: region.sector };
            placed.extend(inner.place(logical)?);
        }
        placed.sort();
        let mut partitions = Vec::new();
        for (number, start, size) in placed {
            let Some((_, wish)) = wishes.iter().find(|(own, _)| *own == number) else { continue };
            let uuid = (self.label == Label::Gpt).then(|| wish.uuid.unwrap_or_else(Uuid::new_v4));
            let (kind, name, attrs) = (wish.kind, wish.name.clone(), wish.attrs);
            partitions.push(Partition { number, start, size, kind, uuid, name, attrs });
        }
        let id = self.id.unwrap_or_else(|| DiskId::random(self.label));
        let (label, entries, device) = (self.label, self.entries, self.device.clone());
        let (warnings, changes) = (Vec::new(), Vec::new());
        let layout =
            Layout { label, id, geometry, first_usable, last_usable, entries, partitions, device, warnings, changes };
        layout.check()?;
        Ok(layout)
    }

    fn ask(&self, number: u32, wish: &Wish, geometry: Geometry, usable: u64) -> Result<Ask> {
        let unit = geometry.sector_size;
        let start = wish.start.map(|start| start.sectors(self.sector_size, unit, true)).transpose()?;
        let size = match wish.size {
            Size::Fill => None,
            Size::Fixed(measure) => Some(measure.sectors(self.sector_size, unit, false)?),
            Size::Percent(percent) => {
                let share = (usable as f64 * percent / 100.0) as u64;
                Some((share / geometry.align() * geometry.align()).max(1))
            }
        };
        Ok(Ask { number, start, size })
    }
}

/// A wish in sectors; size None is the rest.
struct Ask {
    number: u32,
    start: Option<u64>,
    size: Option<u64>,
}

/// Sectors to give out: `first` up to, not including, `end`; `gap` stays free before each.
struct Region {
    first: u64,
    end: u64,
    align: u64,
    gap: u64,
    /// Bytes in a sector, for messages.
    sector: u32,
}

impl Region {
    fn place(&self, asks: Vec<Ask>) -> Result<Vec<(u32, u64, u64)>> {
        let mut places = Vec::new();
        let mut at = self.first;
        let mut rest = &asks[..];
        while !rest.is_empty() {
            // Up to the next one with a start of its own: that is where the ones before it have to end.
            let length = 1 + rest[1..].iter().take_while(|ask| ask.start.is_none()).count();
            let (run, after) = rest.split_at(length);
            at = run[0].start.unwrap_or_else(|| self.next(at));
            let bound = asks.iter().filter_map(|ask| ask.start).filter(|start| *start > at).min();
            let end = bound.map_or(self.end, |start| start.saturating_sub(self.gap).min(self.end));
            at = self.run(run, at, end, &mut places)?;
            rest = after;
        }
        Ok(places)
    }

    fn next(&self, at: u64) -> u64 {
        at.saturating_add(self.gap).div_ceil(self.align).saturating_mul(self.align)
    }

    /// Places one run from `at` on, each behind the one before, the last ending at `end` at most.
    fn run(&self, run: &[Ask], mut at: u64, end: u64, places: &mut Vec<(u32, u64, u64)>) -> Result<u64> {
        let fills = run.iter().filter(|ask| ask.size.is_none()).count() as u64;
        // All fixed ones as they would lie with nothing in between: the rest is what the others share.
        let (mut used, mut packed) = (0u64, at);
        for (index, ask) in run.iter().enumerate() {
            let start = if index == 0 { packed } else { self.next(packed) };
            packed = start.saturating_add(ask.size.unwrap_or(0));
            used = packed;
        }
        let share = match fills {
            0 => 0,
            fills => end.saturating_sub(used) / fills / self.align * self.align,
        };
        // Running into one with a start of its own is an overlap, which the check of the whole finds.
        if used > self.end || (fills > 0 && share == 0) {
            let number = run.iter().map(|ask| ask.number.to_string()).collect::<Vec<_>>().join(", ");
            let bytes = |sectors: u64| format_size(sectors.saturating_mul(self.sector.into()));
            let more = if fills > 0 { "more than " } else { "" };
            let message = format!(
                "partitions {number} do not fit: they need {more}{} from sector {at} on, there are {}",
                bytes(used.saturating_sub(at)),
                bytes(end.saturating_sub(at)),
            );
            return Err(Fault::new("table.space", message).hint("give smaller sizes, or take a bigger disk"));
        }
        for (index, ask) in run.iter().enumerate() {
            let start = if index == 0 { at } else { self.next(at) };
            let size = ask.size.unwrap_or(share);
            places.push((ask.number, start, size));
            at = start.saturating_add(size);
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(label: Label, kind: &str, size: &str) -> Wish {
        Wish::new(Kind::parse(label, kind).unwrap(), Size::parse(size).unwrap()).named(kind)
    }

    fn fit(label: Label, wishes: &[(&str, &str)], mib: u64) -> Result<Vec<(u32, u64, u64)>> {
        let plan = Plan::new(label, wishes.iter().map(|(kind, size)| wish(label, kind, size)).collect());
        let layout = plan.fit(Geometry { sectors: mib * 2048, sector_size: 512 })?;
        Ok(layout.partitions.iter().map(|part| (part.number, part.start / 2048, part.size / 2048)).collect())
    }

    #[test]
    fn sizes_the_rest_and_shares() {
        let parts =
            fit(Label::Gpt, &[("efi", "64MiB"), ("linux", ""), ("swap", "100MiB"), ("home", "fill")], 1024).unwrap();
        assert_eq!(parts, [(1, 1, 64), (2, 65, 429), (3, 494, 100), (4, 594, 429)]);
        let parts = fit(Label::Gpt, &[("linux", "50%"), ("swap", "")], 1000).unwrap();
        assert_eq!(parts, [(1, 1, 499), (2, 500, 499)]);
    }

    #[test]
    fn more_than_four_go_into_an_extended_partition() {
        let five = [("linux", "100MiB"), ("swap", "10MiB"), ("linux", "20MiB"), ("linux", "30MiB"), ("linux", "fill")];
        let parts = fit(Label::Mbr, &five, 512).unwrap();
        assert_eq!(parts, [(1, 1, 100), (2, 101, 10), (3, 111, 20), (4, 131, 381), (5, 132, 30), (6, 163, 349)]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_numbers() {
        let fault = fit(Label::Gpt, &[("linux", "200MiB"), ("swap", "")], 128).unwrap_err();
        assert_eq!(fault.kind, "table.space");
        assert!(fault.message.contains("partitions 1, 2 do not fit"), "{}", fault.message);
        assert_eq!(fit(Label::Gpt, &[("linux", "0")], 128).unwrap_err().kind, "table.space");
    }
}
