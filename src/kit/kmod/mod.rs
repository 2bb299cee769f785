//! Kernel modules: what they say of themselves, the tables that depmod writes, and loading them without modprobe.

mod glob;
mod load;
mod modinfo;
mod tables;

pub use glob::matches;
pub use load::{Loader, running};
pub use modinfo::{Modinfo, modinfo};
pub use tables::Tables;

/// As the kernel writes a module's name: `_` where files and people may have `-`.
pub fn name(text: &str) -> String {
    text.replace('-', "_")
}

/// The name of the module in a file, `virtio_net` of `kernel/drivers/net/virtio_net.ko.xz`; none: it is no module's.
pub fn name_of_file(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let endings = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];
    endings.iter().find_map(|end| file.strip_suffix(end)).filter(|name| !name.is_empty()).map(name)
}
