//! The one disk that is meant: found by what it is, never by luck.

use std::path::Path;

use super::machine::{Machine, Named};
use super::{Found, partition_name};
use crate::host::{Fault, Result, format_size};

/// What the disk has to be. Empty texts and None are no criteria. Texts compare whole and without case; `model` matches
/// in part, or as a pattern with `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Criteria {
    /// A device, any link that leads to it, or the name of either without its folder.
    pub path: String,
    pub serial: String,
    pub wwn: String,
    pub model: String,
    pub transport: String,
    /// Bytes, least and most.
    pub min: Option<u64>,
    pub max: Option<u64>,
    pub rotational: Option<bool>,
    pub removable: Option<bool>,
    /// Neither table nor filesystem on it; or just not that.
    pub empty: Option<bool>,
    /// Take a disk in use as well.
    pub force: bool,
}

impl Criteria {
    /// Why a disk falls out; None: it stays. `named` is the path of the disk that `path` leads to.
    fn reason(&self, disk: &Found, named: Option<&str>, machine: &dyn Machine) -> Option<String> {
        if !self.path.is_empty() && named != Some(disk.path.as_str()) {
            return Some(self.not_named(disk));
        }
        if self.path.is_empty() && !disk.physical {
            return Some("a virtual device, taken only by path".into());
        }
        let same = |wanted: &str, found: &str| wanted.trim().eq_ignore_ascii_case(found.trim());
        let texts = [
            ("serial", &self.serial, &disk.serial, same(&self.serial, &disk.serial)),
            ("wwn", &self.wwn, &disk.wwn, same(bare(&self.wwn), bare(&disk.wwn))),
            ("transport", &self.transport, &disk.transport, same(&self.transport, &disk.transport)),
            ("model", &self.model, &disk.model, is_like(&self.model, &disk.model)),
        ];
        for (what, wanted, found, fits) in texts {
            if !wanted.trim().is_empty() && !fits {
                let found = if found.is_empty() { "not told".into() } else { format!("`{found}`") };
                return Some(format!("{what} is {found}"));
            }
        }
        match (self.min, self.max) {
            (Some(min), _) if disk.size < min => return Some(format!("smaller than {}", format_size(min))),
            (_, Some(max)) if disk.size > max => return Some(format!("bigger than {}", format_size(max))),
            _ => {}
        }
        for (what, wanted, found) in
            [("rotational", self.rotational, disk.rotational), ("removable", self.removable, disk.removable)]
        {
            if wanted.is_some_and(|wanted| wanted != found) {
                return Some(format!("{}{what}", if found { "" } else { "not " }));
            }
        }
        if disk.read_only {
            return Some("read-only".into());
        }
        if let Some(used) = disk.uses.first().filter(|_| !self.force) {
            return Some(format!("in use: {used}"));
        }
        // The last question: it wakes a sleeping disk.
        match (self.empty, self.empty.map(|_| machine.contents(disk))) {
            (Some(true), Some(Ok(Some(what)))) => Some(format!("not empty: {what}")),
            (Some(false), Some(Ok(None))) => Some("empty".into()),
            (_, Some(Err(fault))) => Some(format!("it cannot be said whether it is empty: {}", fault.message)),
            _ => None,
        }
    }

    /// The name of a partition, with or without `p`, is a near miss that is told.
    fn not_named(&self, disk: &Found) -> String {
        let name = self.path.strip_prefix("/dev/").unwrap_or(&self.path);
        let own = disk.path.strip_prefix("/dev/").unwrap_or(&disk.path);
        let number = name.strip_prefix(own).map(|rest| rest.trim_start_matches('p')).and_then(|n| n.parse().ok());
        match number {
            Some(number) if partition_name(own, number) == name => {
                format!("{} is its partition {number}: name the disk itself", self.path)
            }
            _ => format!("not {}", self.path),
        }
    }
}

/// /sys has a WWN with its kind in front (`naa.5000c5..`), links and labels have `0x` or nothing.
fn bare(wwn: &str) -> &str {
    let wwn = wwn.trim();
    let kinds = ["naa.", "eui.", "0x"];
    let stripped = kinds.iter().find_map(|kind| wwn.get(..kind.len()).filter(|start| start.eq_ignore_ascii_case(kind)));
    let rest = stripped.map_or(wwn, |kind| &wwn[kind.len()..]);
    if rest.is_empty() { wwn } else { rest }
}

/// In part, or as a pattern; without case.
fn is_like(wanted: &str, found: &str) -> bool {
    let (wanted, found) = (wanted.trim().to_lowercase(), found.to_lowercase());
    match wanted.contains(['*', '?']) {
        true => glob(&wanted.chars().collect::<Vec<_>>(), &found.trim().chars().collect::<Vec<_>>()),
        false => found.contains(&wanted),
    }
}

/// `*` is any text, `?` any character. Goes back to the last `*` only, so it never takes long.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                None => return false,
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The path of the one disk of a machine that meets all criteria. A path that names an image file is taken as it is.
///
/// # Errors
/// `disk.pick`: none or several do; every candidate is listed with the reason why it fell out.
pub fn pick(machine: &dyn Machine, criteria: &Criteria) -> Result<String> {
    let mut disks = machine.disks();
    let named = match (criteria.path.as_str(), machine.find(Path::new(&criteria.path))) {
        ("", _) => None,
        (_, Named::Image) => return Ok(criteria.path.clone()),
        (_, Named::Disk(disk)) => {
            let path = disk.path.clone();
            if disks.iter().all(|known| known.path != path) {
                disks.push(*disk);
            }
            Some(path)
        }
        (name, Named::Nothing) => {
            let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_string();
            let is_called = |path: &String| path == name || (!name.contains('/') && last(path) == name);
            let called = |disk: &&Found| is_called(&disk.path) || disk.links.iter().any(is_called);
            disks.iter().find(called).map(|disk| disk.path.clone())
        }
    };
    let judged: Vec<_> = disks.iter().map(|disk| (disk, criteria.reason(disk, named.as_deref(), machine))).collect();
    let fit: Vec<_> = judged.iter().filter(|(_, reason)| reason.is_none()).collect();
    if let [(only, _)] = fit[..] {
        return Ok(only.path.clone());
    }
    let mut lines = String::new();
    for (disk, reason) in &judged {
        let reason = reason.clone().unwrap_or_else(|| "fits".into());
        let about = [disk.model.as_str(), disk.serial.as_str()].join(" ");
        lines += &format!("; {} ({}{}): {reason}", disk.path, format_size(disk.size), spaced(about.trim()));
    }
    let count = match (judged.len(), fit.len()) {
        (0, _) => "this machine has no disks".into(),
        (all, 0) => format!("none of {all} disks fits"),
        (all, many) => format!("{many} of {all} disks fit, one is wanted"),
    };
    Err(Fault::new("disk.pick", format!("cannot pick a disk: {count}{lines}"))
        .hint("`disk::list()` shows all there is to tell them apart; serial and wwn name one for good"))
}

fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", {text}") }
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
