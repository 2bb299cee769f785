//! The one disk that is meant: found by what it is, never by luck.

use std::path::Path;

use super::Found;
use crate::host::{Fault, Result, format_size};

/// What the disk has to be. Empty texts and None are no criteria. Texts compare whole, `model` also in part; `path`
/// may be a link in /dev/disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Criteria {
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
    /// Take a disk in use as well.
    pub force: bool,
}

impl Criteria {
    /// Why a disk falls out; None: it stays.
    fn reason(&self, disk: &Found) -> Option<String> {
        let named = !self.path.is_empty();
        if named && disk.path != self.path && !disk.links.contains(&self.path) {
            return Some(format!("not {}", self.path));
        }
        if !named && !disk.physical {
            return Some("a virtual device, taken only by path".into());
        }
        let texts = [
            ("serial", &self.serial, &disk.serial),
            ("wwn", &self.wwn, &disk.wwn),
            ("transport", &self.transport, &disk.transport),
        ];
        for (what, wanted, found) in texts {
            if !wanted.is_empty() && !wanted.trim().eq_ignore_ascii_case(found.trim()) {
                return Some(format!("{what} is `{found}`"));
            }
        }
        if !disk.model.to_lowercase().contains(&self.model.to_lowercase()) {
            return Some(format!("model is `{}`", disk.model));
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
        let used = disk.uses.first().filter(|_| !self.force);
        used.map(|used| format!("in use: {used}"))
    }
}

/// The path of the one disk of `disks` that meets all criteria. A path that names an image file is taken as it is.
///
/// # Errors
/// `disk.pick`: none or several do; every candidate is listed with the reason why it fell out.
pub fn pick(disks: &[Found], criteria: &Criteria) -> Result<String> {
    if !criteria.path.is_empty() && std::fs::metadata(&criteria.path).is_ok_and(|meta| meta.is_file()) {
        return Ok(criteria.path.clone());
    }
    let mut disks = disks.to_vec();
    if let Some(named) = super::find(Path::new(&criteria.path)).filter(|_| !criteria.path.is_empty())
        && !disks.iter().any(|disk| disk.path == named.path)
    {
        disks.push(named);
    }
    let judged: Vec<_> = disks.iter().map(|disk| (disk, criteria.reason(disk))).collect();
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
    let count = match fit.len() {
        0 => format!("none of {} disks fits", judged.len()),
        many => format!("{many} of {} disks fit, one is wanted", judged.len()),
    };
    Err(Fault::new("disk.pick", format!("cannot pick a disk: {count}{lines}"))
        .hint("`disk::list()` shows all there is to tell them apart; serial and wwn name one for good"))
}

fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &str, gib: u64, serial: &str) -> Found {
        Found {
            path: path.into(),
            size: gib << 30,
            sector_size: 512,
            model: "Samsung SSD 980".into(),
            serial: serial.into(),
            wwn: format!("eui.{serial}"),
            transport: "nvme".into(),
            rotational: false,
            removable: false,
            read_only: false,
            physical: true,
            links: vec![format!("/dev/disk/by-id/nvme-{serial}")],
            uses: Vec::new(),
        }
    }

    #[test]
    fn exactly_one_or_an_error_with_reasons() {
        let mut disks = [disk("/dev/nvme0n1", 512, "A1"), disk("/dev/nvme1n1", 1024, "B2"), disk("/dev/sda", 64, "C3")];
        disks[2].uses.push("/dev/sda2 is mounted at /home".into());
        let by = |criteria: Criteria| pick(&disks, &criteria);
        assert_eq!(by(Criteria { serial: "b2".into(), ..Criteria::default() }).unwrap(), "/dev/nvme1n1");
        let link = "/dev/disk/by-id/nvme-A1".into();
        assert_eq!(by(Criteria { path: link, ..Criteria::default() }).unwrap(), "/dev/nvme0n1");
        assert_eq!(by(Criteria { max: Some(600 << 30), ..Criteria::default() }).unwrap(), "/dev/nvme0n1");
        let fault = by(Criteria { min: Some(1 << 40), max: Some(1 << 39), ..Criteria::default() }).unwrap_err();
        assert_eq!(fault.kind, "disk.pick");
        let expected = "cannot pick a disk: none of 3 disks fits; /dev/nvme0n1 (512 GiB, Samsung SSD 980 A1): smaller than \
                        1 TiB; /dev/nvme1n1 (1 TiB, Samsung SSD 980 B2): bigger than 512 GiB; /dev/sda (64 GiB, Samsung \
                        SSD 980 C3): smaller than 1 TiB";
        assert_eq!(fault.message, expected);
        let fault = by(Criteria::default()).unwrap_err();
        assert!(fault.message.contains("2 of 3 disks fit, one is wanted"), "{}", fault.message);
        assert!(fault.message.ends_with("in use: /dev/sda2 is mounted at /home"), "{}", fault.message);
    }
}
