//! A list of maps as a table.

use rhai::{Array, Dynamic, Map};

use super::show::{MOST_ITEMS, Screen, more, short};
use crate::script::Session;

/// The least width of a column that had to be cut.
const LEAST: usize = 8;

/// Whether a list is one of maps that share keys.
pub fn fits(list: &Array) -> bool {
    !list.is_empty() && list.iter().all(|item| item.read_lock::<Map>().is_some_and(|map| !map.is_empty()))
}

/// One row for each map; a column for every key that any of them has. Numbers stand to the right.
pub fn of_maps(session: &Session, list: &Array, screen: &Screen) -> String {
    let maps: Vec<Map> = list.iter().take(MOST_ITEMS).filter_map(|item| item.clone().try_cast::<Map>()).collect();
    let mut keys: Vec<String> = Vec::new();
    for map in &maps {
        for key in map.keys().filter(|key| !keys.iter().any(|known| known == key.as_str())).collect::<Vec<_>>() {
            keys.push(key.to_string());
        }
    }
    order(&mut keys);
    let cell = |map: &Map, key: &str| match map.get(key) {
        None => String::new(),
        Some(value) if value.is_unit() => "-".into(),
        Some(value) if value.is_string() => one_line(&value.to_string()),
        Some(value) => match value.read_lock::<Array>() {
            // The titles say what it is: no brackets and quotes.
            Some(list) if list.iter().all(Dynamic::is_string) => {
                one_line(&list.iter().map(Dynamic::to_string).collect::<Vec<_>>().join(", "))
            }
            _ => short(session, Some(key), value),
        },
    };
    let rows: Vec<Vec<String>> = maps.iter().map(|map| keys.iter().map(|key| cell(map, key)).collect()).collect();
    let right: Vec<bool> =
        keys.iter().map(|key| maps.iter().filter_map(|map| map.get(key.as_str())).all(is_number)).collect();
    let mut text = lines(&keys, &rows, &right, screen);
    more(&mut text, list.len(), "rows", screen);
    text.trim_end().to_string()
}

/// What names a row comes first; maps have their keys by the alphabet.
fn order(keys: &mut [String]) {
    let place =
        |key: &str| ["name", "host", "node", "path", "number"].iter().position(|first| *first == key).unwrap_or(9);
    keys.sort_by_key(|key| place(key));
}

/// Line ends and the like would break the table.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn is_number(value: &Dynamic) -> bool {
    value.is_int() || value.is_float()
}

/// Columns of cells under their titles, no wider than the screen as long as columns can be cut.
pub fn lines(titles: &[String], rows: &[Vec<String>], right: &[bool], screen: &Screen) -> String {
    let mut widths: Vec<usize> = (0..titles.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .chain([titles[column].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    while widths.iter().map(|width| width + 2).sum::<usize>() > screen.columns + 2 {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > LEAST) else { break };
        *widest -= 1;
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().enumerate().map(|(at, cell)| pad(cell, widths[at], right[at])).collect();
        padded.join("  ").trim_end().to_string()
    };
    let mut text = format!("{}\n", screen.dim(&line(titles)));
    rows.iter().for_each(|row| text += &format!("{}\n", line(row)));
    text
}

fn pad(cell: &str, width: usize, right: bool) -> String {
    let length = cell.chars().count();
    if length > width {
        return format!("{}..", cell.chars().take(width - 2).collect::<String>());
    }
    let gap = " ".repeat(width - length);
    if right { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
}
