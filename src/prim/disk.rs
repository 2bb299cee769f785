//! `disk`: disks and image files, alike.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disks::{DiskHandle, TableValue};
use super::prelude::*;
use crate::host::{Hold, format_size, size_of};
use crate::kit::disk::{self, Attached, Criteria, Disk, Layout, OpenOptions, Part, Table, ThisMachine};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<DiskHandle>("disk");
    engine.register_type_with_name::<AttachedHandle>("attached disk");
    engine.register_type_with_name::<UnfinishedHandle>("unfinished disk");
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |handle: &mut UnfinishedHandle| format!("disk {}, unfinished", handle.disk));
        engine.register_fn(name, |handle: &mut DiskHandle| {
            format!("disk {} ({})", handle.object(), format_size(handle.disk().size()))
        });
        engine.register_fn(name, |handle: &mut AttachedHandle| {
            format!("{} attached as {}", handle.disk.object(), handle.attached.path().display())
        });
    }
}

impl Planned for DiskHandle {}
impl Planned for Arc<Attached> {}
impl Planned for Layout {}

/// Partitions as devices, until the last copy is gone.
#[derive(Clone)]
pub struct AttachedHandle {
    attached: Arc<Attached>,
    hold: Arc<Hold>,
    /// Keeps the lock of the image.
    disk: DiskHandle,
}

/// A disk whose table is cleared unless it is done.
#[derive(Clone)]
pub struct UnfinishedHandle {
    done: Arc<AtomicBool>,
    hold: Arc<Hold>,
    disk: String,
}

fn device(part: &Part) -> ImmutableString {
    part.path.display().to_string().into()
}

fn criteria(opts: &Opts) -> Result<Criteria> {
    let text = |name: &str| opts.text(name).map(Option::unwrap_or_default);
    let flag = |name: &str| opts.raw(name).map(|_| opts.flag(name)).transpose();
    Ok(Criteria {
        path: text("path")?,
        serial: text("serial")?,
        wwn: text("wwn")?,
        model: text("model")?,
        transport: text("transport")?,
        min: opts.size("min")?,
        max: opts.size("max")?,
        rotational: flag("rotational")?,
        removable: flag("removable")?,
        empty: flag("empty")?,
        force: opts.flag("force")?,
    })
}

fn open_disk(host: &Host, path: &str, options: OpenOptions) -> Result<DiskHandle> {
    let open = || Disk::open(Path::new(path), options).map(DiskHandle::new);
    // Reading is no effect.
    if options.write { host.perform(Effect::new("disk.open", path, Weight::Open), open) } else { open() }
}

#[export_module]
pub mod module {
    /// The disks of this machine: `#{ path, size, sector_size, model, serial, wwn, transport, rotational, removable,
    /// read_only, links, uses }` each; sizes in bytes, `uses` says in words who uses it. Virtual devices (loop, RAM,
    /// device-mapper, arrays) are left out.
    ///
    /// # Example
    /// ```rhai
    /// disk::list().filter(|d| d.size < 0)    // => []
    /// ```
    pub fn list() -> Array {
        disk::list().iter().map(to_dynamic).collect()
    }

    /// The path of the disk that a folder stands on: of the whole disk, where it is a partition that is mounted there.
    ///
    /// # Errors
    /// - `disk.none`: it stands on none (tmpfs, nfs, overlay), or on a volume that is no partition (LVM, LUKS, an array)
    ///
    /// # Example
    /// ```rhai
    /// disk::under("/proc")      // => throws disk.none
    /// ```
    #[rhai_fn(return_raw)]
    pub fn under(ctx: NativeCallContext, dir: &str) -> Raw<String> {
        host_of(&ctx);
        Ok(disk::under(Path::new(dir))?.display().to_string())
    }

    /// The path of the one disk that meets all criteria. An empty text is no criterion, so `#{ path: "" }` is "the
    /// only disk there is". A path that names an image file is that file. The name of a partition is refused: the disk is
    /// what is picked.
    ///
    /// # Options
    /// - `path` (text, ""): the device, any link to it, or the name of either without its folder (`nvme0n1`,
    ///   `nvme-Samsung_SSD_980_S64D`)
    /// - `serial` (text, ""): its serial number
    /// - `wwn` (text, ""): its World Wide Name
    /// - `model` (text, ""): part of its model name, or a pattern for all of it with `*` and `?`
    /// - `transport` (text, ""): nvme, sata, usb, virtio, scsi or mmc
    /// - `min` (size, none): at least this big, in bytes
    /// - `max` (size, none): at most this big, in bytes
    /// - `rotational` (flag, either): turning, or not
    /// - `removable` (flag, either): removable, or not
    /// - `empty` (flag, either): neither a table nor a filesystem on it, or just not that
    /// - `force` (flag, false): take a disk in use as well
    ///
    /// # Errors
    /// - `disk.pick`: none or several disks fit; each is listed with the reason why it fell out
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::pick(#{ path: "node1.img" })           // => "node1.img"
    /// disk::pick(#{ serial: "no such serial" })    // => throws disk.pick
    /// ```
    #[rhai_fn(name = "pick", return_raw)]
    pub fn pick_by(ctx: NativeCallContext, options: Map) -> Raw<String> {
        let opts = options_of(&ctx, "disk::pick", options)?;
        Ok(disk::pick(&ThisMachine, &criteria(&opts)?)?)
    }

    /// As above, without criteria: the only disk that is not in use.
    #[rhai_fn(return_raw)]
    pub fn pick(ctx: NativeCallContext) -> Raw<String> {
        host_of(&ctx);
        Ok(disk::pick(&ThisMachine, &Criteria::default())?)
    }

    /// Makes an image file of a size in bytes, sparse and all zeros; gives its path.
    ///
    /// # Options
    /// - `force` (flag, false): replace a file that is there
    ///
    /// # Errors
    /// - `disk.exists`: there is such a file
    /// - `disk.size`: not whole sectors of 512 bytes, or more than the filesystem there takes
    /// - `disk.create`, `disk.busy`, `disk.locked`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB")                     // => "node1.img"
    /// disk::create("node1.img", "64MiB")                     // => throws disk.exists
    /// disk::create("node1.img", "64MiB", #{ force: true })   // => "node1.img"
    /// ```
    #[rhai_fn(name = "create", return_raw)]
    pub fn create_with(ctx: NativeCallContext, path: &str, size: Dynamic, options: Map) -> Raw<String> {
        let opts = options_of(&ctx, "disk::create", options)?;
        let force = opts.flag("force")?;
        let bytes = size_of(&size)?.ok_or_else(|| Fault::new("disk.size", format!("`{size}` is no size of a disk")))?;
        let weight = if force { Weight::Destroy } else { Weight::Change };
        let host = host_of(&ctx);
        host.perform(Effect::new("disk.create", path, weight), || disk::create(Path::new(path), bytes, force))?;
        Ok(path.to_string())
    }

    /// As above, no options.
    #[rhai_fn(return_raw)]
    pub fn create(ctx: NativeCallContext, path: &str, size: Dynamic) -> Raw<String> {
        create_with(ctx, path, size, Map::new())
    }

    /// Opens a disk or an image file, for reading unless told otherwise. It is closed when the last copy of the handle
    /// is gone; until then nobody else opens it for writing.
    ///
    /// # Options
    /// - `write` (flag, false): open for writing, and keep other writers out
    /// - `force` (flag, false): let a disk in use be overwritten
    /// - `sector_size` (size, 512): bytes in a sector of an image file, 512 or 4096; a device knows its own
    ///
    /// # Errors
    /// - `disk.missing`: there is no such device or file
    /// - `disk.kind`: it is neither a block device nor a file
    /// - `disk.locked`: another run has it open for writing
    /// - `disk.open`, `disk.size`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.size                           // => 67108864
    /// disk::open("no-such.img")        // => throws disk.missing
    /// ```
    #[rhai_fn(name = "open", return_raw)]
    pub fn open_with(ctx: NativeCallContext, path: &str, options: Map) -> Raw<DiskHandle> {
        let opts = options_of(&ctx, "disk::open", options)?;
        let sector_size = opts.size("sector_size")?.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        let options = OpenOptions { write: opts.flag("write")?, force: opts.flag("force")?, sector_size };
        Ok(open_disk(&host_of(&ctx), path, options)?)
    }

    /// As above, for reading.
    #[rhai_fn(return_raw)]
    pub fn open(ctx: NativeCallContext, path: &str) -> Raw<DiskHandle> {
        Ok(open_disk(&host_of(&ctx), path, OpenOptions::default())?)
    }

    /// As it was opened.
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").path     // => "node1.img"
    /// ```
    #[rhai_fn(global, get = "path", pure)]
    pub fn path(disk: &mut DiskHandle) -> String {
        disk.object()
    }

    /// Bytes.
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").size     // => 67108864
    /// ```
    #[rhai_fn(global, get = "size", pure)]
    pub fn size(disk: &mut DiskHandle) -> i64 {
        i64::try_from(disk.disk().size()).unwrap_or(i64::MAX)
    }

    /// Bytes in a logical sector.
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").sector_size     // => 512
    /// ```
    #[rhai_fn(global, get = "sector_size", pure)]
    pub fn sector_size(disk: &mut DiskHandle) -> i64 {
        i64::from(disk.disk().geometry().sector_size)
    }

    /// The partition table on the disk. Where one copy of a GPT is damaged, the other is read, and `.warnings` says so.
    ///
    /// # Errors
    /// - `table.none`: there is no table
    /// - `table.damaged`: there is one, but it cannot be read
    /// - `table.read`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").table()     // => throws table.none
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn table(ctx: NativeCallContext, disk: &mut DiskHandle) -> Raw<TableValue> {
        host_of(&ctx);
        let layout = disk.disk().table()?.ok_or_else(|| {
            Fault::new("table.none", format!("`{}` has no partition table", disk.object()))
                .hint("`.write_table(table::plan(..))` writes one")
        })?;
        Ok(TableValue(Table::Layout(layout)))
    }

    /// Writes a partition table, fitted to this disk, reads it back and compares; the boot code stays. Gives the table
    /// as it stands on the disk now.
    ///
    /// # Errors
    /// - `disk.busy`: the disk is in use; says by whom and where
    /// - `disk.readonly`, `disk.attached`
    /// - `table.space`, `table.overlap`, ..: it does not fit; nothing was written
    /// - `table.write`, `table.verify`: the disk did not take it
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("gpt", [#{ name: "root", size: "fill", kind: "linux" }]));
    /// d.table().partitions[0].name     // => "root"
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn write_table(ctx: NativeCallContext, disk: &mut DiskHandle, table: TableValue) -> Raw<TableValue> {
        let host = host_of(&ctx);
        let effect = Effect::new("table.write", disk.object(), Weight::Destroy).guard(|| disk.disk().guard());
        let layout = host.perform(effect, || disk.disk().write_table(&table.0))?;
        Ok(TableValue(Table::Layout(layout)))
    }

    /// Makes a damaged table right and writes it; one that is not damaged is not written. `.table().warnings` names the
    /// damage beforehand, `.changes` of the result what was done: the good copy of a GPT replaces the bad one, the backup
    /// moves to the end of the disk, entries past the end are cut or left out, a broken chain of logical partitions ends
    /// where it broke. Of partitions that overlap only you know which is right.
    ///
    /// # Options
    /// - `drop` (list of whole numbers, none): partitions to leave out, by number
    ///
    /// # Errors
    /// - `table.none`: there is no table
    /// - `table.damaged`: nothing that can be believed is left of it
    /// - `table.overlap`: partitions overlap, and `drop` names neither
    /// - `table.number`: `drop` names a partition that is not there
    /// - `disk.busy`, `disk.readonly`, `disk.attached`, `table.write`, `table.verify`: as for `.write_table`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("gpt", [#{ name: "root" }]));
    /// d.mend_table().changes                                                             // => []
    /// stream::copy(stream::blob("damage"), dd::into("node1.img", #{ offset: 1024 }));
    /// let found = d.table().warnings;
    /// found[0].starts_with("primary GPT:")                                               // => true
    /// d.mend_table().changes.len                                                         // => 1
    /// d.table().warnings                                                                 // => []
    /// ```
    #[rhai_fn(global, name = "mend_table", return_raw, pure)]
    pub fn mend_table_with(ctx: NativeCallContext, disk: &mut DiskHandle, options: Map) -> Raw<TableValue> {
        let opts = options_of(&ctx, "disk.mend_table", options)?;
        let bad = || opts.refuse("drop", "takes a list of whole numbers from 1");
        let number = |value: Dynamic| value.as_int().ok().and_then(|n| u32::try_from(n).ok()).ok_or_else(bad);
        let drop: Vec<u32> = opts.list("drop")?.unwrap_or_default().into_iter().map(number).collect::<Result<_>>()?;
        let host = host_of(&ctx);
        let effect = Effect::new("table.mend", disk.object(), Weight::Destroy).guard(|| disk.disk().guard());
        let layout = host.perform(effect, || disk.disk().mend_table(&drop))?;
        Ok(TableValue(Table::Layout(layout)))
    }

    /// As above, nothing left out.
    #[rhai_fn(global, return_raw, pure)]
    pub fn mend_table(ctx: NativeCallContext, disk: &mut DiskHandle) -> Raw<TableValue> {
        mend_table_with(ctx, disk, Map::new())
    }

    /// Marks one partition as the one that BIOS boot code starts, and no other: the active flag of an MBR, the attribute
    /// "legacy BIOS bootable" of a GPT. Nothing else of the table changes, so the disk may be attached and in use.
    ///
    /// # Errors
    /// - `table.number`: there is no such partition
    /// - `table.none`: there is no table
    /// - `table.damaged`: it is damaged; `.mend_table()` first
    /// - `disk.readonly`, `table.write`, `table.verify`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("gpt", [#{ name: "boot", size: "8MiB" }, #{ name: "root" }]));
    /// d.set_bootable(2);
    /// d.table().partitions.map(|part| part.bootable)     // => [false, true]
    /// d.set_bootable(3)                                  // => throws table.number
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn set_bootable(ctx: NativeCallContext, disk: &mut DiskHandle, number: i64) -> Raw<()> {
        let host = host_of(&ctx);
        let number = u32::try_from(number).unwrap_or(0);
        let effect = Effect::new("table.bootable", format!("{} partition {number}", disk.object()), Weight::Change)
            .guard(|| disk.disk().guard_write());
        host.perform(effect, || disk.disk().set_bootable(number).map(drop))?;
        Ok(())
    }

    /// The 440 bytes of boot code at the start of the disk, as a blob.
    ///
    /// # Errors
    /// - `table.read`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").boot_code().len     // => 440
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn boot_code(ctx: NativeCallContext, disk: &mut DiskHandle) -> Raw<Blob> {
        host_of(&ctx);
        Ok(disk.disk().boot_code()?)
    }

    /// Writes boot code, up to 440 bytes; partition table and disk signature stay.
    ///
    /// # Errors
    /// - `disk.bootcode`: more than 440 bytes
    /// - `disk.readonly`, `disk.write`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_boot_code(blob(440, 0x90));
    /// d.boot_code()[0]     // => 144
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn write_boot_code(ctx: NativeCallContext, disk: &mut DiskHandle, code: Blob) -> Raw<()> {
        let host = host_of(&ctx);
        let effect = Effect::new("disk.boot_code", disk.object(), Weight::Destroy).guard(|| disk.disk().guard_write());
        Ok(host.perform(effect, || disk.disk().write_boot_code(&code))?)
    }

    /// Makes the partitions appear as devices: an image file through a loop device, a block device as itself. They go
    /// away with the last copy of the handle, and at the end of the run however it ends.
    ///
    /// # Errors
    /// - `disk.attach`, `disk.busy`, `table.damaged`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("gpt", [#{ name: "root", kind: "linux" }]));
    /// let parts = d.attach();
    /// parts.named("root") == parts.part(1)     // => true
    /// parts.detach();
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn attach(ctx: NativeCallContext, disk: &mut DiskHandle) -> Raw<AttachedHandle> {
        let host = host_of(&ctx);
        let effect = Effect::new("disk.attach", disk.object(), Weight::Open);
        let attached = host.perform(effect, || disk.disk().attach())?;
        let inner = attached.clone();
        let hold = disk.held(|| host.hold("disk.detach", &disk.object(), move || inner.detach()));
        Ok(AttachedHandle { attached, hold, disk: disk.clone() })
    }

    /// Clears both copies of the partition table, and the signatures of filesystems at the edges of the disk and of
    /// its partitions. The rest of the data is not overwritten.
    ///
    /// # Errors
    /// - `disk.busy`, `disk.readonly`, `disk.attached`, `disk.write`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("mbr", [#{ kind: "linux" }]));
    /// d.wipe();
    /// d.table()     // => throws table.none
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn wipe(ctx: NativeCallContext, disk: &mut DiskHandle) -> Raw<()> {
        let host = host_of(&ctx);
        let effect = Effect::new("disk.wipe", disk.object(), Weight::Destroy).guard(|| disk.disk().guard());
        Ok(host.perform(effect, || disk.disk().wipe())?)
    }

    /// Watches over a disk while it is written: unless `.done()` is called, its table and boot code are cleared when the
    /// last copy of the handle is gone or the run ends, by an error, by Ctrl-C or otherwise, so that what is half written
    /// cannot boot. What lies in the partitions stays. Take it before the partitions are attached: what is open is closed
    /// newest first.
    ///
    /// # Errors
    /// - `disk.readonly`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// let watch = d.unfinished();
    /// d.write_table(table::plan("gpt", [#{ name: "root" }]));
    /// watch.done();
    /// d.table().partitions.len        // => 1
    /// let watch = d.unfinished();
    /// watch = ();
    /// d.table()                       // => throws table.none
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn unfinished(ctx: NativeCallContext, disk: &mut DiskHandle) -> Raw<UnfinishedHandle> {
        let host = host_of(&ctx);
        disk.disk().guard_write()?;
        let done = Arc::new(AtomicBool::new(false));
        let hold = host.hold("disk.release", &disk.object(), {
            let (done, disk) = (done.clone(), disk.clone());
            move || if done.load(Ordering::SeqCst) { Ok(()) } else { disk.disk().clear_table() }
        });
        Ok(UnfinishedHandle { done, hold: Arc::new(hold), disk: disk.object() })
    }

    /// The disk is written to its end: its table stays. A second call does nothing.
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let watch = disk::open("node1.img", #{ write: true }).unfinished();
    /// watch.done();
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn done(ctx: NativeCallContext, watch: &mut UnfinishedHandle) -> Raw<()> {
        host_of(&ctx);
        watch.done.store(true, Ordering::SeqCst);
        Ok(watch.hold.release()?)
    }

    /// The disk as a device: `/dev/loop0` for an image.
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").attach().path.starts_with("/dev/loop")     // => true
    /// ```
    #[rhai_fn(global, get = "path", pure)]
    pub fn attached_path(attached: &mut AttachedHandle) -> String {
        attached.attached.path().display().to_string()
    }

    /// Its partitions: `#{ number, name, path, size }` each, size in bytes.
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// disk::open("node1.img").attach().parts     // => []
    /// ```
    #[rhai_fn(global, get = "parts", pure)]
    pub fn parts(attached: &mut AttachedHandle) -> Array {
        attached.attached.parts().iter().map(to_dynamic).collect()
    }

    /// The device of a partition by its number.
    ///
    /// # Errors
    /// - `disk.part`: there is none of this number
    /// - `disk.detached`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("mbr", [#{ kind: "linux" }]));
    /// d.attach().part(1).ends_with("p1")     // => true
    /// d.attach().part(2)                     // => throws disk.part
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn part(ctx: NativeCallContext, attached: &mut AttachedHandle, number: i64) -> Raw<ImmutableString> {
        host_of(&ctx);
        Ok(attached.attached.part(u32::try_from(number).unwrap_or(0)).map(device)?)
    }

    /// The device of a partition by its name in the table. An MBR holds no names: there it is the name in the plan
    /// that was written through the same handle.
    ///
    /// # Errors
    /// - `disk.part`: none, or more than one, has this name
    /// - `disk.detached`
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let d = disk::open("node1.img", #{ write: true });
    /// d.write_table(table::plan("gpt", [#{ name: "root", kind: "linux" }]));
    /// d.attach().named("root").ends_with("p1")     // => true
    /// d.attach().named("rot")                      // => throws disk.part
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn named(ctx: NativeCallContext, attached: &mut AttachedHandle, name: &str) -> Raw<ImmutableString> {
        host_of(&ctx);
        Ok(attached.attached.named(name).map(device)?)
    }

    /// Takes the devices away now. A second call does nothing.
    ///
    /// # Errors
    /// - `disk.busy`: a partition is mounted or otherwise in use; nothing was taken away
    ///
    /// # Example
    /// ```rhai
    /// disk::create("node1.img", "64MiB");
    /// let parts = disk::open("node1.img", #{ write: true }).attach();
    /// parts.detach();
    /// parts.detach();
    /// parts.part(1)     // => throws disk.detached
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn detach(ctx: NativeCallContext, attached: &mut AttachedHandle) -> Raw<()> {
        host_of(&ctx);
        Ok(attached.hold.release()?)
    }
}
