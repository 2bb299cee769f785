//! What a machine is, from /proc, /sys and uname(2).

use std::path::Path;

use crate::host::{Fault, Result};

/// Texts are empty where the machine does not say, or kar may not read it (serial and uuid: root only).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Facts {
    pub hostname: String,
    /// As `uname -m`: `x86_64`, `aarch64`.
    pub arch: String,
    /// As `uname -r`.
    pub kernel: String,
    /// Processors that are on.
    pub cpus: u64,
    /// Bytes the kernel manages; somewhat less than what is plugged in.
    pub memory: u64,
    /// `bios` or `uefi`: how this boot was done.
    pub firmware: &'static str,
    pub vendor: String,
    pub product: String,
    pub serial: String,
    /// The SMBIOS UUID, lower case; DHCP option 97 carries the same.
    pub uuid: String,
    /// All but loopback, by name.
    pub interfaces: Vec<Interface>,
    /// Seconds since the kernel started.
    pub uptime: f64,
    /// Whether a hypervisor runs it.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Interface {
    pub name: String,
    /// `52:54:00:12:34:56`; empty for one that has none.
    pub mac: String,
    /// A cable and a peer are there.
    pub carrier: bool,
}

/// # Errors
/// `node.facts`: /proc is not mounted.
pub fn facts() -> Result<Facts> {
    facts_of(Path::new("/"))
}

/// Facts with `root` standing for the root of /proc and /sys; names and kernel are this machine's in any case.
pub(super) fn facts_of(root: &Path) -> Result<Facts> {
    let word = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default().trim().to_string();
    let need = |path: &str| {
        std::fs::read_to_string(root.join(path))
            .map_err(|error| Fault::io("node.facts", format_args!("read `{}`", root.join(path).display()), error))
    };
    let names = nix::sys::utsname::uname()
        .map_err(|error| Fault::io("node.facts", "read the kernel's name", std::io::Error::from(error)))?;
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    let dmi = |name: &str| word(&format!("sys/class/dmi/id/{name}"));
    let (vendor, product) = (dmi("sys_vendor"), dmi("product_name"));
    let is_virtual = is_virtual(&word("proc/cpuinfo"), &word("sys/hypervisor/type"), &vendor, &product);
    Ok(Facts {
        hostname: text(names.nodename()),
        arch: text(names.machine()),
        kernel: text(names.release()),
        cpus: count_list(&word("sys/devices/system/cpu/online")).max(1),
        memory: memory(&need("proc/meminfo")?),
        firmware: if root.join("sys/firmware/efi").exists() { "uefi" } else { "bios" },
        vendor,
        product,
        serial: dmi("product_serial"),
        uuid: dmi("product_uuid").to_ascii_lowercase(),
        interfaces: interfaces(&root.join("sys/class/net")),
        uptime: need("proc/uptime")?.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0),
        is_virtual,
    })
}

/// `MemTotal:  16337032 kB`, where kB means 1024 bytes.
fn memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

/// How many numbers the kernel's list form names: `0-3,8`.
fn count_list(list: &str) -> u64 {
    let count = |range: &str| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (low.parse::<u64>().ok()?, high.parse::<u64>().ok()?);
        high.checked_sub(low)?.checked_add(1)
    };
    list.split(',').filter_map(count).fold(0, u64::saturating_add)
}

fn is_virtual(cpuinfo: &str, hypervisor: &str, vendor: &str, product: &str) -> bool {
    // The cpu flag exists on x86 only; elsewhere the firmware's names tell.
    const MAKERS: [&str; 6] = ["QEMU", "KVM", "VMware", "VirtualBox", "innotek", "Xen"];
    let flag = cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.ends_with(" hypervisor") || line.contains(" hypervisor "));
    flag || !hypervisor.is_empty() || MAKERS.iter().any(|maker| vendor.contains(maker) || product.contains(maker))
}

fn interfaces(folder: &Path) -> Vec<Interface> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<Interface> = entries
        .filter_map(|entry| {
            let word = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            let name = entry.file_name().to_string_lossy().into_owned();
            // A file, as bonding leaves one there, is no interface.
            let is_one = name != "lo" && entry.path().is_dir();
            // Reading `carrier` of one that is down is an error.
            is_one.then(|| Interface {
                name,
                mac: word("address").trim().to_string(),
                carrier: word("carrier").trim() == "1",
            })
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
        }
    }

    #[test]
    fn facts_of_a_machine_that_tells_all() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            &[
                ("proc/meminfo", "MemTotal:       16337032 kB\nMemFree: 1 kB\n"),
                ("proc/uptime", "1234.56 9999.99\n"),
                ("proc/cpuinfo", "processor: 0\nflags\t\t: fpu vme de\n"),
                ("sys/devices/system/cpu/online", "0-3,8\n"),
                ("sys/firmware/efi/fw_platform_size", "64\n"),
                ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
                ("sys/class/dmi/id/product_name", "OptiPlex 7010\n"),
                ("sys/class/dmi/id/product_serial", "AB12CD3\n"),
                ("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3110-8032-C7C04F434433\n"),
                ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
                ("sys/class/net/enp3s0/address", "52:54:00:12:34:56\n"),
                ("sys/class/net/enp3s0/carrier", "1\n"),
                ("sys/class/net/enp2s0/address", "52:54:00:12:34:55\n"),
                ("sys/class/net/bonding_masters", "\n"),
            ],
        );
        let facts = facts_of(root.path()).unwrap();
        assert_eq!((facts.cpus, facts.memory, facts.uptime), (5, 16_337_032 * 1024, 1234.56));
        assert_eq!((facts.firmware, facts.is_virtual), ("uefi", false));
        assert_eq!((&*facts.vendor, &*facts.product, &*facts.serial), ("Dell Inc.", "OptiPlex 7010", "AB12CD3"));
        assert_eq!(facts.uuid, "4c4c4544-0042-3110-8032-c7c04f434433");
        let seen: Vec<_> = facts.interfaces.iter().map(|i| (&*i.name, &*i.mac, i.carrier)).collect();
        assert_eq!(seen, [("enp2s0", "52:54:00:12:34:55", false), ("enp3s0", "52:54:00:12:34:56", true)]);
    }

    #[test]
    fn a_machine_that_tells_little_has_gaps_and_none_is_made_up() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(facts_of(root.path()).unwrap_err().kind, "node.facts");
        put(root.path(), &[("proc/meminfo", "garbage"), ("proc/uptime", "")]);
        let facts = facts_of(root.path()).unwrap();
        assert_eq!((facts.cpus, facts.memory, facts.firmware, &*facts.uuid), (1, 0, "bios", ""));
        assert!(facts.interfaces.is_empty() && !facts.is_virtual);
    }

    #[test]
    fn a_hypervisor_is_told_by_its_flag_or_its_name() {
        assert!(is_virtual("flags\t: fpu hypervisor lahf_lm", "", "", ""));
        assert!(is_virtual("flags\t: fpu hypervisor", "", "", ""));
        assert!(is_virtual("", "", "QEMU", "Standard PC"));
        assert!(is_virtual("", "xen", "", ""));
        assert!(!is_virtual("flags\t: fpu hypervisors", "", "LENOVO", "20XY"));
    }

    #[test]
    fn this_machine_has_facts() {
        let facts = facts().unwrap();
        assert_eq!(facts.arch, std::env::consts::ARCH);
        assert!(facts.memory > 0 && facts.uptime > 0.0 && !facts.kernel.is_empty());
    }
}
