//! A boot server and a node on one wire, in a network namespace.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::netns::Net;
use crate::harness::vm::{Firmware, Hardware, Machine};
use crate::harness::{kar, run, scratch};

/// Power on to the kernel's first lines takes 10 to 40 s in software where nothing else runs.
pub const BOOT: Duration = Duration::from_secs(240);
const SERVER: &str = "10.78.0.1";
const TAP: &str = "tap0";

pub struct Room {
    net: Net,
    folder: tempfile::TempDir,
}

/// The kernel of the Debian system that `tests/run` builds.
fn kernel() -> PathBuf {
    let target = kar().ancestors().nth(2).expect("the binary lies in a profile's folder of target");
    let boot = target.join("debian-tree/boot");
    let names = fs::read_dir(&boot).unwrap_or_else(|_| {
        panic!("this test needs a kernel: `tests/boot/debian-tree {}`", target.join("debian-tree").display())
    });
    let mut kernels = names
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("vmlinuz"));
    kernels.next().expect("the Debian system has a kernel")
}

impl Room {
    /// Starts the server; the Debian kernel is in its folder under these names.
    pub fn new(bootfile: &str, script: &str, kernels: &[&str]) -> Room {
        let net = Net::new("netboot", 1);
        let space = net.space(1);
        let ip = |words: &[&str]| run(Command::new("ip").args(["-n", &space]).args(words));
        ip(&["tuntap", "add", TAP, "mode", "tap"]);
        ip(&["addr", "add", &format!("{SERVER}/24"), "dev", TAP]);
        ip(&["link", "set", TAP, "up"]);

        let folder = scratch();
        let room = Room { net, folder };
        fs::create_dir(room.path("root")).unwrap();
        for name in kernels {
            fs::copy(kernel(), room.path("root").join(name)).unwrap();
        }
        let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netboot/room.rhai");
        // At its end, wherever that is: see `turn_page`.
        let log = File::options().create(true).append(true).open(room.path("log")).unwrap();
        let mut server = room.net.command(1, "setpriv");
        server.args(["--pdeathsig", "TERM"]).arg(kar()).args(["run", recipe, "--interface", TAP, "--address", SERVER]);
        server.args(["--bootfile", bootfile, "--script", script, "--root", "root"]).current_dir(&room.folder);
        server.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        room.net.adopt(server.spawn().unwrap());
        room.wait("ready");
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the server has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until the server has printed this line.
    #[track_caller]
    pub fn wait(&self, line: &str) {
        let seen = || self.log().lines().any(|known| known == line);
        let end = std::time::Instant::now() + BOOT;
        while !seen() {
            assert!(std::time::Instant::now() < end, "`{line}` is not among\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Forgets what was printed: the next boot is looked at alone.
    pub fn turn_page(&self) {
        File::options().write(true).open(self.path("log")).unwrap().set_len(0).unwrap();
    }

    pub fn set_step(&self, word: &str) {
        let store = "let steps = step::open(\"steps\"); steps.set(\"node7\", \"WORD\")".replace("WORD", word);
        run(Command::new(kar()).args(["eval", &store]).current_dir(&self.folder));
    }

    /// Switches the node on. Its only disk says `own disk` on the console when the BIOS boots it.
    pub fn power_on(&self, firmware: Firmware) -> Machine {
        self.start(firmware, &[])
    }

    /// Switches it on with UEFI that knows HTTP boot, and PXE not.
    pub fn power_on_by_http(&self) -> Machine {
        self.start(Firmware::Uefi, &["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"])
    }

    fn start(&self, firmware: Firmware, more: &[&str]) -> Machine {
        let disk = self.path("disk.img");
        if !disk.exists() {
            own_disk(&disk);
        }
        let mut hardware = Hardware::booting(&disk).with_firmware(firmware);
        let netdev = format!("tap,id=net0,ifname={TAP},script=no,downscript=no");
        // The card's own ROM is iPXE; without it UEFI's PXE asks, as on most machines one can buy.
        let rom = if firmware == Firmware::Uefi { ",romfile=" } else { "" };
        let device = format!("virtio-net-pci,netdev=net0,mac=52:54:00:4b:00:07,bootindex=1{rom}");
        hardware.other = ["-netdev".into(), netdev, "-device".into(), device].to_vec();
        hardware.other.extend(more.iter().map(|word| word.to_string()));
        Machine::start_by(self.net.command(1, "setpriv"), &hardware)
    }
}

/// A boot sector that writes to the serial port and stops.
fn own_disk(path: &Path) {
    let mut sector = vec![
        0xfc, 0xbe, 0x13, 0x7c, // cld; mov si, 0x7c13
        0xac, 0x84, 0xc0, 0x74, 0x06, // next: lodsb; test al, al; jz stop
        0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf5, // mov dx, 0x3f8; out dx, al; jmp next
        0xf4, 0xeb, 0xfd, 0x90, // stop: hlt; jmp stop
    ];
    sector.extend(b"own disk\r\n\0");
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector.resize(1 << 20, 0);
    fs::write(path, sector).unwrap();
}
