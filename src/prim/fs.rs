//! `fs`: filesystems, and files in them.

use std::path::Path;
use std::sync::Arc;

use super::prelude::*;
use crate::host::Hold;
use crate::kit::disk::refuse_used;
use crate::kit::fs::{self, FstabEntry, Mkfs, Mounted};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<MountHandle>("mount");
    engine.register_type_with_name::<Lock>("lock");
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |mount: &mut MountHandle| format!("{} on {}", mount.mounted.kind, mount.text()));
    }
}

/// A lock, until the last copy is gone.
#[derive(Clone)]
pub struct Lock {
    _file: Arc<std::fs::File>,
}

impl Planned for Lock {}

/// A mounted filesystem, until the last copy is gone.
#[derive(Clone)]
pub struct MountHandle {
    mounted: Mounted,
    hold: Arc<Hold>,
}

impl MountHandle {
    fn text(&self) -> String {
        self.mounted.dir.display().to_string()
    }
}

impl Planned for Mounted {}

/// Whether there was something to remove.
struct Removed(bool);

impl Planned for Removed {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(Removed(true))
    }
}

fn names(opts: &Opts) -> Result<Mkfs> {
    Ok(Mkfs { label: opts.text("label")?, uuid: opts.text("uuid")? })
}

fn mount_on(host: &Host, device: &str, dir: &str, kind: Option<&str>, options: &[String]) -> Result<MountHandle> {
    let effect = Effect::new("fs.mount", format!("{device} on {dir}"), Weight::Open);
    let mounted = host.perform(effect, || fs::mount(Path::new(device), Path::new(dir), kind, options))?;
    let point = mounted.dir.clone();
    let hold = host.hold("fs.unmount", &point.display().to_string(), {
        move || match fs::unmount(&point) {
            // Somebody was quicker: what was to be undone is undone.
            Err(fault) if fault.kind == "fs.unmounted" => Ok(()),
            done => done,
        }
    });
    Ok(MountHandle { mounted, hold: Arc::new(hold) })
}

fn fstab_line(line: &fs::FstabLine) -> Map {
    let mut map =
        Map::from_iter([("line".into(), Dynamic::from(line.number as i64)), ("text".into(), line.text.clone().into())]);
    if let Some(entry) = &line.entry {
        let FstabEntry { spec, dir, kind, options, dump, pass, rest } = entry;
        let texts = [("spec", spec), ("dir", dir), ("kind", kind), ("options", options), ("rest", rest)];
        map.extend(texts.map(|(key, text)| (key.into(), text.clone().into())));
        map.extend([("dump", dump), ("pass", pass)].map(|(key, number)| (key.into(), i64::from(*number).into())));
    }
    map
}

fn write_file(ctx: &NativeCallContext, path: &str, data: &[u8]) -> Raw<()> {
    let host = host_of(ctx);
    Ok(host.perform(Effect::new("fs.write", path, Weight::Change), || fs::write(Path::new(path), data))?)
}

#[export_module]
pub mod module {
    /// Makes a filesystem on a partition, a disk or an image file: `ext2`, `ext3`, `ext4`, `xfs`, `btrfs`, `vfat` or
    /// `ntfs`. What was there is lost.
    ///
    /// # Options
    /// - `label` (text, none): its name; at most 16 bytes on ext, 12 on xfs, 11 on vfat
    /// - `uuid` (text, random): its UUID; on vfat eight hexadecimal digits, on ntfs not possible
    /// - `force` (flag, false): overwrite a device in use
    ///
    /// # Errors
    /// - `disk.busy`: the device is in use; says by whom and where
    /// - `fs.kind`: no such kind
    /// - `fs.program`: its program is missing; names the Debian package
    /// - `fs.mkfs`: with the program's own words
    /// - `fs.option`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("root.img", "16MiB");
    /// fs::mkfs("ext4", "root.img", #{ label: "root" });
    /// fs::probe("root.img").label               // => "root"
    /// fs::mkfs("ext5", "root.img")              // => throws fs.kind
    /// ```
    #[rhai_fn(name = "mkfs", return_raw)]
    pub fn mkfs_with(ctx: NativeCallContext, kind: &str, device: &str, options: Map) -> Raw<()> {
        let opts = options_of(&ctx, "fs::mkfs", options)?;
        let (names, force, path) = (names(&opts)?, opts.flag("force")?, Path::new(device));
        let effect = Effect::new("fs.mkfs", format!("{kind} on {device}"), Weight::Destroy);
        let host = host_of(&ctx);
        Ok(host.perform(effect.guard(|| refuse_used(path, force)), || fs::mkfs(kind, path, &names, &host.cancel()))?)
    }

    /// As above, no options.
    #[rhai_fn(return_raw)]
    pub fn mkfs(ctx: NativeCallContext, kind: &str, device: &str) -> Raw<()> {
        mkfs_with(ctx, kind, device, Map::new())
    }

    /// Makes a swap area. What was there is lost.
    ///
    /// # Options
    /// - `label` (text, none): its name
    /// - `uuid` (text, random): its UUID
    /// - `force` (flag, false): overwrite a device in use
    ///
    /// # Errors
    /// - `disk.busy`, `fs.program`, `fs.mkfs`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("swap.img", "16MiB");
    /// fs::swap("swap.img", #{ label: "swap" });
    /// fs::probe("swap.img").kind     // => "swap"
    /// ```
    #[rhai_fn(name = "swap", return_raw)]
    pub fn swap_with(ctx: NativeCallContext, device: &str, options: Map) -> Raw<()> {
        let opts = options_of(&ctx, "fs::swap", options)?;
        let (names, force, path) = (names(&opts)?, opts.flag("force")?, Path::new(device));
        let effect = Effect::new("fs.swap", device, Weight::Destroy);
        let host = host_of(&ctx);
        Ok(host.perform(effect.guard(|| refuse_used(path, force)), || fs::swap(path, &names, &host.cancel()))?)
    }

    /// As above, no options.
    #[rhai_fn(return_raw)]
    pub fn swap(ctx: NativeCallContext, device: &str) -> Raw<()> {
        swap_with(ctx, device, Map::new())
    }

    /// The lines of an fstab in their order: `#{ line, text }`, its number and the text as it stands; a line that is no
    /// comment also has `spec`, `dir`, `kind`, `options`, `dump`, `pass`, and `rest`, what stands behind the first word.
    /// `\040` and the like are decoded in all but `text` and `rest`.
    ///
    /// # Errors
    /// - `fs.fstab`: a line is none of an fstab; says which, and why
    ///
    /// # Example
    /// ```rhai
    /// let lines = fs::fstab("# ours\nUUID=12 / ext4 noatime 0 1\n");
    /// lines[0].text                                      // => "# ours"
    /// `${lines[1].spec} is ${lines[1].dir}`              // => "UUID=12 is /"
    /// "UUID=34" + lines[1].rest                          // => "UUID=34 / ext4 noatime 0 1"
    /// fs::fstab("/dev/sda1 /")                           // => throws fs.fstab
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fstab(ctx: NativeCallContext, text: &str) -> Raw<Array> {
        host_of(&ctx);
        Ok(fs::fstab(text)?.iter().map(|line| fstab_line(line).into()).collect())
    }

    /// Mounts a device on a folder, which is made when missing. It is unmounted with the last copy of the handle, and at
    /// the end of the run however it ends.
    ///
    /// # Options
    /// - `kind` (text, what is there): the kind of filesystem; some (`tmpfs`, `proc`) have no device, any word will do
    /// - `options` (list, []): as in fstab: `ro`, `noatime`, `bind`, ..; words of the filesystem itself too
    ///
    /// # Errors
    /// - `fs.mount`
    /// - `fs.unknown`: no known filesystem is there
    /// - `fs.mkdir`, `fs.open`, `fs.program`
    ///
    /// # Example
    /// ```rhai
    /// let ram = fs::mount("ram", "mnt", #{ kind: "tmpfs", options: ["size=1m"] });
    /// fs::write("mnt/hello", "there");
    /// ram.unmount();
    /// fs::list("mnt")     // => []
    /// ```
    #[rhai_fn(name = "mount", return_raw)]
    pub fn mount_with(ctx: NativeCallContext, device: &str, dir: &str, options: Map) -> Raw<MountHandle> {
        let opts = options_of(&ctx, "fs::mount", options)?;
        let (kind, words) = (opts.text("kind")?, opts.texts("options")?);
        Ok(mount_on(&host_of(&ctx), device, dir, kind.as_deref(), &words)?)
    }

    /// As above, no options.
    #[rhai_fn(return_raw)]
    pub fn mount(ctx: NativeCallContext, device: &str, dir: &str) -> Raw<MountHandle> {
        Ok(mount_on(&host_of(&ctx), device, dir, None, &[])?)
    }

    /// Where it is mounted, as a whole path.
    ///
    /// # Example
    /// ```rhai
    /// fs::mount("ram", "mnt", #{ kind: "tmpfs" }).dir.ends_with("/mnt")     // => true
    /// ```
    #[rhai_fn(global, get = "dir", pure)]
    pub fn dir(mount: &mut MountHandle) -> String {
        mount.text()
    }

    /// The kind of filesystem.
    ///
    /// # Example
    /// ```rhai
    /// fs::mount("ram", "mnt", #{ kind: "tmpfs" }).kind     // => "tmpfs"
    /// ```
    #[rhai_fn(global, get = "kind", pure)]
    pub fn kind(mount: &mut MountHandle) -> String {
        mount.mounted.kind.clone()
    }

    /// Unmounts it now, with all data written; what is busy is tried again for 5 s. A second call does nothing.
    ///
    /// # Errors
    /// - `fs.busy`: says which programs use it
    /// - `fs.unmount`
    ///
    /// # Example
    /// ```rhai
    /// let ram = fs::mount("ram", "mnt", #{ kind: "tmpfs" });
    /// ram.unmount();
    /// ram.unmount();
    /// ```
    #[rhai_fn(global, name = "unmount", return_raw, pure)]
    pub fn unmount_handle(ctx: NativeCallContext, mount: &mut MountHandle) -> Raw<()> {
        host_of(&ctx);
        Ok(mount.hold.release()?)
    }

    /// Unmounts what is mounted on a folder, whoever mounted it.
    ///
    /// # Errors
    /// - `fs.unmounted`: nothing is mounted there
    /// - `fs.busy`, `fs.unmount`
    ///
    /// # Example
    /// ```rhai
    /// let ram = fs::mount("ram", "mnt", #{ kind: "tmpfs" });
    /// fs::unmount("mnt");
    /// fs::unmount("mnt")     // => throws fs.unmounted
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unmount(ctx: NativeCallContext, dir: &str) -> Raw<()> {
        let host = host_of(&ctx);
        Ok(host.perform(Effect::new("fs.unmount", dir, Weight::Change), || fs::unmount(Path::new(dir)))?)
    }

    /// What a device or image file holds: `#{ kind, label, uuid }`; `()` when it is nothing known. Kinds: ext2, ext3,
    /// ext4, xfs, btrfs, vfat, ntfs, swap, luks, lvm, iso9660, squashfs, bitlocker.
    ///
    /// # Errors
    /// - `fs.open`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("empty.img", "1MiB");
    /// fs::probe("empty.img")     // => ()
    /// ```
    #[rhai_fn(return_raw)]
    pub fn probe(ctx: NativeCallContext, device: &str) -> Raw<Dynamic> {
        host_of(&ctx);
        Ok(fs::probe(Path::new(device))?.map_or(Dynamic::UNIT, |found| to_dynamic(&found)))
    }

    /// Bytes of a file, a disk or a partition.
    ///
    /// # Errors
    /// - `fs.size`: nothing is there, or it is a folder
    ///
    /// # Example
    /// ```rhai
    /// fs::write("hostname", "node7");
    /// fs::size("hostname")      // => 5
    /// fs::size("no-such")       // => throws fs.size
    /// ```
    #[rhai_fn(return_raw)]
    pub fn size(ctx: NativeCallContext, path: &str) -> Raw<i64> {
        host_of(&ctx);
        Ok(i64::try_from(fs::size(Path::new(path))?).unwrap_or(i64::MAX))
    }

    /// How an NTFS was left: `#{ clean, dirty, hibernated, unfinished_log, reasons, version, cluster_size, size, used }`.
    /// `reasons` says in words what keeps it from being `clean`: the mark in `$Volume`, a Windows that sleeps in
    /// `hiberfil.sys`, a log that nobody closed. `size` and `used` are bytes. Nothing is mounted or changed.
    ///
    /// # Errors
    /// - `fs.kind`: there is no NTFS
    /// - `fs.damaged`: it is too damaged to tell
    /// - `fs.open`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("windows.img", "16MiB");
    /// fs::mkfs("ntfs", "windows.img");
    /// fs::ntfs("windows.img").clean         // => true
    /// fs::ntfs("windows.img").reasons       // => []
    /// disk::create("empty.img", "16MiB");
    /// fs::ntfs("empty.img")                 // => throws fs.kind
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ntfs(ctx: NativeCallContext, device: &str) -> Raw<Map> {
        host_of(&ctx);
        Ok(to_dynamic(&fs::ntfs(Path::new(device))?).cast())
    }

    /// Grows a filesystem to the size of its device: ext, xfs and btrfs mounted or not, ntfs unmounted.
    ///
    /// # Errors
    /// - `fs.grow`: with the program's own words
    /// - `fs.kind`: it cannot grow
    /// - `fs.damaged`, `fs.unknown`, `fs.program`, `fs.open`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("root.img", "16MiB");
    /// fs::mkfs("ext4", "root.img");
    /// fs::grow("root.img");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn grow(ctx: NativeCallContext, device: &str) -> Raw<()> {
        let host = host_of(&ctx);
        let effect = Effect::new("fs.grow", device, Weight::Change);
        Ok(host.perform(effect, || fs::grow(Path::new(device), &host.cancel()))?)
    }

    /// Looks for damage, and changes nothing.
    ///
    /// # Errors
    /// - `fs.damaged`: with the program's own words
    /// - `fs.kind`: nothing checks this kind
    /// - `fs.unknown`, `fs.program`, `fs.open`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("root.img", "16MiB");
    /// fs::mkfs("ext4", "root.img");
    /// fs::check("root.img");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn check(ctx: NativeCallContext, device: &str) -> Raw<()> {
        let host = host_of(&ctx);
        Ok(fs::check(Path::new(device), &host.cancel())?)
    }

    /// Writes all that is cached to the disks.
    ///
    /// # Example
    /// ```rhai
    /// fs::flush()
    /// ```
    #[rhai_fn(return_raw)]
    pub fn flush(ctx: NativeCallContext) -> Raw<()> {
        let host = host_of(&ctx);
        Ok(host.perform(Effect::new("fs.flush", "all disks", Weight::Change), || {
            fs::flush();
            Ok(())
        })?)
    }

    /// The content of a file of up to 64 MiB: a text, or a blob.
    ///
    /// # Options
    /// - `blob` (flag, false): bytes instead of text
    ///
    /// # Errors
    /// - `fs.read`
    /// - `fs.text`: the file is not UTF-8
    /// - `fs.size`: more than 64 MiB
    ///
    /// # Example
    /// ```rhai
    /// fs::write("hostname", "node7");
    /// fs::read("hostname")                           // => "node7"
    /// fs::read("hostname", #{ blob: true }).len      // => 5
    /// fs::read("no-such-file")                       // => throws fs.read
    /// ```
    #[rhai_fn(name = "read", return_raw)]
    pub fn read_with(ctx: NativeCallContext, path: &str, options: Map) -> Raw<Dynamic> {
        let opts = options_of(&ctx, "fs::read", options)?;
        let bytes = fs::read(Path::new(path))?;
        if opts.flag("blob")? {
            return Ok(Dynamic::from_blob(bytes));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            Fault::new("fs.text", format!("`{path}` is no text: {}", error.utf8_error()))
                .hint("`blob: true` reads bytes")
        })?;
        Ok(text.into())
    }

    /// As above, a text.
    #[rhai_fn(return_raw)]
    pub fn read(ctx: NativeCallContext, path: &str) -> Raw<Dynamic> {
        read_with(ctx, path, Map::new())
    }

    /// Writes a text or a blob to a file, whole or not at all: readers see the old content or the new. Mode and owner of
    /// a file that was there stay; a symbolic link there is replaced, not followed. A character device or a setting
    /// below /proc or /sys gets the bytes in one write.
    ///
    /// # Errors
    /// - `fs.write`
    /// - `fs.kind`: a disk, an image in use, a FIFO or a socket is there
    ///
    /// # Example
    /// ```rhai
    /// fs::write("hostname", "node7");
    /// fs::read("hostname")                    // => "node7"
    /// fs::write("no-such-folder/f", "x")      // => throws fs.write
    /// ```
    #[rhai_fn(return_raw)]
    pub fn write(ctx: NativeCallContext, path: &str, text: &str) -> Raw<()> {
        write_file(&ctx, path, text.as_bytes())
    }

    /// As above, a blob.
    #[rhai_fn(name = "write", return_raw)]
    pub fn write_blob(ctx: NativeCallContext, path: &str, bytes: Blob) -> Raw<()> {
        write_file(&ctx, path, &bytes)
    }

    /// Copies one file with mode, owner and times, whole or not at all; `to` may be a folder.
    ///
    /// # Errors
    /// - `fs.copy`
    /// - `fs.kind`: it is no plain file, or no file may stand at `to`
    ///
    /// # Example
    /// ```rhai
    /// fs::write("a", "x");
    /// fs::copy("a", "b");
    /// fs::read("b")      // => "x"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn copy(ctx: NativeCallContext, from: &str, to: &str) -> Raw<()> {
        let host = host_of(&ctx);
        let effect = Effect::new("fs.copy", format!("{from} to {to}"), Weight::Change);
        Ok(host.perform(effect, || fs::copy(Path::new(from), Path::new(to), &host.cancel()))?)
    }

    /// Makes `path` a symbolic link to `target`, in one step, replacing a link or file that is there.
    ///
    /// # Errors
    /// - `fs.link`
    /// - `fs.kind`: a device, a FIFO or a socket is there
    ///
    /// # Example
    /// ```rhai
    /// fs::write("linux.cfg", "boot");
    /// fs::link("linux.cfg", "node7.cfg");
    /// fs::read("node7.cfg")      // => "boot"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn link(ctx: NativeCallContext, target: &str, path: &str) -> Raw<()> {
        let host = host_of(&ctx);
        let effect = Effect::new("fs.link", format!("{path} to {target}"), Weight::Change);
        Ok(host.perform(effect, || fs::link(Path::new(target), Path::new(path)))?)
    }

    /// What the symbolic link `path` says; `()` where something else is, or nothing.
    ///
    /// # Errors
    /// - `fs.target`
    ///
    /// # Example
    /// ```rhai
    /// fs::link("linux.cfg", "node7.cfg");
    /// fs::target("node7.cfg")      // => "linux.cfg"
    /// fs::target("/proc")          // => ()
    /// ```
    #[rhai_fn(return_raw)]
    pub fn target(ctx: NativeCallContext, path: &str) -> Raw<Dynamic> {
        host_of(&ctx);
        Ok(fs::target(Path::new(path))?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Removes a file, a link or a folder with all in it; false when nothing was there.
    ///
    /// # Errors
    /// - `fs.refused`: it is `/`, a disk in /dev, an image in use, or something is mounted on or under it
    /// - `fs.remove`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("a/b");
    /// fs::remove("a")      // => true
    /// fs::remove("a")      // => false
    /// fs::remove("/")      // => throws fs.refused
    /// ```
    #[rhai_fn(return_raw)]
    pub fn remove(ctx: NativeCallContext, path: &str) -> Raw<bool> {
        let host = host_of(&ctx);
        let effect = Effect::new("fs.remove", path, Weight::Destroy);
        let removed = host.perform(effect, || fs::remove(Path::new(path)).map(Removed))?;
        Ok(removed.0)
    }

    /// True when something is there, a link that leads nowhere included.
    ///
    /// # Example
    /// ```rhai
    /// fs::exists("/proc")      // => true
    /// fs::exists("no-such")    // => false
    /// ```
    pub fn exists(path: &str) -> bool {
        fs::exists(Path::new(path))
    }

    /// The path from the root, without links, `.` and `..`.
    ///
    /// # Errors
    /// - `fs.real`: nothing is there
    ///
    /// # Example
    /// ```rhai
    /// fs::real("/proc/../proc/./sys")      // => "/proc/sys"
    /// fs::real("no-such")                  // => throws fs.real
    /// ```
    #[rhai_fn(return_raw)]
    pub fn real(ctx: NativeCallContext, path: &str) -> Raw<String> {
        host_of(&ctx);
        Ok(fs::real(Path::new(path))?)
    }

    /// Takes the lock of a file or folder, so that one run at a time works in it; it is given back when the returned
    /// handle goes, however the run ends.
    ///
    /// # Errors
    /// - `fs.locked`: another run has it; the message names the process
    /// - `fs.lock`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("work");
    /// let mine = fs::lock("work");
    /// fs::lock("work")      // => throws fs.locked
    /// ```
    #[rhai_fn(return_raw)]
    pub fn lock(ctx: NativeCallContext, path: &str) -> Raw<Lock> {
        let act = || fs::lock(Path::new(path)).map(|file| Lock { _file: Arc::new(file) });
        Ok(host_of(&ctx).perform(Effect::new("fs.lock", path, Weight::Open), act)?)
    }

    /// Writes out all of the filesystem that `path` is on, and empties its journal. A mount after a crash then has nothing to
    /// write again over what was put on the device itself, as boot loaders do with its first block. Whoever writes to it waits
    /// for that moment.
    ///
    /// # Errors
    /// - `fs.settle`
    ///
    /// # Example
    /// ```rhai
    /// fs::settle("no-such")      // => throws fs.settle
    /// ```
    #[rhai_fn(return_raw)]
    pub fn settle(ctx: NativeCallContext, path: &str) -> Raw<()> {
        Ok(host_of(&ctx).perform(Effect::new("fs.settle", path, Weight::Change), || fs::settle(Path::new(path)))?)
    }

    /// The names in a folder, in order.
    ///
    /// # Errors
    /// - `fs.list`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("a/b");
    /// fs::write("a/c", "");
    /// fs::list("a")      // => ["b", "c"]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn list(ctx: NativeCallContext, dir: &str) -> Raw<Array> {
        host_of(&ctx);
        Ok(fs::list(Path::new(dir))?.into_iter().map(Dynamic::from).collect())
    }

    /// Makes a folder and those above it; one that is there is fine.
    ///
    /// # Errors
    /// - `fs.mkdir`
    ///
    /// # Example
    /// ```rhai
    /// fs::mkdir("a/b/c");
    /// fs::exists("a/b/c")      // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mkdir(ctx: NativeCallContext, dir: &str) -> Raw<()> {
        let host = host_of(&ctx);
        Ok(host.perform(Effect::new("fs.mkdir", dir, Weight::Change), || fs::mkdir(Path::new(dir)))?)
    }

    /// Makes a folder of its own that begins with `prefix`, in `$TMPDIR` or /var/tmp, and gives its path. It stays.
    ///
    /// # Errors
    /// - `fs.temp`
    ///
    /// # Example
    /// ```rhai
    /// fs::list(fs::temp("kar-example"))      // => []
    /// ```
    #[rhai_fn(return_raw)]
    pub fn temp(ctx: NativeCallContext, prefix: &str) -> Raw<String> {
        let host = host_of(&ctx);
        let made = host.perform(Effect::new("fs.temp", prefix, Weight::Change), || fs::temp(prefix))?;
        Ok(made.display().to_string())
    }

    /// The BLAKE3 digest of a file, in hexadecimal.
    ///
    /// # Errors
    /// - `fs.read`
    ///
    /// # Example
    /// ```rhai
    /// fs::write("empty", "");
    /// fs::hash("empty")     // => "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn hash(ctx: NativeCallContext, path: &str) -> Raw<String> {
        let host = host_of(&ctx);
        Ok(fs::hash(Path::new(path), &host.cancel())?)
    }
}
