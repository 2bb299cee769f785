//! Partitions as devices: loop devices for images, BLKPG for both.
//!
//! Partitions are told to the kernel one by one, from the table that was read here: that works on kernels without
//! parsers for tables, and beside partitions that are mounted.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::kernel::{self, sys_line};
use super::{Disk, Layout, partition_name};
use crate::host::{Fault, Result};

/// How long to try again what udev or another process has open for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// One partition of an attached disk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    pub number: u32,
    /// The partition's name in the table; empty where it has none.
    pub name: String,
    /// Its device.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

/// A disk whose partitions are devices. Dropped, it is detached.
#[derive(Debug)]
pub struct Attached {
    path: PathBuf,
    parts: Vec<Part>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The loop device, kept open: when this process ends, however it ends, the kernel clears it.
    device: Option<File>,
    /// Partitions of the loop device that were added here.
    added: Vec<u32>,
    /// Device files made here, where no devtmpfs makes them.
    made: Vec<PathBuf>,
    attached: bool,
}

impl Attached {
    pub(super) fn new(disk: &Disk, layout: Option<Layout>) -> Result<Self> {
        let (path, device) = match disk.is_block() {
            true => (disk.path().to_path_buf(), None),
            false => {
                let (path, device) = loop_device(disk)?;
                (path, Some(device))
            }
        };
        let state = State { device, attached: true, ..State::default() };
        let mut attached = Attached { path, parts: Vec::new(), state: Mutex::new(state) };
        if let Some(layout) = layout {
            // A fault on the way drops `attached`, which undoes what was done.
            attached.add_all(disk, &layout)?;
        }
        Ok(attached)
    }

    fn add_all(&mut self, disk: &Disk, layout: &Layout) -> Result<()> {
        let state = self.state.get_mut().expect("no holder of this lock panics");
        let device = state.device.as_ref().unwrap_or(disk.file());
        let added = tell_kernel(&self.path, device, layout)?;
        let is_loop = state.device.is_some();
        if is_loop {
            state.added = added;
        }
        for part in &layout.partitions {
            let path = PathBuf::from(partition_name(&self.path.display().to_string(), part.number));
            if make_node(&self.path, part.number, &path)? {
                state.made.push(path.clone());
            }
            let (name, size) = (part.name.clone(), layout.bytes(part.size));
            self.parts.push(Part { number: part.number, name, path, size });
        }
        Ok(())
    }

    /// The disk as a device: `/dev/loop3`, or the block device itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub fn is_attached(&self) -> bool {
        self.state.lock().expect("no holder of this lock panics").attached
    }

    /// The device of a partition by its number.
    ///
    /// # Errors
    /// `disk.part`: there is none; the message lists those there are.
    pub fn part(&self, number: u32) -> Result<&Part> {
        self.found(self.parts.iter().find(|part| part.number == number), &format!("number {number}"))
    }

    /// The device of a partition by its name in the table.
    ///
    /// # Errors
    /// `disk.part`: none, or two, have it.
    pub fn named(&self, name: &str) -> Result<&Part> {
        let mut with = self.parts.iter().filter(|part| part.name == name && !name.is_empty());
        let found = with.next();
        if with.next().is_some() {
            return Err(Fault::new(
                "disk.part",
                format!("two partitions of `{}` are named `{name}`", self.path.display()),
            ));
        }
        let names = self.parts.iter().map(|part| part.name.as_str());
        self.found(found, &format!("named `{name}`")).map_err(|fault| fault.nearest(name, names))
    }

    fn found<'a>(&self, part: Option<&'a Part>, which: &str) -> Result<&'a Part> {
        if !self.is_attached() {
            return Err(Fault::new("disk.detached", format!("`{}` is detached", self.path.display())));
        }
        part.ok_or_else(|| {
            let list: Vec<_> = self.parts.iter().map(|part| format!("{} {}", part.number, part.name)).collect();
            let list = if list.is_empty() { "none".into() } else { list.join(", ").replace(" ,", ",") };
            let message = format!("`{}` has no partition {which}; it has: {}", self.path.display(), list.trim_end());
            Fault::new("disk.part", message)
        })
    }

    /// Takes the partitions and the loop device away; a block device stays as it is. A second call does nothing.
    ///
    /// # Errors
    /// `disk.busy`: a partition is mounted or otherwise in use; nothing has been taken away then.
    pub fn detach(&self) -> Result<()> {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        let Some(device) = state.device.as_ref().filter(|_| state.attached) else {
            state.attached = false;
            return Ok(());
        };
        let until = Instant::now() + PATIENCE;
        while let Err(fault) = super::refuse_used(&self.path, false) {
            // A mount stays; a program that has it open may be just ending.
            if fault.message.contains(" is mounted at ") || Instant::now() >= until {
                return Err(Fault { hints: vec!["unmount it first".into()], ..fault });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let fail = |what: String, error: Errno| Fault::io("disk.detach", what, error);
        let left: Vec<u32> = state.added.clone();
        for number in left {
            let what = || format!("take partition {number} of `{}` away", self.path.display());
            patiently(|| kernel::delete_partition(device, number), &[Errno::EBUSY])
                .or_else(|errno| if errno == Errno::ENXIO { Ok(()) } else { Err(fail(what(), errno)) })?;
        }
        kernel::flush_buffers(device).map_err(|errno| fail(format!("write out `{}`", self.path.display()), errno))?;
        // The kernel clears it with the last one who has it open (autoclear): closing is what counts.
        let _ = kernel::clear_loop(device);
        for node in &state.made {
            let _ = std::fs::remove_file(node);
        }
        *state = State::default();
        Ok(())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // Still in use: the kernel clears the loop device when the last user lets go.
        let _ = self.detach();
    }
}

/// Repeats what another process may hold up for a moment.
fn patiently<T>(mut act: impl FnMut() -> nix::Result<T>, passing: &[Errno]) -> nix::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match act() {
            Err(errno) if passing.contains(&errno) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

fn loop_device(disk: &Disk) -> Result<(PathBuf, File)> {
    let shown = disk.path().display();
    let fail = |what: &str, error: std::io::Error| {
        Fault::io("disk.attach", format_args!("attach image `{shown}`: {what}"), error)
            .hint("loop devices need root and the kernel module `loop`")
    };
    let control =
        OpenOptions::new().read(true).write(true).open("/dev/loop-control").map_err(|e| fail("loop-control", e))?;
    let until = Instant::now() + PATIENCE;
    loop {
        let number = kernel::free_loop(&control).map_err(|errno| fail("find a free loop device", errno.into()))?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        if !path.exists() {
            let mode = Mode::from_bits_truncate(0o660);
            let made = mknod(&path, SFlag::S_IFBLK, mode, makedev(7, number.into()));
            made.or_else(|errno| if errno == Errno::EEXIST { Ok(()) } else { Err(errno) })
                .map_err(|errno| fail("make its device file", errno.into()))?;
        }
        let opened = OpenOptions::new().read(true).write(disk.may_write()).open(&path);
        let configured = opened.map_err(Errno::try_from).and_then(|device| {
            let name = disk.path().canonicalize().unwrap_or_else(|_| disk.path().to_path_buf());
            let (size, write) = (disk.geometry().sector_size, disk.may_write());
            kernel::configure_loop(&device, disk.file(), &name, size, write).map(|()| device).map_err(Ok)
        });
        match configured {
            Ok(device) => return Ok((path, device)),
            // Another process was quicker: the next free one.
            Err(Ok(Errno::EBUSY | Errno::ENXIO | Errno::ENODEV)) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(Ok(errno)) => return Err(fail(&path.display().to_string(), errno.into())),
            Err(Err(error)) => return Err(fail(&path.display().to_string(), error)),
        }
    }
}

/// Brings the kernel's list of partitions in line with a table; returns the numbers that were added. What the kernel
/// has already in its place is left alone, in use or not.
///
/// # Errors
/// `disk.busy`: a partition that has changed or gone is in use.
pub(super) fn tell_kernel(path: &Path, device: &File, layout: &Layout) -> Result<Vec<u32>> {
    // Refused where a partition is in use or the kernel has no parser: then one by one.
    let _ = kernel::reread(device);
    let Some(number) = kernel::block_number(path) else { return Ok(Vec::new()) };
    let wanted: Vec<(u32, u64, u64)> = layout
        .partitions
        .iter()
        .map(|part| {
            // Of an extended partition the kernel shows only the start, so that nobody writes over what is in it.
            let shown = if part.kind.is_extended() { layout.bytes(1).max(1024) } else { layout.bytes(part.size) };
            (part.number, layout.bytes(part.start), shown)
        })
        .collect();
    let fail = |what: &str, number: u32, errno: Errno| {
        let kind = if errno == Errno::EBUSY { "disk.busy" } else { "disk.partition" };
        Fault::io(kind, format_args!("{what} partition {number} of `{}` in the kernel's list", path.display()), errno)
    };
    let mut there = Vec::new();
    for sys in kernel::sys_partitions(&kernel::sys_of(number)) {
        let value = |name: &str| sys_line(&sys.join(name)).parse::<u64>().unwrap_or(0);
        // /sys counts in 512 bytes, whatever the sectors of the disk.
        let found = (value("partition") as u32, value("start") * 512, value("size") * 512);
        match wanted.contains(&found) {
            true => there.push(found.0),
            false => patiently(|| kernel::delete_partition(device, found.0), &[Errno::EBUSY])
                .map_err(|errno| fail("change", found.0, errno))?,
        }
    }
    let mut added = there.clone();
    for (number, start, size) in wanted.into_iter().filter(|(number, ..)| !there.contains(number)) {
        patiently(|| kernel::add_partition(device, number, start, size), &[])
            .map_err(|errno| fail("add", number, errno))?;
        added.push(number);
    }
    Ok(added)
}

/// Makes the device file of a partition where the system has not; true when it was made here.
fn make_node(disk: &Path, number: u32, node: &Path) -> Result<bool> {
    let Some(own) = kernel::block_number(disk) else { return Ok(false) };
    let sys = kernel::sys_of(own);
    let of_number = |dir: &PathBuf| sys_line(&dir.join("partition")) == number.to_string();
    let found = kernel::sys_partitions(&sys).into_iter().find(of_number);
    let device = found.and_then(|dir| kernel::parse_number(&sys_line(&dir.join("dev"))));
    let missing =
        || Fault::new("disk.attach", format!("the kernel shows no partition {number} of `{}`", disk.display()));
    let device = device.ok_or_else(missing)?;
    if kernel::block_number(node) == Some(device) {
        return Ok(false);
    }
    let fail = |errno: Errno| Fault::io("disk.attach", format_args!("make device file `{}`", node.display()), errno);
    // Left over from a partition that is gone.
    if kernel::block_number(node).is_some() {
        let _ = std::fs::remove_file(node);
    }
    let mode = Mode::from_bits_truncate(0o660);
    match mknod(node, SFlag::S_IFBLK, mode, makedev(device.0, device.1)) {
        Ok(()) => Ok(true),
        // The system was just about to.
        Err(Errno::EEXIST) if kernel::block_number(node) == Some(device) => Ok(false),
        Err(errno) => Err(fail(errno)),
    }
}
