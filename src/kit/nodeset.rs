//! Node sets: `icluster[1-60,70-99],gw` for the names of many machines, as clustershell and Slurm write them.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::{Fault, Result};

/// A set of more names than this is a slip of the fingers.
const LIMIT: usize = 100_000;

/// The names of a set in the order they are written, each once. Numbers in brackets keep their leading zeros
/// (`n[01-10]` is n01 to n10); several brackets in one name multiply, the last runs fastest. Commas and blanks separate.
///
/// # Errors
/// `node.set`: a bracket that is not closed, a range that is none or runs backwards, more than 100,000 names; with the
/// column.
pub fn expand(set: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut known = BTreeSet::new();
    for (column, word) in words(set)? {
        for name in expand_word(word, column)? {
            if known.insert(name.clone()) {
                names.push(name);
            }
            if names.len() > LIMIT {
                return Err(wrong(column, format!("more than {LIMIT} names")));
            }
        }
    }
    Ok(names)
}

/// The shortest set of these names: those alike but for their last number are folded, numbers in order.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    // Before, after and width of the number; zeros in front count, so n1 and n01 stay apart.
    let mut groups: BTreeMap<(&str, &str, usize), BTreeSet<u64>> = BTreeMap::new();
    // Where each group, or plain name, first stood.
    let mut order: Vec<Result<(&str, &str, usize), &str>> = Vec::new();
    let mut plain = BTreeSet::new();
    for name in names {
        match split(name) {
            Some((before, digits, after)) => {
                let width = if digits.starts_with('0') && digits.len() > 1 { digits.len() } else { 0 };
                let number: u64 = digits.parse().expect("few digits");
                // Ten follows nine in a padded group of width 2, and is not padded itself.
                let padded = (before, after, digits.len());
                let key = if width == 0 && groups.contains_key(&padded) { padded } else { (before, after, width) };
                if !groups.contains_key(&key) {
                    order.push(Ok(key));
                }
                groups.entry(key).or_default().insert(number);
            }
            None if plain.insert(name) => order.push(Err(name)),
            None => {}
        }
    }
    let texts = order.into_iter().map(|entry| match entry {
        Err(name) => name.to_string(),
        Ok(key) => text_of(key, &groups[&key]),
    });
    texts.collect::<Vec<_>>().join(",")
}

fn text_of((before, after, width): (&str, &str, usize), numbers: &BTreeSet<u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let one = |(first, last): &(u64, u64)| match first == last {
        true => format!("{first:0width$}"),
        false => format!("{first:0width$}-{last:0width$}"),
    };
    let list = ranges.iter().map(one).collect::<Vec<_>>().join(",");
    match ranges.as_slice() {
        [(first, last)] if first == last => format!("{before}{list}{after}"),
        _ => format!("{before}[{list}]{after}"),
    }
}

/// Before, digits and after of the last number in a name that is no address.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + name[at..].chars().next().map_or(1, char::len_utf8));
    // Longer ones are serial numbers, not places in a row.
    (end - start <= 15).then(|| (&name[..start], &name[start..end], &name[end..]))
}

/// Words with their columns, from 1; commas inside brackets do not separate.
fn words(set: &str) -> Result<Vec<(usize, &str)>> {
    let (mut words, mut start, mut open) = (Vec::new(), 0, None);
    for (at, c) in set.char_indices().chain([(set.len(), ',')]) {
        match c {
            '[' if open.is_some() => return Err(wrong(at + 1, "a bracket inside a bracket")),
            '[' => open = Some(at),
            ']' if open.take().is_none() => return Err(wrong(at + 1, "`]` without its `[`")),
            c if (c == ',' || c.is_whitespace()) && (open.is_none() || at == set.len()) => {
                if let Some(open) = open {
                    return Err(wrong(open + 1, "the bracket that opens here is not closed"));
                }
                if at > start {
                    words.push((start + 1, &set[start..at]));
                }
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    Ok(words)
}

fn expand_word(word: &str, column: usize) -> Result<Vec<String>> {
    let mut names = vec![String::new()];
    let mut rest = word;
    while let Some((before, (inside, after))) =
        rest.split_once('[').and_then(|(before, tail)| Some((before, tail.split_once(']')?)))
    {
        let numbers = numbers(inside, column + word.len() - rest.len() + before.len() + 1)?;
        if names.len().saturating_mul(numbers.len()) > LIMIT {
            return Err(wrong(column, format!("more than {LIMIT} names")));
        }
        names = names.iter().flat_map(|name| numbers.iter().map(move |n| format!("{name}{before}{n}"))).collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// `1-60,70` as texts.
fn numbers(list: &str, column: usize) -> Result<Vec<String>> {
    let mut numbers = Vec::new();
    let mut at = column;
    for range in list.split(',') {
        let number = |digits: &str| -> Result<u64> {
            let plain = !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or_else(|| wrong(at, format!("`{range}` is no range of numbers")))
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (number(first)?, number(last)?);
        if low > high {
            return Err(wrong(at, format!("`{range}` runs backwards")));
        }
        if high - low >= LIMIT as u64 || numbers.len() as u64 + high - low >= LIMIT as u64 {
            return Err(wrong(at, format!("more than {LIMIT} names")));
        }
        let width = if first.starts_with('0') { first.len() } else { 0 };
        numbers.extend((low..=high).map(|n| format!("{n:0width$}")));
        at += range.len() + 1;
    }
    Ok(numbers)
}

fn wrong(column: usize, why: impl std::fmt::Display) -> Fault {
    Fault::new("node.set", format!("column {column} of the node set: {why}"))
        .hint("a node set is names separated by commas, with ranges of numbers in brackets: \"icluster[1-60,70],gw\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets_expand_in_the_order_written() {
        for (set, names) in [
            ("gw", "gw"),
            ("n[1-3,5],gw n2", "n1 n2 n3 n5 gw"),
            ("n[08-11]", "n08 n09 n10 n11"),
            ("r[1-2]n[01-02].lab", "r1n01.lab r1n02.lab r2n01.lab r2n02.lab"),
            ("10.0.0.[1-3]", "10.0.0.1 10.0.0.2 10.0.0.3"),
            (" , ", ""),
        ] {
            assert_eq!(expand(set).unwrap().join(" "), names, "{set}");
        }
    }

    #[test]
    fn a_slip_is_named_with_its_column() {
        for (set, message) in [
            ("n[1-3", "column 2 of the node set: the bracket that opens here is not closed"),
            ("a,n1-3]", "column 7 of the node set: `]` without its `[`"),
            ("n[[1]]", "column 3 of the node set: a bracket inside a bracket"),
            ("n[1-3,x]", "column 7 of the node set: `x` is no range of numbers"),
            ("n[5-1]", "column 3 of the node set: `5-1` runs backwards"),
            ("n[]", "column 3 of the node set: `` is no range of numbers"),
            ("n[1-999999999]", "column 3 of the node set: more than 100000 names"),
            ("n[1-1000]m[1-1000]", "column 1 of the node set: more than 100000 names"),
        ] {
            assert_eq!(expand(set).unwrap_err().message, message, "{set}");
        }
    }

    #[test]
    fn names_fold_back() {
        for (names, set) in [
            ("n1 n2 n3 n5 gw", "n[1-3,5],gw"),
            ("n08 n09 n10 n11", "n[08-11]"),
            ("n1 n01 n2 n02", "n[1-2],n[01-02]"),
            ("r1n1 r1n2 r2n1", "r1n[1-2],r2n1"),
            ("a b a", "a,b"),
            ("10.0.0.1 10.0.0.2", "10.0.0.1,10.0.0.2"),
            ("eth0.lab", "eth0.lab"),
            ("", ""),
        ] {
            assert_eq!(fold(names.split_whitespace()), set, "{names}");
        }
    }

    proptest! {
        #[test]
        fn what_is_folded_expands_to_the_same_names(names in prop::collection::vec("[a-c]{0,2}[0-9]{0,3}[.x]?[0-2]{0,2}[y]?", 0..40)) {
            let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
            let set = fold(names.iter().map(String::as_str));
            let expanded: BTreeSet<String> = expand(&set).unwrap().into_iter().collect();
            prop_assert_eq!(expanded, names.into_iter().collect::<BTreeSet<_>>(), "{}", set);
        }

        #[test]
        fn any_text_is_a_set_or_an_error(set in "\\PC{0,40}|[a-b0-9\\[\\],. -]{0,40}") {
            let _ = expand(&set);
        }
    }
}
