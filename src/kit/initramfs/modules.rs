//! The modules of one kernel as they lie on this machine, or in an unpacked kernel package, which has no tables yet.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::unpack::read_plain;
use crate::host::{Cancel, Fault, Result};
use crate::kit::kmod::{Modinfo, modinfo, name, name_of_file};

/// /lib/modules/RELEASE.
pub struct Modules {
    folder: PathBuf,
    release: String,
    /// By name: the file below `folder`.
    files: BTreeMap<String, String>,
    builtin: BTreeSet<String>,
    /// Other names with the modules that have them; found out when one is asked for.
    aliases: OnceCell<HashMap<String, Vec<String>>>,
    cancel: Cancel,
}

/// One module that goes into the image.
pub struct Module {
    /// Below /lib/modules/RELEASE, unpacked: `kernel/fs/ext4/ext4.ko`.
    pub path: String,
    pub data: Vec<u8>,
    pub info: Modinfo,
}

/// By name.
pub type Chosen = BTreeMap<String, Module>;

/// What the file of a module is called when it is unpacked.
fn unpacked(path: &str) -> &str {
    path.find(".ko.").map_or(path, |at| &path[..at + 3])
}

/// The releases that `root` has modules of.
fn releases(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("lib/modules")).into_iter().flatten().flatten();
    let mut all: Vec<String> = entries
        .filter(|entry| entry.path().join("kernel").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// The kernel that is meant: the one asked for, else the only one below `root`, else the running one.
///
/// # Errors
/// `initramfs.release`: none of it, or several to choose from; the hint lists them.
pub fn release(root: &Path, asked: Option<&str>) -> Result<String> {
    let all = releases(root);
    let running = nix::sys::utsname::uname().ok().map(|names| names.release().to_string_lossy().into_owned());
    let wanted = match (asked, all.as_slice()) {
        (Some(asked), _) => asked.to_string(),
        (None, [only]) => return Ok(only.clone()),
        (None, _) => running.unwrap_or_default(),
    };
    if all.contains(&wanted) {
        return Ok(wanted);
    }
    let folder = root.join("lib/modules");
    let fault = Fault::new("initramfs.release", format!("no modules of kernel `{wanted}` in `{}`", folder.display()));
    Err(match all.is_empty() {
        true => fault.hint(format!(
            "the Debian package `linux-image-{wanted}` has them; `linux-image-amd64` is the usual kernel"
        )),
        false => fault.hint(format!("there are: {}; `release` names one", all.join(", "))),
    })
}

impl Modules {
    /// # Errors
    /// `initramfs.read`: the folder cannot be read.
    pub fn open(root: &Path, release: &str, cancel: &Cancel) -> Result<Modules> {
        let folder = root.join("lib/modules").join(release);
        let mut files = BTreeMap::new();
        walk(&folder, "kernel", &mut files)?;
        // Built outside of the kernel's own tree, by dkms; they take precedence.
        for extra in ["extra", "updates"] {
            if folder.join(extra).is_dir() {
                walk(&folder, extra, &mut files)?;
            }
        }
        let builtin = std::fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        let builtin = builtin.lines().filter_map(name_of_file).collect();
        let (release, cancel) = (release.to_string(), cancel.clone());
        Ok(Modules { folder, release, files, builtin, aliases: OnceCell::new(), cancel })
    }

    /// The names of what is built into the kernel.
    pub fn builtin(&self) -> &BTreeSet<String> {
        &self.builtin
    }

    /// The modules that a word of the list means: a name; or a folder of the kernel's tree, which ends in `/`, with all
    /// that is below it. None: this kernel has nothing of it.
    pub fn named(&self, word: &str) -> Option<Vec<String>> {
        if let Some(folder) = word.strip_suffix('/') {
            let below = format!("kernel/{}/", folder.trim_start_matches("kernel/"));
            let all: Vec<String> =
                self.files.iter().filter(|(_, path)| path.starts_with(&below)).map(|(name, _)| name.clone()).collect();
            return (!all.is_empty()).then_some(all);
        }
        let module = name(word);
        match self.files.contains_key(&module) {
            true => Some(vec![module]),
            false => self.builtin.contains(&module).then(Vec::new),
        }
    }

    /// The refusal of a name that [`Modules::named`] does not know.
    pub fn missing(&self, word: &str) -> Fault {
        let release = &self.release;
        let fault = Fault::new("initramfs.module", format!("kernel {release} has no module `{word}`"))
            .nearest(&name(word), self.files.keys().map(String::as_str));
        match release.contains("cloud") {
            true => fault.hint("the Debian package `linux-image-amd64` has more drivers than a cloud kernel"),
            false => fault.hint(format!(
                "it would be in the Debian package `linux-image-{release}`; `optional` takes what may be missing"
            )),
        }
    }

    /// These modules with all they need, and what they would like to have.
    ///
    /// # Errors
    /// `initramfs.module`: one cannot be read, is damaged, or needs one that is not there.
    pub fn closure(&self, names: &[String]) -> Result<Chosen> {
        let mut chosen = Chosen::new();
        let mut open: Vec<String> = names.to_vec();
        while let Some(module) = open.pop() {
            if self.cancel.is_set() {
                return Err(Fault::stopped());
            }
            if chosen.contains_key(&module) || self.builtin.contains(&module) {
                continue;
            }
            let Some(file) = self.files.get(&module) else {
                return Err(self.missing(&module));
            };
            let read = self.read(file)?;
            open.extend(read.info.depends.iter().cloned());
            for soft in read.info.soft() {
                open.extend(self.softly(soft)?);
            }
            chosen.insert(module, read);
        }
        Ok(chosen)
    }

    /// The modules of a name that may be missing.
    fn softly(&self, wanted: &str) -> Result<Vec<String>> {
        let module = name(wanted);
        if self.files.contains_key(&module) {
            return Ok(vec![module]);
        }
        if self.builtin.contains(&module) {
            return Ok(Vec::new());
        }
        let aliases = match self.aliases.get() {
            Some(aliases) => aliases,
            None => {
                let read = self.read_aliases()?;
                self.aliases.get_or_init(|| read)
            }
        };
        Ok(aliases.get(wanted).cloned().unwrap_or_default())
    }

    /// From depmod's table; where there is none yet, from every module.
    fn read_aliases(&self) -> Result<HashMap<String, Vec<String>>> {
        let mut aliases: HashMap<String, Vec<String>> = HashMap::new();
        let mut add = |alias: &str, module: String| {
            let known = aliases.entry(alias.to_string()).or_default();
            if !known.contains(&module) {
                known.push(module);
            }
        };
        if let Ok(table) = std::fs::read_to_string(self.folder.join("modules.alias")) {
            for line in table.lines() {
                if let ["alias", alias, module] = line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                    add(alias, name(module));
                }
            }
            return Ok(aliases);
        }
        for (module, file) in &self.files {
            if self.cancel.is_set() {
                return Err(Fault::stopped());
            }
            self.read(file)?.info.aliases.iter().for_each(|alias| add(alias, module.clone()));
        }
        Ok(aliases)
    }

    fn read(&self, file: &str) -> Result<Module> {
        let path = self.folder.join(file);
        let data = read_plain(&path, &self.cancel)?;
        let info = modinfo(&data).map_err(|why| {
            Fault::new("initramfs.module", format!("cannot read the kernel module `{}`: {why}", path.display()))
        })?;
        Ok(Module { path: unpacked(file).to_string(), data, info })
    }
}

fn walk(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let dir = folder.join(below);
    let fail = |error| Fault::io("initramfs.read", format_args!("read `{}`", dir.display()), error);
    for entry in std::fs::read_dir(&dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(fail)?.is_dir() {
            walk(folder, &path, files)?;
        } else if let Some(name) = name_of_file(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}
