//! The tables of /lib/modules/RELEASE as depmod writes them (modules.dep(5), modprobe.d(5) for the lines of
//! modules.alias and modules.softdep).

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::{matches, name, name_of_file};
use crate::host::{Fault, Result};

/// One folder's tables. A table that is not there is an empty one, but for modules.dep.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    folder: PathBuf,
    /// By name: the file, relative to the folder, and the names of what it needs.
    files: HashMap<String, (String, Vec<String>)>,
    /// By what stands before the first `:` or wildcard: patterns with the names of their modules.
    aliases: HashMap<String, Vec<(String, String)>>,
    /// By name: before, after.
    soft: HashMap<String, (Vec<String>, Vec<String>)>,
    builtin: BTreeSet<String>,
}

/// What all texts that a pattern matches begin with, up to a `:`.
fn bus(pattern: &str) -> &str {
    let end = pattern.find([':', '*', '?', '[', '\\']).unwrap_or(pattern.len());
    &pattern[..end]
}

impl Tables {
    /// # Errors
    /// `kmod.tables`: there is no modules.dep.
    pub fn read(folder: &Path) -> Result<Tables> {
        let table =
            |file: &str| std::fs::read(folder.join(file)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let dep = table("modules.dep").map_err(|error| {
            Fault::io("kmod.tables", format_args!("read `{}`", folder.join("modules.dep").display()), error)
        })?;
        let or_none = |file: &str| table(file).unwrap_or_default();
        let parsed =
            Tables::parse(&dep, &or_none("modules.alias"), &or_none("modules.softdep"), &or_none("modules.builtin"));
        Ok(Tables { folder: folder.to_path_buf(), ..parsed })
    }

    /// Lines that mean nothing are passed over, as kmod does.
    pub fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str) -> Tables {
        let mut tables = Tables::default();
        for (file, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
            let needs = needs.split_ascii_whitespace().filter_map(name_of_file).collect();
            tables.files.extend(name_of_file(file).map(|name| (name, (file.to_string(), needs))));
        }
        for line in alias.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if let ["alias", pattern, module] = words[..] {
                tables.aliases.entry(bus(pattern).to_string()).or_default().push((pattern.to_string(), name(module)));
            }
        }
        for line in softdep.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some("softdep"), Some(module)) = (words.next(), words.next()) else { continue };
            let (before, after) = tables.soft.entry(name(module)).or_default();
            let mut list = None;
            for word in words {
                match (word, &mut list) {
                    ("pre:", _) => list = Some(&mut *before),
                    ("post:", _) => list = Some(&mut *after),
                    (word, Some(list)) => list.push(name(word)),
                    (_, None) => {}
                }
            }
        }
        tables.builtin = builtin.lines().filter_map(name_of_file).collect();
        tables
    }

    /// The file of a module, and the names of what it needs.
    pub fn file(&self, module: &str) -> Option<(PathBuf, &[String])> {
        self.files.get(module).map(|(file, needs)| (self.folder.join(file), needs.as_slice()))
    }

    pub fn is_builtin(&self, module: &str) -> bool {
        self.builtin.contains(module)
    }

    /// What should be loaded before and after it.
    pub fn soft(&self, module: &str) -> (&[String], &[String]) {
        self.soft.get(module).map_or((&[], &[]), |(before, after)| (before, after))
    }

    /// The modules for a piece of hardware, or for another name of a module, in the table's order.
    pub fn of_alias(&self, alias: &str) -> Vec<String> {
        // Patterns such as `acpi*:PNP0501:*` have less in front than the text.
        let bus = bus(alias);
        let near =
            (0..=bus.len()).filter(|end| bus.is_char_boundary(*end)).filter_map(|end| self.aliases.get(&bus[..end]));
        let mut found = Vec::new();
        for (pattern, module) in near.flatten() {
            if !found.contains(module) && matches(pattern, alias) {
                found.push(module.clone());
            }
        }
        found
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_depmod_writes() {
        let tables = Tables::parse(
            "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko\nkernel/fs/jbd2/jbd2.ko.xz:\ngarbage\n",
            "# Aliases extracted from modules themselves.\nalias fs-ext4 ext4\nalias acpi*:PNP0501:* 8250-pnp\nalias pci:v*d*bc02* any-net\n",
            "softdep ext4 pre: crypto-crc32c post: b-c\nsoftdep\n",
            "kernel/drivers/virtio/virtio.ko\n",
        );
        let (file, needs) = tables.file("ext4").unwrap();
        assert_eq!(
            (file.to_str().unwrap(), needs),
            ("kernel/fs/ext4/ext4.ko", &["jbd2".to_string(), "crc16".into()][..])
        );
        assert!(tables.file("jbd2").is_some() && tables.is_builtin("virtio") && !tables.is_builtin("ext4"));
        assert_eq!(tables.soft("ext4"), (&["crypto_crc32c".to_string()][..], &["b_c".to_string()][..]));
        assert_eq!(tables.of_alias("fs-ext4"), ["ext4"]);
        assert_eq!(tables.of_alias("acpi:PNP0501:"), ["8250_pnp"]);
        assert_eq!(tables.of_alias("pci:v1d2bc0200"), ["any_net"]);
        assert!(tables.of_alias("pci:v1d2bc01").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_a_table(text in "(alias|softdep|pre:|post:|[a:*\\[ /-]|kernel/a.ko|\\n){0,24}") {
            let tables = Tables::parse(&text, &text, &text, &text);
            tables.of_alias(&text);
            tables.names().for_each(|name| { tables.file(name); });
        }
    }
}
