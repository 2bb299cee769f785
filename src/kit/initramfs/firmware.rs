//! Firmware that modules ask for by name.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::unpack::read_plain;
use crate::host::{Cancel, Result};

/// What a driver may ask for and this machine does not have. Many drivers work without, or need one of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Below /lib/firmware.
    pub file: String,
    /// Who asks for it.
    pub module: String,
    /// The Debian package that has it; empty where that is not known.
    pub debian: &'static str,
}

/// What Debian's packages have, by the beginning of the name (non-free-firmware).
const PACKAGES: [(&str, &str); 22] = [
    ("3com/", "firmware-misc-nonfree"),
    ("acenic/", "firmware-misc-nonfree"),
    ("adaptec/", "firmware-misc-nonfree"),
    ("bnx2/", "firmware-bnx2"),
    ("bnx2x/", "firmware-bnx2x"),
    ("cbfw", "firmware-qlogic"),
    ("ctfw", "firmware-qlogic"),
    ("ct2fw", "firmware-qlogic"),
    ("cxgb", "firmware-misc-nonfree"),
    ("e100/", "firmware-misc-nonfree"),
    ("intel/ice/", "firmware-misc-nonfree"),
    ("kaweth/", "firmware-misc-nonfree"),
    ("liquidio/", "firmware-cavium"),
    ("mellanox/", "firmware-misc-nonfree"),
    ("myri10ge", "firmware-myricom"),
    ("netronome/", "firmware-netronome"),
    ("phanfw", "firmware-qlogic"),
    ("qed/", "firmware-qlogic"),
    ("ql2", "firmware-qlogic"),
    ("rtl_nic/", "firmware-realtek"),
    ("slicoss/", "firmware-misc-nonfree"),
    ("tigon/", "firmware-misc-nonfree"),
];

pub fn package(file: &str) -> &'static str {
    PACKAGES.iter().find(|(start, _)| file.starts_with(start)).map_or("", |(_, package)| package)
}

/// The file below `root` that a name stands for, packed or not, in the places where the kernel itself looks
/// (drivers/base/firmware_loader).
fn find(root: &Path, release: &str, wanted: &str) -> Option<PathBuf> {
    // A name that leads out of the folder is no firmware's.
    if wanted.starts_with('/') || wanted.split('/').any(|part| part == "..") {
        return None;
    }
    let folders = [format!("updates/{release}"), "updates".into(), release.to_string(), String::new()];
    let roots = ["lib/firmware", "usr/lib/firmware"];
    let names = ["", ".xz", ".zst"].map(|end| format!("{wanted}{end}"));
    let places = roots.iter().flat_map(|place| folders.iter().map(move |folder| Path::new(place).join(folder)));
    places.flat_map(|folder| names.clone().map(|name| root.join(&folder).join(name))).find(|path| path.is_file())
}

/// The contents of one firmware file, unpacked; none: it is not on this machine.
///
/// # Errors
/// Those of [`read_plain`].
pub fn read(root: &Path, release: &str, wanted: &str, cancel: &Cancel) -> Result<Option<Vec<u8>>> {
    find(root, release, wanted).map(|path| read_plain(&path, cancel)).transpose()
}
