//! `initramfs`: the first filesystem of a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::prelude::*;
use crate::kit::initramfs::{self, Compression, Content, Plan};

/// Only plain values pass here.
pub fn types(_: &mut Engine) {}

fn paths(opts: &Opts, name: &str) -> Result<Vec<PathBuf>> {
    Ok(opts.texts(name)?.into_iter().map(PathBuf::from).collect())
}

fn files(opts: &Opts) -> Result<BTreeMap<String, Content>> {
    let mut files = BTreeMap::new();
    for (place, value) in opts.map("files")?.unwrap_or_default() {
        let content = match value.is_blob() {
            true => Content::Bytes(value.cast::<Blob>()),
            false => Content::Path(value.into_string().map(PathBuf::from).map_err(|found| {
                opts.refuse("files", &format!("`{place}` takes the path of a file or folder, or a blob, not {found}"))
            })?),
        };
        files.insert(place.to_string(), content);
    }
    Ok(files)
}

fn compression(opts: &Opts) -> Result<Compression> {
    let level = opts.count("level", 1, 19)?;
    match opts.text("compress")?.as_deref() {
        None | Some("zstd") => Ok(Compression::Zstd(level.map_or(12, |level| level as i32))),
        Some("gzip") => Ok(Compression::Gzip),
        Some("none") => Ok(Compression::None),
        Some(other) => {
            let known = Compression::NAMES;
            Err(opts.refuse("compress", &format!("`{other}` is none of {}", known.join(", "))).nearest(other, known))
        }
    }
}

fn kar(opts: &Opts) -> Result<Option<PathBuf>> {
    match opts.path("kar")? {
        Some(path) if path.as_os_str().is_empty() => Ok(None),
        Some(path) => Ok(Some(path)),
        None => std::env::current_exe()
            .map(Some)
            .map_err(|error| Fault::io("initramfs.kar", "find kar's own program", error)),
    }
}

fn plan(ctx: &NativeCallContext, options: Map) -> Result<Plan> {
    let opts = options_of(ctx, "initramfs::build", options)?;
    let release = opts.text("release")?.filter(|release| !release.is_empty());
    Ok(Plan {
        root: opts.path("root")?.unwrap_or_else(|| PathBuf::from("/")),
        release,
        modules: opts.texts("modules")?,
        optional: opts.texts("optional")?,
        firmware: opts.raw("firmware").is_none() || opts.flag("firmware")?,
        programs: opts.texts("programs")?,
        files: files(&opts)?,
        kar: kar(&opts)?,
        recipes: paths(&opts, "recipes")?,
        before: paths(&opts, "before")?,
        after: paths(&opts, "after")?,
        compression: compression(&opts)?,
    })
}

#[export_module]
pub mod module {
    /// Writes a node's first filesystem to `path`: an archive that the kernel unpacks into memory and whose `/init` is
    /// kar. Modules come with those they need, and with the tables by which a node loads them for its hardware;
    /// programs with their libraries. The same machine and the same options give the same bytes.
    ///
    /// Gives `#{ bytes, unpacked, entries, release, modules, builtin, left_out, missing_firmware: [#{ file, module,
    /// debian }] }`: the file's length and what it takes in a node's memory, in bytes; all modules in it; of those
    /// asked for, what is built into the kernel and what this kernel has not; firmware that a module may ask for and that
    /// this machine does not have, with the Debian package where it is known.
    ///
    /// # Options
    /// - `programs` (list, []): programs of this machine by name or path, with their libraries; a library that a program opens by itself is named by its path
    /// - `modules` (list, []): kernel modules by name, or a folder of the kernel's tree with `/` behind (`"drivers/nvme/"`)
    /// - `optional` (list, []): the same, taken where the kernel has them
    /// - `release` (text): the kernel's release, `"6.1.0-18-amd64"`; unless said the only one below `root`, or the running one
    /// - `root` (path, "/"): the tree that modules and firmware come from: this machine, or an unpacked kernel package
    /// - `firmware` (flag, true): take the firmware that the modules ask for
    /// - `files` (map, none): by absolute path in the image, the path of a file or folder of this machine, or a blob
    /// - `recipes` (list, []): recipe files that go to `/recipes`
    /// - `kar` (path): the kar of the node; this one unless said, `""` for none
    /// - `before` (list, []): archives that are put in front as they are: microcode
    /// - `after` (list, []): archives that are put behind; their files replace those of the image
    /// - `compress` (text, "zstd"): `"zstd"`, `"gzip"` (kernels before 5.9), `"none"`
    /// - `level` (int, 12): of zstd, 1 to 19
    ///
    /// # Errors
    /// - `initramfs.program`: a program is not on this machine; the hint names the Debian package where it is known
    /// - `initramfs.library`: a library that a program needs is not
    /// - `initramfs.module`: the kernel has no such module, or it is damaged
    /// - `initramfs.release`: no modules of this kernel below `root`
    /// - `initramfs.file`, `initramfs.read`: something named cannot be read
    /// - `initramfs.path`: a path that no image has
    /// - `fs.write`, `fs.kind`: `path` cannot be written
    ///
    /// # Example
    /// ```rhai
    /// let image = initramfs::build("node.img", #{ kar: "", programs: ["mke2fs"], files: #{ "/etc/motd": "hello".to_blob() } });
    /// image.bytes == fs::read("node.img", #{ blob: true }).len                                // => true
    /// initramfs::build("node.img", #{ kar: "", programs: ["mkfs.nosuch"] })        // => throws initramfs.program
    /// initramfs::build("node.img", #{ kar: "", modules: ["ext4"], root: "empty" }) // => throws initramfs.release
    /// ```
    #[rhai_fn(name = "build", return_raw)]
    pub fn build_with(ctx: NativeCallContext, path: &str, options: Map) -> Raw<Map> {
        let plan = plan(&ctx, options)?;
        let host = host_of(&ctx);
        let effect = Effect::new("initramfs.build", path, Weight::Change);
        let built = host.perform(effect, || initramfs::build(Path::new(path), &plan, &host.cancel()))?;
        Ok(to_dynamic(&built).cast())
    }
}
