//! `tar`: trees as archives, with every attribute a system has.

use std::path::Path;

use super::prelude::*;
use crate::host::Worker;
use crate::kit::archive::{Entry, TarSink, TarSource, list_source};
use crate::kit::tree::{Options, show};

/// Sources and sinks are everybody's.
pub fn types(_: &mut Engine) {}

/// A plan has nothing to unpack into: the folder may not be there yet.
impl Planned for TarSink {}

fn source(ctx: &NativeCallContext, dir: &str, options: Map) -> Result<SourceValue> {
    let opts = options_of(ctx, "tar::from", options)?;
    let host = host_of(ctx);
    // The stream is read on another thread; what it warns of belongs to this node.
    let worker = Worker::current();
    let source = TarSource::new(Path::new(dir), &Options::read(&opts)?)?
        .on_warning(move |text| worker.clone().run(|| host.log(Level::Warn, text)));
    Ok(SourceValue::new(Box::new(source)))
}

fn sink(ctx: &NativeCallContext, dir: &str, options: Map) -> Result<SinkValue> {
    let opts = options_of(ctx, "tar::into", options)?;
    let create = opts.flag("create")?;
    let act = || {
        if create {
            let fail = |error| Fault::io("tar.open", format_args!("make the folder `{dir}`"), error);
            std::fs::create_dir_all(dir).map_err(fail)?;
        }
        TarSink::new(Path::new(dir))
    };
    let sink = host_of(ctx).perform(Effect::new("tar.into", dir, Weight::Change), act)?;
    Ok(SinkValue::new(Box::new(sink)))
}

fn shape(entry: &Entry) -> Map {
    let text = |bytes: &[u8]| Dynamic::from(show(bytes).into_owned());
    let seconds = entry.mtime.0 as f64 + f64::from(entry.mtime.1) / 1e9;
    let xattrs: Array = entry.xattrs.iter().map(|(name, _)| text(name)).collect();
    Map::from_iter([
        ("path".into(), text(&entry.path)),
        ("kind".into(), entry.kind.name().into()),
        ("size".into(), i64::try_from(entry.size).unwrap_or(i64::MAX).into()),
        ("mode".into(), i64::from(entry.mode).into()),
        ("uid".into(), i64::from(entry.uid).into()),
        ("gid".into(), i64::from(entry.gid).into()),
        ("mtime".into(), seconds.into()),
        ("target".into(), if entry.target.is_empty() { "".into() } else { text(&entry.target) }),
        ("xattrs".into(), xattrs.into()),
    ])
}

#[export_module]
pub mod module {
    /// A directory as a tar archive: hard links, sparse files, extended attributes, ACLs, capabilities, devices,
    /// numeric owners and nanoseconds included. The same tree gives the same archive. Sockets are left out.
    ///
    /// Made for live systems: a file that grows is packed with the length it had, and one that vanishes is left
    /// out, both with a warning; a file that becomes shorter ends the stream with a fault.
    ///
    /// # Options
    /// - `exclude` (list, []): patterns relative to `dir`: without `/` a name anywhere (`*.o`), with `/` anchored
    ///   at `dir` (`tmp/*` keeps the directory and drops what is in it, `var/cache/**` all below)
    /// - `keep_dirs` (flag, false): a directory that a pattern names plainly (`var/cache`; neither wildcard nor `\`) stays,
    ///   empty, with mode, owner, times and attributes
    /// - `one_file_system` (flag, false): keep directories that another filesystem is mounted on, without what is in them
    /// - `mounts` (list, []): with `one_file_system`, directories (`/home`) whose filesystems belong to the tree all the same
    ///
    /// # Errors
    /// - `tree.open`: `dir` is missing, no directory or not readable
    /// - `tree.pattern`: a pattern means nothing
    /// - `tree.read`: a file cannot be read (while the stream runs)
    /// - `tree.vanished`: the tree was taken away (while the stream runs)
    /// - `tar.changed`: a file became shorter (while the stream runs)
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root/tmp");
    /// fs::write("root/tmp/scratch", "");
    /// let archive = tar::from("root", #{ exclude: ["tmp/*", "*.o"] });
    /// tar::list(archive).map(|entry| entry.path)      // => ["./", "./tmp/"]
    /// let archive = tar::from("root", #{ exclude: ["tmp"], keep_dirs: true });
    /// tar::list(archive).map(|entry| entry.path)      // => ["./", "./tmp/"]
    /// tar::from("missing")         // => throws tree.open
    /// ```
    #[rhai_fn(name = "from", return_raw)]
    pub fn from_with(ctx: NativeCallContext, dir: &str, options: Map) -> Raw<SourceValue> {
        Ok(source(&ctx, dir, options)?)
    }

    /// As above, the whole tree.
    #[rhai_fn(name = "from", return_raw)]
    pub fn from(ctx: NativeCallContext, dir: &str) -> Raw<SourceValue> {
        Ok(source(&ctx, dir, Map::new())?)
    }

    /// Unpacks an archive below `dir`; v7, ustar, pax, GNU and star archives are read. Numeric owners, modes, times,
    /// attributes, ACLs, capabilities and holes become what they were. Files that stand there are replaced,
    /// directories kept. Nothing is written outside `dir`, whatever the archive says.
    ///
    /// # Options
    /// - `create` (flag, false): make `dir` when it is missing
    ///
    /// # Errors
    /// - `tar.open`: `dir` is missing, or no directory
    /// - `tar.write`: a file cannot be made or written: named, with the bytes written and the cause
    /// - `tar.format`, `tar.truncated`: not an archive, or a damaged one: with the offset
    /// - `tar.escape`: a member wants out of `dir`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// fs::write("root/motd", "hello");
    /// stream::copy(tar::from("root"), tar::into("copy", #{ create: true }));
    /// fs::read("copy/motd")        // => "hello"
    /// tree::compare("root", "copy").same      // => true
    /// tar::into("missing")         // => throws tar.open
    /// ```
    #[rhai_fn(name = "into", return_raw)]
    pub fn into_with(ctx: NativeCallContext, dir: &str, options: Map) -> Raw<SinkValue> {
        Ok(sink(&ctx, dir, options)?)
    }

    /// As above, `dir` has to be there.
    #[rhai_fn(name = "into", return_raw)]
    pub fn into(ctx: NativeCallContext, dir: &str) -> Raw<SinkValue> {
        Ok(sink(&ctx, dir, Map::new())?)
    }

    /// What an archive holds, in its order: maps with `path`, `kind` ("file", "hard link", "symbolic link",
    /// "directory", "character device", "block device", "fifo"), `size` (bytes), `mode`, `uid`, `gid`, `mtime`
    /// (seconds since 1970), `target` (of a link) and `xattrs` (names). Reads the source to its end.
    ///
    /// # Errors
    /// - `stream.used`: the source was read before
    /// - `tar.format`, `tar.truncated`: not an archive, or a damaged one: with the offset
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("root");
    /// fs::write("root/motd", "hello");
    /// let entries = tar::list(tar::from("root"));
    /// entries.map(|entry| entry.path)            // => ["./", "./motd"]
    /// entries[1].size                            // => 5
    /// ```
    #[rhai_fn(return_raw)]
    pub fn list(ctx: NativeCallContext, source: SourceValue) -> Raw<Array> {
        let host = host_of(&ctx);
        let mut entries = Array::new();
        for entry in list_source(source.take()?) {
            host.check()?;
            entries.push(shape(&entry?).into());
        }
        Ok(entries)
    }
}
