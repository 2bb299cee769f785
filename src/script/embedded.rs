//! The stdlib and the recipes that travel in the binary. `tests/rooms.rs` holds these lists against the folders.

macro_rules! embed {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name, ".rhai")))),*]
    };
}

/// `(name, text)` of each module, imported as `std/name`.
pub const STDLIB: &[(&str, &str)] = embed!("stdlib": "entries", "existing", "faults", "fstab", "golden", "inside", "installed", "layout", "likeness", "links", "loader", "machine", "netboot", "personalize", "pxe", "rehearsal", "replica", "report", "rollout", "room", "sample", "system", "template");

/// `(name, text)` of each recipe, run as `kar run name`.
pub const RECIPES: &[(&str, &str)] =
    embed!("recipes": "capture", "dhcpd", "discover", "lab", "lilo", "linux", "netboot", "windows");
