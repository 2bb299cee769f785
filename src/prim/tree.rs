//! `tree`: digests of trees, and what two trees differ in.

use std::path::Path;
use std::sync::Arc;

use super::prelude::*;
use crate::kit::tree::{self, Manifest, Options};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<Tree>("tree");
}

/// What a tree holds, walked and read once.
#[derive(Clone)]
pub struct Tree(Arc<Manifest>);

fn walk(host: &Host, dir: &str, options: &Options) -> Result<Arc<Manifest>> {
    let manifest = tree::digest(Path::new(dir), options, &host.cancel())?;
    manifest.warnings.iter().for_each(|warning| host.log(Level::Trace, &format!("{dir}: {warning}")));
    Ok(Arc::new(manifest))
}

fn digest_of(ctx: &NativeCallContext, dir: &str, options: Map) -> Result<Tree> {
    let opts = options_of(ctx, "tree::digest", options)?;
    Ok(Tree(walk(&host_of(ctx), dir, &Options::read(&opts)?)?))
}

/// A tree read before, without what is left out now; or a directory, read now.
fn side(host: &Host, value: &Dynamic, options: &Options) -> Result<Arc<Manifest>> {
    if let Some(tree) = value.clone().try_cast::<Tree>() {
        return match options.exclude.is_empty() {
            true => Ok(tree.0),
            false => Ok(Arc::new(tree.0.without(&options.exclusion()?))),
        };
    }
    let dir = value.clone().into_string().map_err(|found| {
        Fault::new("tree.argument", format!("`tree::compare` takes directories or trees, not a value of type {found}"))
            .hint("a tree is what `tree::digest` returns")
    })?;
    walk(host, &dir, options)
}

fn compare_both(ctx: &NativeCallContext, here: &Dynamic, there: &Dynamic, options: Map) -> Result<Map> {
    let opts = options_of(ctx, "tree::compare", options)?;
    let host = host_of(ctx);
    let options = Options::read(&opts)?;
    let mut sides = [side(&host, here, &options)?, side(&host, there, &options)?];
    if !options.times {
        for side in &mut sides {
            Arc::make_mut(side).times = false;
        }
    }
    let [here, there] = sides;
    let differences: Array = tree::compare(&here, &there).iter().map(|found| found.to_string().into()).collect();
    Ok(Map::from_iter([
        ("same".into(), differences.is_empty().into()),
        ("files".into(), int(there.files)),
        ("bytes".into(), int(there.bytes)),
        ("entries".into(), int(there.entries.len() as u64)),
        ("digest".into(), there.hex().into()),
        ("differences".into(), differences.into()),
    ]))
}

fn int(number: u64) -> Dynamic {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

#[export_module]
pub mod module {
    /// Reads a whole tree: every entry's kind, contents (BLAKE3), size, mode, owner, links, device numbers, extended
    /// attributes with ACLs and capabilities, and times. Sockets are left out.
    ///
    /// # Options
    /// - `exclude` (list, []): patterns of what is left out, as in `tar::from`
    /// - `keep_dirs` (flag, false): a directory that a pattern names plainly (`var/cache`) stays, empty, as in `tar::from`
    /// - `one_file_system` (flag, false): keep directories that another filesystem is mounted on, without what is in them
    /// - `mounts` (list, []): with `one_file_system`, directories whose filesystems belong to the tree all the same
    /// - `times` (flag, true): times of modification are part of the digest
    ///
    /// # Errors
    /// - `tree.open`: `dir` is missing, no directory or not readable
    /// - `tree.pattern`: a pattern means nothing
    /// - `tree.read`: something in it cannot be read
    /// - `tree.changed`: a file became shorter while it was read
    /// - `tree.vanished`: the tree was taken away while it was read
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// fs::write("root/motd", "hello");
    /// let t = tree::digest("root");
    /// t.files                      // => 1
    /// t.bytes                      // => 5
    /// t.digest.len                 // => 64
    /// tree::digest("missing")      // => throws tree.open
    /// ```
    #[rhai_fn(name = "digest", return_raw)]
    pub fn digest_with(ctx: NativeCallContext, dir: &str, options: Map) -> Raw<Tree> {
        Ok(digest_of(&ctx, dir, options)?)
    }

    /// As above, the whole tree with its times.
    #[rhai_fn(name = "digest", return_raw)]
    pub fn digest(ctx: NativeCallContext, dir: &str) -> Raw<Tree> {
        Ok(digest_of(&ctx, dir, Map::new())?)
    }

    /// What two trees differ in, entry by entry: `#{ same, files, bytes, entries, digest, differences }`, the numbers
    /// of the second, the differences as texts ("usr/bin/foo: mode 0755 here, 0644 there"; here is the first). Each
    /// side is a directory or what `tree::digest` made of one, so that a source is read once for many nodes.
    ///
    /// The time of a directory that something was left out of is not compared.
    ///
    /// # Options
    /// - `exclude` (list, []): patterns of what is left out on both sides, as in `tar::from`
    /// - `keep_dirs` (flag, false): a directory that a pattern names plainly (`var/cache`) stays, empty, as in `tar::from`
    /// - `one_file_system` (flag, false): keep directories that another filesystem is mounted on, without what is in them
    /// - `mounts` (list, []): with `one_file_system`, directories whose filesystems belong to the tree all the same
    /// - `times` (flag, true): compare times of modification, to the nanosecond
    ///
    /// # Errors
    /// - `tree.argument`: a side is neither a directory nor a tree
    /// - `tree.open`, `tree.pattern`, `tree.read`, `tree.changed`, `tree.vanished`: as in `tree::digest`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// fs::write("root/motd", "hello");
    /// let before = tree::digest("root");
    /// tree::compare(before, "root", #{ exclude: ["lost+found"] }).same   // => true
    /// fs::remove("root/motd");
    /// tree::compare(before, "root", #{ times: false }).differences       // => ["motd: file here, missing there"]
    /// ```
    #[rhai_fn(name = "compare", return_raw)]
    pub fn compare_with(ctx: NativeCallContext, here: Dynamic, there: Dynamic, options: Map) -> Raw<Map> {
        Ok(compare_both(&ctx, &here, &there, options)?)
    }

    /// As above, whole trees with their times.
    #[rhai_fn(name = "compare", return_raw)]
    pub fn compare(ctx: NativeCallContext, here: Dynamic, there: Dynamic) -> Raw<Map> {
        Ok(compare_both(&ctx, &here, &there, Map::new())?)
    }

    /// BLAKE3 over everything, 64 hexadecimal digits.
    ///
    /// # Example
    /// ```rhai
    /// tree::digest(".", #{ times: false }).digest == tree::digest(".", #{ times: false }).digest    // => true
    /// ```
    #[rhai_fn(global, get = "digest", pure)]
    pub fn digest_text(tree: &mut Tree) -> String {
        tree.0.hex()
    }

    /// Regular files; one with several names counts once.
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// tree::digest("root").files  // => 0
    /// ```
    #[rhai_fn(global, get = "files", pure)]
    pub fn files(tree: &mut Tree) -> i64 {
        tree.0.files as i64
    }

    /// Directories, the root among them.
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// tree::digest("root").dirs  // => 1
    /// ```
    #[rhai_fn(global, get = "dirs", pure)]
    pub fn dirs(tree: &mut Tree) -> i64 {
        tree.0.dirs as i64
    }

    /// Symbolic links.
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// tree::digest("root").links  // => 0
    /// ```
    #[rhai_fn(global, get = "links", pure)]
    pub fn links(tree: &mut Tree) -> i64 {
        tree.0.links as i64
    }

    /// Sum of the files' sizes, holes included.
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// tree::digest("root").bytes  // => 0
    /// ```
    #[rhai_fn(global, get = "bytes", pure)]
    pub fn bytes(tree: &mut Tree) -> i64 {
        i64::try_from(tree.0.bytes).unwrap_or(i64::MAX)
    }

    /// Entries of all kinds, the root among them.
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// tree::digest("root").entries  // => 1
    /// ```
    #[rhai_fn(global, get = "entries", pure)]
    pub fn entries(tree: &mut Tree) -> i64 {
        tree.0.entries.len() as i64
    }
}
