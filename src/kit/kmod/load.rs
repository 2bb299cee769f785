//! Loading modules by finit_module(2), with what they need.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use super::{Tables, name};
use crate::host::{Fault, Result, nearest};

/// MODULE_INIT_COMPRESSED_FILE: the kernel unpacks the file (linux/module.h, since 5.17).
const COMPRESSED: u32 = 4;

/// Knows what is there to load, and what it has tried.
pub struct Loader {
    tables: Tables,
    /// Of the command line: `NAME.PARAMETER=VALUE`, by module.
    parameters: HashMap<String, Vec<String>>,
    /// Of the command line: `modprobe.blacklist=A,B`; not loaded for hardware, only by name.
    blacklist: BTreeSet<String>,
    /// Loaded, built in, or refused: none of them is tried again.
    tried: BTreeSet<String>,
}

/// The folder of modules of the running kernel.
///
/// # Errors
/// `kmod.release`: the kernel does not say its release.
pub fn running() -> Result<PathBuf> {
    let names =
        nix::sys::utsname::uname().map_err(|error| Fault::io("kmod.release", "read the kernel's release", error))?;
    Ok(Path::new("/lib/modules").join(names.release()))
}

impl Loader {
    /// `words` is the kernel's command line.
    pub fn new(tables: Tables, words: impl Iterator<Item = (String, String)>) -> Self {
        let mut loader =
            Loader { tables, parameters: HashMap::new(), blacklist: BTreeSet::new(), tried: BTreeSet::new() };
        for (word, value) in words {
            match word.split_once('.') {
                Some(("modprobe" | "module_blacklist", "blacklist")) => {
                    loader.blacklist.extend(value.split(',').map(name))
                }
                Some((module, parameter)) if !parameter.is_empty() => {
                    let set = if value.is_empty() { parameter.to_string() } else { format!("{parameter}={value}") };
                    loader.parameters.entry(name(module)).or_default().push(set);
                }
                _ => {}
            }
        }
        loader
    }

    /// Loads a module by name or alias; those there already are no error.
    ///
    /// # Errors
    /// `kmod.missing`: neither a module of this kernel nor an alias of one; `kmod.load`: the kernel's refusal.
    pub fn load(&mut self, wanted: &str) -> Result<()> {
        let module = name(wanted);
        if self.tables.file(&module).is_some() || self.is_there(&module) {
            return self.insert(&module, 0);
        }
        let modules = self.tables.of_alias(wanted);
        if modules.is_empty() {
            let fault = Fault::new(
                "kmod.missing",
                format!("cannot load the kernel module `{wanted}`: there is none of this name"),
            );
            let near = nearest(&module, self.tables.names());
            return Err(near.map_or(fault.clone(), |near| fault.hint(format!("did you mean `{near}`?"))));
        }
        modules.iter().try_for_each(|module| self.insert(module, 0))
    }

    /// Loads what drives a piece of hardware. Gives the names that are new, and what failed beside them.
    pub fn load_for(&mut self, modalias: &str) -> (Vec<String>, Vec<Fault>) {
        let (mut new, mut failed) = (Vec::new(), Vec::new());
        for module in self.tables.of_alias(modalias) {
            if self.blacklist.contains(&module) || self.tried.contains(&module) || self.is_there(&module) {
                continue;
            }
            match self.insert(&module, 0) {
                Ok(()) => new.push(module),
                Err(fault) => failed.push(fault),
            }
        }
        (new, failed)
    }

    /// Loaded, or built in. The kernel's own list has what is built in with parameters only.
    fn is_there(&self, module: &str) -> bool {
        self.tables.is_builtin(module) || Path::new("/sys/module").join(module).exists()
    }

    /// What it needs, then itself, then what should follow. A circle of modules is ended by `depth`.
    fn insert(&mut self, module: &str, depth: u32) -> Result<()> {
        if self.is_there(module) || depth > 64 || !self.tried.insert(module.to_string()) {
            return Ok(());
        }
        let Some((path, needs)) = self.tables.file(module) else { return Ok(()) };
        let needs = needs.to_vec();
        let (before, after) = self.tables.soft(module);
        let (before, after) = (before.to_vec(), after.to_vec());
        // depmod names the farthest last.
        needs.iter().rev().try_for_each(|need| self.insert(need, depth + 1))?;
        self.softly(&before, depth);
        self.finit(module, &path)?;
        self.softly(&after, depth);
        Ok(())
    }

    /// What should be there and need not.
    fn softly(&mut self, wanted: &[String], depth: u32) {
        for wanted in wanted {
            let mut modules = vec![wanted.clone()];
            // Aliases have `-` where the name of a module has `_`.
            modules.extend(self.tables.of_alias(wanted));
            modules.extend(self.tables.of_alias(&wanted.replace('_', "-")));
            for module in modules {
                let _ = self.insert(&module, depth + 1);
            }
        }
    }

    fn finit(&self, module: &str, path: &Path) -> Result<()> {
        let what = || format!("load the kernel module `{module}` from `{}`", path.display());
        let file = File::open(path).map_err(|error| Fault::io("kmod.load", what(), error))?;
        let parameters = self.parameters.get(module).map(|list| list.join(" ")).unwrap_or_default();
        let parameters = CString::new(parameters).unwrap_or_default();
        let packed = path.extension().is_some_and(|end| end != "ko");
        let flags = ModuleInitFlags::from_bits_retain(if packed { COMPRESSED } else { 0 });
        match finit_module(file, &parameters, flags) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => {
                let fault = Fault::io("kmod.load", what(), error);
                Err(match error {
                    Errno::ENOEXEC => fault.hint("it was made for another kernel"),
                    Errno::ENOENT => fault.hint("it uses what no loaded module has: `dmesg` names it"),
                    Errno::ENODEV => fault.hint("its hardware is not in this machine"),
                    _ => fault,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loader(line: &[(&str, &str)]) -> Loader {
        let tables =
            Tables::parse("kernel/a_b.ko: kernel/gone.ko\nkernel/gone.ko:\n", "alias hw:* a_b\n", "", "kernel/in.ko\n");
        Loader::new(tables, line.iter().map(|(word, value)| (word.to_string(), value.to_string())))
    }

    #[test]
    fn what_is_missing_and_what_is_refused() {
        loader(&[]).load("in").unwrap();
        let fault = loader(&[]).load("a-bb").unwrap_err();
        assert_eq!((&*fault.kind, &*fault.hints[0]), ("kmod.missing", "did you mean `a_b`?"));
        // The file of what it needs is not there.
        let fault = loader(&[]).load("a-b").unwrap_err();
        assert_eq!(fault.kind, "kmod.load");
        assert!(fault.message.contains("`gone`"), "{fault}");
        let (new, failed) = loader(&[]).load_for("hw:1");
        assert_eq!((new.len(), failed.len()), (0, 1));
        let (new, failed) = loader(&[("modprobe.blacklist", "x,a-b")]).load_for("hw:1");
        assert!(new.is_empty() && failed.is_empty());
        let parameters = loader(&[("a-b.debug", "1"), ("a_b.on", ""), ("quiet", "")]).parameters;
        assert_eq!(parameters["a_b"], ["debug=1", "on"]);
    }
}
