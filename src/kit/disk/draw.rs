//! A disk as a bar of text, with a line for each partition under it.

use std::fmt::Write;

use super::{Label, Layout, Measure, Size, Table};
use crate::host::format_size;

/// A column of each side is the frame.
const WIDTH: usize = 78;

/// A stretch of the disk; without a number it is free.
struct Cell {
    number: Option<u32>,
    text: String,
    weight: u64,
}

/// What stands in the line of a partition.
struct Line {
    number: u32,
    name: String,
    kind: String,
    size: String,
    start: String,
    boot: bool,
}

impl Table {
    /// At most 80 columns, plain ASCII but for the names: a bar in which widths follow sizes, `.` is free space and
    /// `( )` holds the logical partitions; then a line for each partition. A plan that leaves sizes open gives the
    /// rest half of the bar.
    pub fn draw(&self) -> String {
        let (title, cells, lines) = match self {
            Table::Layout(layout) => of_layout(layout),
            Table::Plan(plan) => of_plan(plan),
        };
        let mut text = format!("{}\n", cut(&title, 80));
        if let Some(bar) = bar(&cells) {
            let _ = writeln!(text, "{bar}");
        }
        let widest = |of: fn(&Line) -> &String, most: usize| {
            lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0).min(most)
        };
        let (name, kind, size) = (widest(|l| &l.name, 24), widest(|l| &l.kind, 14), widest(|l| &l.size, 9));
        for line in &lines {
            let flag = if line.boot { "*" } else { " " };
            let (of_name, of_kind) = (cut(&line.name, name), cut(&line.kind, kind));
            let row = format!("{flag}{:>3}  {of_name:name$}  {of_kind:kind$}  {:>size$}", line.number, line.size);
            let row = if line.start.is_empty() { row } else { format!("{row}  at {}", line.start) };
            let _ = writeln!(text, "{}", row.trim_end());
        }
        text.trim_end().to_string()
    }
}

/// Control characters of a hostile name stay off the terminal.
fn cut(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(2)).map(clean).chain("..".chars()).collect(),
        false => text.chars().map(clean).collect(),
    }
}

fn bar(cells: &[Cell]) -> Option<String> {
    // Each takes a frame and a letter at least; free stretches go first where that is too much.
    let named: Vec<&Cell> = cells.iter().filter(|cell| cell.number.is_some()).collect();
    let cells: Vec<&Cell> = if cells.len() * 3 <= WIDTH { cells.iter().collect() } else { named };
    if cells.is_empty() || cells.len() * 3 > WIDTH {
        return None;
    }
    let total: u128 = cells.iter().map(|cell| u128::from(cell.weight)).sum::<u128>().max(1);
    let spare = WIDTH + 1 - cells.len() * 3;
    let mut text = String::from("|");
    let (mut given, mut seen) = (0, 0u128);
    for cell in &cells {
        seen += u128::from(cell.weight);
        let until = (seen * spare as u128 / total) as usize;
        let width = 2 + until - given;
        given = until;
        let fill = if cell.number.is_none() { '.' } else { ' ' };
        let label = cell.text.chars().map(|c| if c.is_control() { '?' } else { c }).take(width);
        let label: String = label.chain(std::iter::repeat(fill)).take(width).collect();
        let _ = write!(text, "{label}|");
    }
    Some(text)
}

fn of_layout(layout: &Layout) -> (String, Vec<Cell>, Vec<Line>) {
    let disk = layout.bytes(layout.geometry.sectors);
    let device = layout.device.as_deref().unwrap_or("disk");
    let unit = layout.geometry.sector_size;
    let title = format!("{device}: {}, {}, sectors of {unit} bytes", format_size(disk), layout.label.name());
    let mut parts: Vec<_> = layout.partitions.iter().filter(|part| !part.kind.is_extended()).collect();
    parts.sort_by_key(|part| part.start);
    let outer = layout.extended();
    let inside = |number: u32| layout.label == Label::Mbr && number > 4 && outer.is_some();
    let mut cells = Vec::new();
    let mut at = 0;
    let free = |from: u64, to: u64, cells: &mut Vec<Cell>| {
        // What alignment leaves free is not worth a place.
        let sectors = to.saturating_sub(from);
        if layout.bytes(sectors) > (4 << 20).max(disk / 100) {
            cells.push(Cell { number: None, text: String::new(), weight: sectors });
        }
    };
    for part in &parts {
        free(at, part.start, &mut cells);
        let label = if part.name.is_empty() { part.kind.to_string() } else { part.name.clone() };
        let text = match inside(part.number) {
            true => format!("({} {label})", part.number),
            false => format!("{} {label}", part.number),
        };
        cells.push(Cell { number: Some(part.number), text, weight: part.size });
        at = at.max(part.end());
    }
    free(at, layout.geometry.sectors, &mut cells);
    let line = |part: &super::Partition| Line {
        number: part.number,
        name: part.name.clone(),
        kind: part.kind.to_string(),
        size: format_size(layout.bytes(part.size)),
        start: format_size(layout.bytes(part.start)),
        boot: part.is_bootable(),
    };
    (title, cells, layout.partitions.iter().map(line).collect())
}

fn of_plan(plan: &super::Plan) -> (String, Vec<Cell>, Vec<Line>) {
    let wishes = super::partitions::numbered(plan).unwrap_or_default();
    let unit = u64::from(plan.sector_size.unwrap_or(512));
    let bytes = |measure: Measure| match measure {
        Measure::Bytes(bytes) => bytes,
        Measure::Sectors(sectors) => sectors.saturating_mul(unit),
    };
    let is_box = |wish: &super::Wish| wish.kind.is_extended();
    let real = || wishes.iter().filter(|(_, wish)| !is_box(wish));
    let fixed: u64 = real().fold(0, |sum, (_, wish)| match wish.size {
        Size::Fixed(measure) => sum.saturating_add(bytes(measure)),
        Size::Percent(_) | Size::Fill => sum,
    });
    let open = real().filter(|(_, wish)| wish.size == Size::Fill).count().max(1) as u64;
    let weight = |size: Size| match size {
        Size::Fixed(measure) => bytes(measure),
        Size::Percent(percent) => (fixed.max(1) as f64 * percent / 100.0) as u64,
        Size::Fill => (fixed / open).max(1),
    };
    let cells = real().map(|(number, wish)| {
        let label = if wish.name.is_empty() { wish.kind.to_string() } else { wish.name.clone() };
        Cell { number: Some(*number), text: format!("{number} {label}"), weight: weight(wish.size) }
    });
    let lines = wishes.iter().map(|(number, wish)| Line {
        number: *number,
        name: wish.name.clone(),
        kind: wish.kind.to_string(),
        size: match wish.size {
            Size::Fixed(measure) => format_size(bytes(measure)),
            Size::Percent(percent) => format!("{percent}%"),
            Size::Fill => "the rest".into(),
        },
        start: wish.start.map(|start| format_size(bytes(start))).unwrap_or_default(),
        boot: wish.attrs & super::layout::BOOTABLE != 0,
    });
    (format!("{} table, for any disk", plan.label.name()), cells.collect(), lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_drawn_within_80_columns() {
        let text = "label: dos\ndevice: node1.img\nx1 : size=512MiB, type=83, bootable\nx2 : size=2GiB, type=7\n\
                    x3 : size=3GiB, type=5\nx5 : size=1GiB, type=82\nx6 : type=83\n";
        let geometry = super::super::Geometry { sectors: 8 << 21, sector_size: 512 };
        let drawn = Table::Layout(Table::parse(text).unwrap().fit(geometry).unwrap()).draw();
        let expected = [
            "node1.img: 8 GiB, mbr, sectors of 512 bytes",
            "|1 linu|2 ntfs            |(5 swap)  |(6 linux)         |......................|",
            "*  1    linux     512 MiB  at 1 MiB",
            "   2    ntfs        2 GiB  at 513 MiB",
            "   3    extended    3 GiB  at 2.5 GiB",
            "   5    swap        1 GiB  at 2.5 GiB",
            "   6    linux     2.0 GiB  at 3.5 GiB",
        ]
        .join("\n");
        assert_eq!(drawn, expected, "\n{drawn}");
    }

    #[test]
    fn many_partitions_and_long_names_stay_within_the_width() {
        for count in [1u32, 20, 26, 60, 128] {
            let lines: String =
                (1..=count).map(|n| format!("x{n} : size={n}MiB, name=\"{}\"\n", "n".repeat(36))).collect();
            let table = Table::parse(&format!("label: gpt\n{lines}")).unwrap();
            let placed = table.fit(super::super::Geometry { sectors: 20 << 21, sector_size: 512 }).unwrap();
            for table in [table, Table::Layout(placed)] {
                let drawn = table.draw();
                assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
                assert!(drawn.lines().count() > count as usize);
            }
        }
    }
}
