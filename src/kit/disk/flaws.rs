//! What is wrong with a table that could be read: named, not refused.

use super::layout::overlap;
use super::{Label, Layout, Partition};

/// Each defect in words: overlaps, entries past the end or outside the usable sectors, logical partitions outside the
/// extended one, IDs given twice. What [`Layout::check`] refuses one by one, all at once.
pub(super) fn flaws(layout: &Layout) -> Vec<String> {
    let mut found = Vec::new();
    let Ok((first, last)) = layout.geometry.usable(layout.label, layout.entries) else {
        return vec!["the disk is too small for this table".into()];
    };
    if layout.first_usable < first || layout.last_usable > last || layout.first_usable > layout.last_usable {
        let (from, to) = (layout.first_usable, layout.last_usable);
        found.push(format!("the usable sectors {from} to {to} do not lie within {first} to {last}"));
    }
    for part in &layout.partitions {
        let end = part.end() - 1;
        if part.start >= layout.geometry.sectors || end >= layout.geometry.sectors {
            let sectors = layout.geometry.sectors;
            let at = format!("sectors {} to {end}", part.start);
            found.push(format!("partition {} ({at}) goes past the end of the disk, {sectors} sectors", part.title()));
        } else if part.start < layout.first_usable || (layout.label == Label::Gpt && end > layout.last_usable) {
            let at = format!("sectors {} to {end}", part.start);
            let (from, to) = (layout.first_usable, layout.last_usable);
            found.push(format!("partition {} ({at}) lies outside the usable sectors {from} to {to}", part.title()));
        }
    }
    found.extend(overlaps(layout).iter().map(|(one, other)| overlap(one, other).message));
    if let Some(extended) = layout.extended() {
        let outside =
            |part: &&Partition| part.number > 4 && !(extended.start < part.start && part.end() <= extended.end());
        for part in layout.partitions.iter().filter(outside) {
            found.push(format!("logical partition {} does not lie within the extended one", part.number));
        }
    }
    if layout.partitions.iter().filter(|part| part.number <= 4 && part.kind.is_extended()).count() > 1 {
        found.push("more than one extended partition: only the first is read".into());
    }
    for (index, part) in layout.partitions.iter().enumerate() {
        let twin = layout.partitions[..index].iter().find(|other| part.uuid.is_some() && other.uuid == part.uuid);
        if let Some(twin) = twin {
            found.push(format!("partitions {} and {} have the same UUID", twin.number, part.number));
        }
    }
    found
}

/// Pairs of partitions that share sectors; a logical one and its extended one are none.
pub(super) fn overlaps(layout: &Layout) -> Vec<(&Partition, &Partition)> {
    let mut parts: Vec<_> = layout.partitions.iter().collect();
    parts.sort_by_key(|part| (part.start, part.number));
    let mut pairs = Vec::new();
    for (index, one) in parts.iter().enumerate() {
        for other in parts[index + 1..].iter().take_while(|other| other.start < one.end()) {
            let nested = |outer: &Partition, inner: &Partition| outer.kind.is_extended() && inner.number > 4;
            if layout.label == Label::Gpt || !(nested(one, other) || nested(other, one)) {
                pairs.push((*one, *other));
            }
            // A hostile table makes a million of them.
            if pairs.len() == 20 {
                return pairs;
            }
        }
    }
    pairs
}
