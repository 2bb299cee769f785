//! What is in a tree, in words that can be compared: written without kar's own walker, to hold against it.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Path from the root -> everything a clone has to keep, times of folders left out.
pub fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut links = HashMap::new();
    walk(root, root, &mut found, &mut links);
    found
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, String>, links: &mut HashMap<u64, String>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let data = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let kind = data.file_type();
        let mut says = format!("mode {:o} owner {}:{}", data.mode(), data.uid(), data.gid());
        if kind.is_file() {
            says += &format!(" size {} content {}", data.len(), blake3::hash(&std::fs::read(&path).unwrap()).to_hex());
            if data.nlink() > 1 {
                let first = links.entry(data.ino()).or_insert_with(|| name.clone());
                says += &format!(" same as {first}");
            }
        }
        if kind.is_symlink() {
            says += &format!(" to {}", path.read_link().unwrap().display());
        }
        if kind.is_char_device() || kind.is_block_device() {
            says += &format!(" device {}", data.rdev());
        }
        if !kind.is_dir() {
            says += &format!(" changed {}.{:09}", data.mtime(), data.mtime_nsec());
        }
        let mut attributes: Vec<_> = xattr::list(&path).unwrap().collect();
        attributes.sort();
        for attribute in attributes {
            let value = xattr::get(&path, &attribute).unwrap().unwrap_or_default();
            says += &format!(" {}={value:02x?}", attribute.to_string_lossy());
        }
        found.insert(name, says);
        if kind.is_dir() {
            walk(root, &path, found, links);
        }
    }
}

/// Every difference between two listings, a line each.
pub fn differences(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name))
        .map(|name| format!("{name}: {:?} became {:?}", wanted.get(name), found.get(name)))
        .collect()
}
