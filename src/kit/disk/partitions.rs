//! Who gets which number, and which partitions of an MBR become logical.

use super::kinds::{Kind, Label};
use super::{Plan, Size, Wish};
use crate::host::{Fault, Result};

/// The wishes with their numbers, in the order in which they are to lie on the disk. On MBR an extended partition is
/// put in where four entries do not suffice: the first three stay primary, the rest goes into it.
pub(super) fn numbered(plan: &Plan) -> Result<Vec<(u32, Wish)>> {
    let mut wishes = plan.wishes.clone();
    if plan.label == Label::Gpt {
        return give(wishes.into_iter().map(|wish| (wish, 1..=plan.entries)).collect());
    }
    let given = wishes.iter().any(|wish| wish.kind.is_extended() || wish.number.is_some());
    let logical = wishes.iter().any(|wish| wish.logical == Some(true));
    if !given && (wishes.len() > 4 || logical) {
        let at = wishes.iter().position(|wish| wish.logical == Some(true)).unwrap_or(3).min(3);
        wishes.insert(at, Wish::new(Kind::Byte(0x0f), Size::Fill));
    }
    let extended = wishes.iter().position(|wish| wish.kind.is_extended()).unwrap_or(usize::MAX);
    let ranged = wishes.into_iter().enumerate().map(|(index, wish)| {
        let is_logical = wish.number.map_or(index > extended && wish.logical != Some(false), |number| number > 4);
        let is_logical = is_logical || (wish.number.is_none() && wish.logical == Some(true));
        (wish, if is_logical { 5..=128 } else { 1..=4 })
    });
    give(ranged.collect())
}

impl Plan {
    /// The number that each wish will have, in their order; None: there are more than the table holds.
    pub fn numbers(&self) -> Option<Vec<u32>> {
        let mut all = numbered(self).ok()?;
        if all.len() > self.wishes.len() {
            // The extended one that was put in is nobody's wish.
            all.retain(|(_, wish)| !wish.kind.is_extended());
        }
        Some(all.into_iter().map(|(number, _)| number).collect())
    }
}

fn give(wishes: Vec<(Wish, std::ops::RangeInclusive<u32>)>) -> Result<Vec<(u32, Wish)>> {
    let mut taken: Vec<u32> = wishes.iter().filter_map(|(wish, _)| wish.number).collect();
    let mut given = Vec::new();
    for (wish, mut range) in wishes {
        let number = match wish.number {
            Some(number) => number,
            None => range.find(|number| !taken.contains(number)).ok_or_else(|| {
                Fault::new("table.number", "more partitions than the table has entries")
                    .hint("an MBR holds four primary partitions; give an `extended` one and logical ones after it")
            })?,
        };
        taken.push(number);
        given.push((number, wish));
    }
    Ok(given)
}
