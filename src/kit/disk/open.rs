//! A disk: a block device or an image file behind one type.

use std::fs::File;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::table::read_at;
use super::{Attached, Geometry, Label, Layout, Table, attach, kernel, label_gpt, label_mbr, lock, read_table, wipe};
use crate::host::{Fault, Result};

/// Bytes of boot code at the start of a disk; the disk signature follows.
const BOOT_CODE: usize = 440;

#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Open for writing, and keep other writers out.
    pub write: bool,
    /// Let a disk in use be overwritten.
    pub force: bool,
    /// Bytes in a sector of an image file: 512 (None) or 4096. A block device knows its own.
    pub sector_size: Option<u32>,
}

/// An open disk. The lock of one opened for writing goes with it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    file: File,
    geometry: Geometry,
    size: u64,
    block: bool,
    options: OpenOptions,
    /// Names of partitions, by number, of the table written here last: an MBR has no room for them.
    names: Mutex<Vec<(u32, String)>>,
    /// One attachment at a time: two loop devices on one image would not see each other's writes.
    attached: Mutex<Weak<Attached>>,
}

impl Disk {
    /// # Errors
    /// `disk.missing`, `disk.kind` (neither block device nor file), `disk.locked`, `disk.size`, `disk.open`.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self> {
        let shown = path.display();
        let fail = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Fault::io("disk.missing", format_args!("open disk `{shown}`"), error)
                .hint("`disk::list()` shows the disks of this machine; `disk::create` makes an image file"),
            _ => Fault::io("disk.open", format_args!("open disk `{shown}`"), error),
        };
        let kind = std::fs::metadata(path).map_err(fail)?.file_type();
        if !kind.is_block_device() && !kind.is_file() {
            return Err(Fault::new("disk.kind", format!("`{shown}` is neither a block device nor an image file")));
        }
        let file = std::fs::OpenOptions::new().read(true).write(options.write).open(path).map_err(fail)?;
        let block = kind.is_block_device();
        let size = match block {
            true => kernel::device_size(&file).map_err(|errno| fail(errno.into()))?,
            false => file.metadata().map_err(fail)?.len(),
        };
        let sector_size = match (block, options.sector_size) {
            (true, _) => kernel::sector_size(&file).map_err(|errno| fail(errno.into()))?,
            (false, None) => 512,
            (false, Some(size @ (512 | 4096))) => size,
            (false, Some(size)) => {
                let message = format!("image `{shown}`: sectors of {size} bytes, only 512 and 4096 are possible");
                return Err(Fault::new("disk.size", message));
            }
        };
        if options.write {
            lock::lock(&file, path)?;
        }
        let geometry = Geometry { sectors: size / u64::from(sector_size), sector_size };
        let (names, attached) = (Mutex::default(), Mutex::default());
        Ok(Disk { path: path.to_path_buf(), file, geometry, size, block, options, names, attached })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub fn is_block(&self) -> bool {
        self.block
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn may_write(&self) -> bool {
        self.options.write
    }

    /// The guard of what overwrites this disk: open for writing, not attached from here, in use by nobody.
    ///
    /// # Errors
    /// `disk.readonly`, `disk.attached`, `disk.busy`.
    pub fn guard(&self) -> Result<()> {
        self.guard_write()?;
        if let Some(attached) = self.attachment().filter(|attached| !self.block && attached.is_attached()) {
            let device = attached.path().display();
            let message = format!("image `{}` is attached as {device}", self.path.display());
            return Err(Fault::new("disk.attached", message).hint("`.detach()` it before its table is written"));
        }
        super::refuse_used(&self.path, self.options.force)
    }

    /// The guard of what changes the disk and harms nobody who uses it.
    ///
    /// # Errors
    /// `disk.readonly`
    pub fn guard_write(&self) -> Result<()> {
        match self.options.write {
            true => Ok(()),
            false => Err(Fault::new("disk.readonly", format!("`{}` was opened for reading", self.path.display()))
                .hint("disk::open(path, #{ write: true })")),
        }
    }

    fn attachment(&self) -> Option<Arc<Attached>> {
        self.attached.lock().expect("no holder of this lock panics").upgrade()
    }

    /// The table on the disk, None when there is none.
    ///
    /// # Errors
    /// See [`read_table`].
    pub fn table(&self) -> Result<Option<Layout>> {
        let mut layout = read_table(&self.file, self.geometry)?;
        if let Some(layout) = &mut layout {
            layout.device = Some(self.path.display().to_string());
            let names = self.names.lock().expect("no holder of this lock panics");
            for part in layout.partitions.iter_mut().filter(|_| layout.label == Label::Mbr) {
                let known = names.iter().find(|(number, _)| *number == part.number);
                part.name = known.map(|(_, name)| name.clone()).unwrap_or_default();
            }
        }
        Ok(layout)
    }

    /// Writes a table, fitted to this disk; boot code stays. What is read back afterwards is compared, and the kernel
    /// is told. Returns the table as it stands now.
    ///
    /// # Errors
    /// Those of fitting, before anything is written; those of [`Disk::guard`]; `table.write`; `table.verify`: the
    /// disk does not give back what was written; `disk.busy`: the kernel still uses the old table.
    pub fn write_table(&self, table: &Table) -> Result<Layout> {
        let layout = table.fit(self.geometry)?;
        self.guard()?;
        let boot = read_at(&self.file, 0, 512)?;
        let areas = match layout.label {
            Label::Gpt => label_gpt::areas(&layout, &boot)?,
            Label::Mbr => {
                wipe::gpt(&self.file, self.geometry).map_err(|error| self.write_failed(error))?;
                label_mbr::areas(&layout, &boot)?
            }
        };
        self.write_areas(&areas)?;
        self.written(&layout)
    }

    /// Writes the sectors of a table, as offset and bytes.
    pub(super) fn write_areas(&self, areas: &[(u64, Vec<u8>)]) -> Result<()> {
        for (offset, bytes) in areas {
            self.file.write_all_at(bytes, *offset).map_err(|error| self.write_failed(error))?;
        }
        self.file.sync_all().map_err(|error| self.write_failed(error))?;
        self.forget_cached();
        Ok(())
    }

    /// What is compared after writing has to come from the disk, not from memory.
    pub(super) fn forget_cached(&self) {
        if self.block {
            let _ = kernel::flush_buffers(&self.file);
        }
    }

    /// The end of every change of the table: it is read back and compared, and the kernel is told.
    pub(super) fn written(&self, layout: &Layout) -> Result<Layout> {
        let names = layout.partitions.iter().map(|part| (part.number, part.name.clone())).collect();
        *self.names.lock().expect("no holder of this lock panics") = names;
        let written = self.table()?;
        self.verify(layout, written.as_ref(), self.geometry.sector_size.into())?;
        if self.block {
            attach::tell_kernel(&self.path, &self.file, layout)?;
        }
        Ok(written.unwrap_or_else(|| layout.clone()))
    }

    fn verify(&self, layout: &Layout, written: Option<&Layout>, unit: u64) -> Result<()> {
        let fault = |why: String| Fault::new("table.verify", format!("table of `{}`: {why}", self.path.display()));
        let Some(written) = written else { return Err(fault("none is there after it was written".into())) };
        // Copied tables may be hybrids.
        if let Some(warning) = written.damage().first() {
            return Err(fault(format!("read back after it was written: {warning}")));
        }
        let mut expected = layout.partitions.clone();
        expected.sort_by_key(|part| part.number);
        let mut found = written.partitions.clone();
        found.sort_by_key(|part| part.number);
        let same = expected == found && (written.label, written.id) == (layout.label, layout.id);
        if same {
            return Ok(());
        }
        let differing = expected.iter().zip(&found).find(|(one, other)| one != other).map(|(one, _)| one);
        Err(match differing {
            Some(part) => {
                fault(format!("partition {} at byte {} reads back otherwise", part.number, part.start * unit))
            }
            None => fault(format!("{} partitions written, {} read back", expected.len(), found.len())),
        })
    }

    fn write_failed(&self, error: std::io::Error) -> Fault {
        Fault::io("table.write", format_args!("write the table of `{}`", self.path.display()), error)
    }

    /// The 440 bytes that a BIOS runs.
    pub fn boot_code(&self) -> Result<Vec<u8>> {
        read_at(&self.file, 0, BOOT_CODE)
    }

    /// Writes up to 440 bytes of boot code; signature and table behind it stay.
    ///
    /// # Errors
    /// `disk.bootcode`: longer than 440 bytes; `disk.write`; `disk.readonly`. A disk in use may get new boot code, as
    /// boot loaders are installed from the running system: table and data stay what they are.
    pub fn write_boot_code(&self, code: &[u8]) -> Result<()> {
        if code.len() > BOOT_CODE {
            let message = format!("boot code of {} bytes: there is room for {BOOT_CODE}", code.len());
            return Err(Fault::new("disk.bootcode", message));
        }
        self.guard_write()?;
        let fail = |error| Fault::io("disk.write", format_args!("write boot code of `{}`", self.path.display()), error);
        let mut whole = [0; BOOT_CODE];
        whole[..code.len()].copy_from_slice(code);
        self.file.write_all_at(&whole, 0).map_err(fail)?;
        self.file.sync_all().map_err(fail)
    }

    /// Clears both copies of the table and the signatures of filesystems at the start and the end of the disk and of
    /// each partition. The data itself is not zeroed.
    ///
    /// # Errors
    /// Those of [`Disk::guard`]; `disk.write`.
    pub fn wipe(&self) -> Result<()> {
        self.guard()?;
        let fail = |error| Fault::io("disk.write", format_args!("wipe `{}`", self.path.display()), error);
        // A table that cannot be read names no partitions to clear.
        let layout = self.table().ok().flatten();
        wipe::all(&self.file, self.size, layout.as_ref()).map_err(fail)?;
        self.file.sync_all().map_err(fail)?;
        self.names.lock().expect("no holder of this lock panics").clear();
        if self.block {
            let empty = Layout { partitions: Vec::new(), ..layout.unwrap_or_else(|| wipe::nothing(self.geometry)) };
            attach::tell_kernel(&self.path, &self.file, &empty)?;
        }
        Ok(())
    }

    /// Takes the table away and leaves all else, also where the disk is in use: what is half written must not boot.
    /// Boot code goes with the first sector, the kernel's partitions stay until nobody uses them.
    ///
    /// # Errors
    /// `disk.readonly`, `disk.write`.
    pub fn clear_table(&self) -> Result<()> {
        self.guard_write()?;
        let fail = |error| Fault::io("disk.write", format_args!("clear the table of `{}`", self.path.display()), error);
        if self.geometry.sectors > 1 {
            self.file.write_all_at(&vec![0; self.geometry.sector_size as usize], 0).map_err(fail)?;
            wipe::gpt(&self.file, self.geometry).map_err(fail)?;
        }
        self.file.sync_all().map_err(fail)
    }

    /// Makes the partitions appear as devices: an image file through a loop device, a block device as itself. A
    /// second call gives the same attachment.
    ///
    /// # Errors
    /// `disk.attach`, `disk.busy`, and those of reading the table.
    pub fn attach(&self) -> Result<Arc<Attached>> {
        let mut current = self.attached.lock().expect("no holder of this lock panics");
        if let Some(attached) = current.upgrade().filter(|attached| attached.is_attached()) {
            return Ok(attached);
        }
        let attached = Arc::new(Attached::new(self, self.table()?)?);
        *current = Arc::downgrade(&attached);
        Ok(attached)
    }
}
