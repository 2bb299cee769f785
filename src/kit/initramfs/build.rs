//! From a plan to an archive on the disk.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::compress::{Compression, pack};
use super::cpio::Node;
use super::firmware::{self, Missing};
use super::image::Image;
use super::modules::{self, Chosen, Modules};
use super::programs::Packer;
use super::tables;
use crate::host::{Cancel, Effect, Fault, Planned, Result};
use crate::kit::fs;

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tree that modules and firmware are taken from: `/`, or an unpacked kernel package.
    pub root: PathBuf,
    /// Of the kernel; none: the only one below `root`, or the running one.
    pub release: Option<String>,
    /// Names, or folders of the kernel's tree with a `/` at the end.
    pub modules: Vec<String>,
    /// The same; a kernel that has none of it is good as well.
    pub optional: Vec<String>,
    pub firmware: bool,
    /// Names, or paths; a path may be a library that a program opens by itself.
    pub programs: Vec<String>,
    /// By absolute path in the image.
    pub files: BTreeMap<String, Content>,
    /// Of kar; none leaves it out, and `/init` with it.
    pub kar: Option<PathBuf>,
    /// Files and folders that go to /recipes.
    pub recipes: Vec<PathBuf>,
    /// Archives that are put in front as they are: updates of the processor's microcode.
    pub before: Vec<PathBuf>,
    /// Archives that are put behind: what stands in them counts.
    pub after: Vec<PathBuf>,
    pub compression: Compression,
}

/// What stands at a path of [`Plan::files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file, or a folder with all below it.
    Path(PathBuf),
    Bytes(Vec<u8>),
}

/// What was built.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Built {
    /// Of the file, all archives together.
    pub bytes: u64,
    /// What the nodes' memory holds once it is unpacked, this archive's files alone.
    pub unpacked: u64,
    pub entries: u64,
    pub release: String,
    /// Names of the modules in it, those that others need included.
    pub modules: Vec<String>,
    /// Of `modules` and `optional`, what is built into the kernel.
    pub builtin: Vec<String>,
    /// Of `optional`, what this kernel does not have.
    pub left_out: Vec<String>,
    pub missing_firmware: Vec<Missing>,
}

impl Planned for Built {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Built::default())
    }
}

/// Writes the image to `path`, whole or not at all. The same plan on the same machine gives the same bytes.
///
/// # Errors
/// `initramfs.release`, `.module`, `.program`, `.library`, `.path`, `.file`, `.read`, `.pack`; `fs.write`, `fs.kind`;
/// `proc.missing` (gzip, xz); `host.stopped`.
pub fn build(path: &Path, plan: &Plan, cancel: &Cancel) -> Result<Built> {
    let mut image = Image::bare();
    let mut built = Built::default();
    // A list without modules is that of a kernel that has all it needs built in.
    if !plan.modules.is_empty() || !plan.optional.is_empty() {
        add_modules(&mut image, plan, &mut built, cancel)?;
    }
    let mut packer = Packer::new(&mut image, cancel);
    plan.programs.iter().try_for_each(|name| packer.program(name))?;
    if let Some(kar) = &plan.kar {
        packer.program_as(kar, "/usr/bin/kar")?;
        image.add("/init", 0o777, Node::Link("usr/bin/kar".into()))?;
        // The kernel asks this program for modules: filesystems, ciphers.
        if !image.has("/usr/sbin/modprobe") {
            image.add("/usr/sbin/modprobe", 0o777, Node::Link("../bin/kar".into()))?;
        }
    }
    for recipe in &plan.recipes {
        let name = recipe.file_name().ok_or_else(|| {
            Fault::new("initramfs.file", format!("`{}` is no recipe: it has no name", recipe.display()))
        })?;
        add_path(&mut image, &format!("/recipes/{}", name.to_string_lossy()), recipe, cancel)?;
    }
    for (place, content) in &plan.files {
        match content {
            Content::Path(source) => add_path(&mut image, place, source, cancel)?,
            Content::Bytes(bytes) => image.add(place, 0o644, Node::File(bytes.clone()))?,
        }
    }
    let own = pack(&image, plan.compression, cancel)?;
    let archives = |list: &[PathBuf]| list.iter().map(|path| archive(path)).collect::<Result<Vec<_>>>();
    let (before, after) = (archives(&plan.before)?.concat(), archives(&plan.after)?.concat());
    let whole = [before, own, after].concat();
    built.bytes = whole.len() as u64;
    built.unpacked = image.bytes();
    built.entries = image.count();
    fs::write(path, &whole)?;
    Ok(built)
}

/// Another archive, filled up to four bytes.
fn archive(path: &Path) -> Result<Vec<u8>> {
    let mut data = std::fs::read(path)
        .map_err(|error| Fault::io("initramfs.file", format_args!("read the archive `{}`", path.display()), error))?;
    data.resize(data.len().next_multiple_of(4), 0);
    Ok(data)
}

fn add_modules(image: &mut Image, plan: &Plan, built: &mut Built, cancel: &Cancel) -> Result<()> {
    let release = modules::release(&plan.root, plan.release.as_deref())?;
    let all = Modules::open(&plan.root, &release, cancel)?;
    let mut wanted = Vec::new();
    let words = plan.modules.iter().map(|word| (word, true)).chain(plan.optional.iter().map(|word| (word, false)));
    for (word, needed) in words {
        match all.named(word) {
            Some(names) if names.is_empty() => built.builtin.push(word.clone()),
            Some(names) => wanted.extend(names),
            None if needed => return Err(all.missing(word)),
            None => built.left_out.push(word.clone()),
        }
    }
    let chosen = all.closure(&wanted)?;
    let folder = format!("/lib/modules/{release}");
    for module in chosen.values() {
        image.add(&format!("{folder}/{}", module.path), 0o644, Node::File(module.data.clone()))?;
    }
    let builtin: String = all.builtin().iter().map(|name| format!("kernel/{name}.ko\n")).collect();
    for (table, text) in [
        ("modules.alias", tables::alias(&chosen)),
        ("modules.builtin", builtin),
        ("modules.dep", tables::dep(&chosen)),
        ("modules.softdep", tables::softdep(&chosen)),
    ] {
        image.add(&format!("{folder}/{table}"), 0o644, Node::File(text.into_bytes()))?;
    }
    if plan.firmware {
        add_firmware(image, plan, &release, &chosen, built, cancel)?;
    }
    built.modules = chosen.into_keys().collect();
    built.release = release;
    Ok(())
}

fn add_firmware(
    image: &mut Image,
    plan: &Plan,
    release: &str,
    chosen: &Chosen,
    built: &mut Built,
    cancel: &Cancel,
) -> Result<()> {
    for (module, found) in chosen {
        for wanted in &found.info.firmware {
            let place = format!("/lib/firmware/{wanted}");
            match firmware::read(&plan.root, release, wanted, cancel)? {
                _ if image.has(&place) => {}
                Some(data) => image.add(&place, 0o644, Node::File(data))?,
                None => built.missing_firmware.push(Missing {
                    file: wanted.clone(),
                    module: module.clone(),
                    debian: firmware::package(wanted),
                }),
            }
        }
    }
    Ok(())
}

/// A file or a folder of this machine at `place`. Links stay links where they stand in a folder.
fn add_path(image: &mut Image, place: &str, source: &Path, cancel: &Cancel) -> Result<()> {
    if cancel.is_set() {
        return Err(Fault::stopped());
    }
    let fail = |error| Fault::io("initramfs.file", format_args!("read `{}`", source.display()), error);
    let meta = std::fs::metadata(source).map_err(fail)?;
    if meta.is_file() {
        return image.add(place, meta.mode() & 0o777, Node::File(std::fs::read(source).map_err(fail)?));
    }
    if !meta.is_dir() {
        let message = format!("cannot put `{}` into the image: it is neither file nor folder", source.display());
        return Err(Fault::new("initramfs.file", message));
    }
    image.add(place, meta.mode() & 0o777, Node::Directory)?;
    let entries = std::fs::read_dir(source).map_err(fail)?.collect::<std::io::Result<Vec<_>>>().map_err(fail)?;
    for entry in entries {
        let below = format!("{place}/{}", entry.file_name().to_string_lossy());
        match std::fs::read_link(entry.path()) {
            Ok(target) => image.add(&below, 0o777, Node::Link(target.to_string_lossy().into_owned()))?,
            Err(_) => add_path(image, &below, &entry.path(), cancel)?,
        }
    }
    Ok(())
}
