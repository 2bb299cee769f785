//! Two tables told apart, in words.

use super::{Kind, Label, Layout, Measure, Plan, Size, Table};
use crate::host::format_size;

/// What one table says of a partition; None where a plan leaves it open.
struct Said {
    number: u32,
    start: Option<u64>,
    size: Option<u64>,
    kind: Kind,
    uuid: Option<String>,
    name: Option<String>,
    attrs: u64,
}

/// Each difference in words, `a` first; empty when both say the same. What a plan leaves open differs from nothing,
/// and neither does the size of the disk.
pub fn compare(a: &Table, b: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, one: String, other: String| {
        if one != other {
            found.push(format!("{what}: {one}, {other}"));
        }
    };
    differ("kind of table", a.label().name().into(), b.label().name().into());
    if let (Some(one), Some(other)) = (id(a), id(b)) {
        differ("disk id", one, other);
    }
    if let (Some(one), Some(other)) = (unit(a), unit(b)) {
        differ("bytes in a sector", one.to_string(), other.to_string());
    }
    if let (Table::Layout(one), Table::Layout(other)) = (a, b)
        && (one.label, other.label) == (Label::Gpt, Label::Gpt)
    {
        differ("first usable sector", one.first_usable.to_string(), other.first_usable.to_string());
        differ("entries of the table", one.entries.to_string(), other.entries.to_string());
    }
    let (ones, others) = (said(a), said(b));
    for one in &ones {
        match others.iter().find(|other| other.number == one.number) {
            Some(other) => found.extend(partition(one, other)),
            None => found.push(format!("partition {}: only in the first", one.number)),
        }
    }
    let new = others.iter().filter(|other| ones.iter().all(|one| one.number != other.number));
    found.extend(new.map(|other| format!("partition {}: only in the second", other.number)));
    found
}

fn partition(one: &Said, other: &Said) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, one: Option<String>, other: Option<String>| {
        if let (Some(one), Some(other)) = (one, other)
            && one != other
        {
            found.push(format!("{what} {one}, {other}"));
        }
    };
    let place = |bytes: u64| format!("at byte {bytes} ({})", format_size(bytes));
    let size = |bytes: u64| format!("of {bytes} bytes ({})", format_size(bytes));
    differ("starts", one.start.map(place), other.start.map(place));
    differ("is", one.size.map(size), other.size.map(size));
    let kind = |kind: Kind| Some(format!("{kind} ({})", kind.code()));
    differ("has type", kind(one.kind), kind(other.kind));
    differ("has UUID", one.uuid.clone(), other.uuid.clone());
    differ("is named", one.name.as_ref().map(|n| format!("`{n}`")), other.name.as_ref().map(|n| format!("`{n}`")));
    let attrs = |bits: u64| Some(format!("{bits:#x}"));
    differ("has attributes", attrs(one.attrs), attrs(other.attrs));
    found.into_iter().map(|what| format!("partition {}: {what}", one.number)).collect()
}

fn id(table: &Table) -> Option<String> {
    match table {
        Table::Plan(plan) => plan.id.map(|id| id.to_string()),
        Table::Layout(layout) => Some(layout.id.to_string()),
    }
}

fn unit(table: &Table) -> Option<u32> {
    match table {
        Table::Plan(plan) => plan.sector_size,
        Table::Layout(layout) => Some(layout.geometry.sector_size),
    }
}

fn said(table: &Table) -> Vec<Said> {
    match table {
        Table::Plan(plan) => planned(plan),
        Table::Layout(layout) => stands(layout),
    }
}

/// A name in an MBR is not on the disk: no difference.
fn name(label: Label, name: &str) -> Option<String> {
    (label == Label::Gpt).then(|| name.to_string())
}

fn planned(plan: &Plan) -> Vec<Said> {
    let unit = u64::from(plan.sector_size.unwrap_or(512));
    let bytes = |measure: Measure| match measure {
        Measure::Bytes(bytes) => bytes,
        Measure::Sectors(sectors) => sectors.saturating_mul(unit),
    };
    let Ok(wishes) = super::partitions::numbered(plan) else { return Vec::new() };
    let said = |(number, wish): (u32, super::Wish)| Said {
        number,
        start: wish.start.map(bytes),
        size: match wish.size {
            Size::Fixed(measure) => Some(bytes(measure)),
            Size::Percent(_) | Size::Fill => None,
        },
        kind: wish.kind,
        uuid: wish.uuid.map(|uuid| uuid.to_string()),
        name: name(plan.label, &wish.name),
        attrs: wish.attrs,
    };
    wishes.into_iter().map(said).collect()
}

fn stands(layout: &Layout) -> Vec<Said> {
    let said = |part: &super::Partition| Said {
        number: part.number,
        start: Some(layout.bytes(part.start)),
        size: Some(layout.bytes(part.size)),
        kind: part.kind,
        uuid: part.uuid.map(|uuid| uuid.to_string()),
        name: name(layout.label, &part.name),
        attrs: part.attrs,
    };
    layout.partitions.iter().map(said).collect()
}
