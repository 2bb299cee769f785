//! Virtual machines that boot a kernel and an image directly, in software.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kar::host::Cancel;
use kar::kit::initramfs::{Compression, Plan, build};

use crate::harness::{eventually, need, scratch};
use crate::kernel;

/// A machine may be one of several on two busy cores.
pub const LONG: Duration = Duration::from_secs(240);

/// The image that all machines here boot: made once.
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
        let plan = Plan {
            root: kernel::tree(),
            release: None,
            modules: texts(&[
                "ext4",
                "vfat",
                "nls_cp437",
                "nls_ascii",
                "virtio_blk",
                "virtio_pci",
                "nvme",
                "ahci",
                "sd_mod",
                "e1000",
            ]),
            optional: Vec::new(),
            firmware: true,
            programs: texts(&["mkfs.ext4", "mkfs.vfat", "ip", "busybox", "bash"]),
            files: Default::default(),
            kar: Some(kernel::kar()),
            recipes: ["disk.rhai", "fails.rhai"].iter().map(|name| recipes.join(name)).collect(),
            before: Vec::new(),
            after: Vec::new(),
            compression: Compression::Zstd(1),
        };
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-test.img");
        build(&path, &plan, &Cancel::new()).unwrap();
        path
    })
}

/// A running machine; killed when dropped.
pub struct Machine {
    qemu: Child,
    dir: tempfile::TempDir,
}

impl Machine {
    /// A screen, and a serial line that is the main console and takes keys.
    pub fn boot(cmdline: &str, more: &[&str]) -> Machine {
        let dir = scratch();
        let monitor = format!("unix:{},server=on,wait=off", dir.path().join("monitor").display());
        let qemu = Command::new(need("qemu-system-x86_64", "qemu-system-x86"))
            .args(["-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none", "-vga", "std", "-no-reboot"])
            .args(["-serial", "stdio", "-monitor", &monitor])
            .arg("-kernel")
            .arg(kernel::vmlinuz())
            .arg("-initrd")
            .arg(image())
            .arg("-append")
            .arg(format!("console=tty0 console=ttyS0 quiet {cmdline}"))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(std::fs::File::create(dir.path().join("console")).unwrap())
            .stderr(std::fs::File::create(dir.path().join("qemu")).unwrap())
            .spawn()
            .unwrap();
        Machine { qemu, dir }
    }

    pub fn console(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// What the screen's memory holds: 80 characters a line, each with its colour behind it.
    pub fn screen(&self) -> String {
        let (socket, dump) = (self.dir.path().join("monitor"), self.dir.path().join("screen"));
        let mut monitor = std::os::unix::net::UnixStream::connect(socket).unwrap();
        monitor.write_all(format!("pmemsave 0xb8000 0x8000 \"{}\"\n", dump.display()).as_bytes()).unwrap();
        eventually(LONG, "the screen is saved", || std::fs::metadata(&dump).is_ok_and(|meta| meta.len() == 0x8000));
        let bytes = std::fs::read(dump).unwrap();
        let text: Vec<u8> = bytes.iter().step_by(2).copied().collect();
        text.chunks(80).map(|line| String::from_utf8_lossy(line).trim_end().to_string() + "\n").collect()
    }

    fn all(&self) -> String {
        let qemu = std::fs::read_to_string(self.dir.path().join("qemu")).unwrap_or_default();
        format!("{}\n{qemu}", self.console())
    }

    /// Waits until the main console has shown this.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> String {
        let end = Instant::now() + LONG;
        loop {
            let console = self.console();
            if console.contains(text) {
                return console;
            }
            let over = self.qemu.try_wait().unwrap().is_some() && !self.console().contains(text);
            assert!(!over && Instant::now() < end, "`{text}` does not come:\n{}", self.all());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types a line on the main console.
    pub fn types(&mut self, line: &str) {
        let keys = self.qemu.stdin.as_mut().unwrap();
        keys.write_all(format!("{line}\n").as_bytes()).and_then(|()| keys.flush()).unwrap();
    }

    /// Waits until the machine has switched itself off, or started again; gives all that the main console showed.
    #[track_caller]
    pub fn ends(&mut self) -> String {
        let end = Instant::now() + LONG;
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the machine does not end:\n{}", self.all());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.console()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
