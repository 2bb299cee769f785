//! Debian's usual kernel, unpacked beside the test's other files: downloaded once, installed never.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::harness::{need, run};

/// The folder with /boot and /lib/modules of `linux-image-amd64`.
pub fn tree() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel");
    std::fs::create_dir_all(&folder).unwrap();
    // Test programs of other runs may be at it.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
    let tree = folder.join("tree");
    if !tree.exists() {
        fill(&folder, &tree);
    }
    tree
}

fn fill(folder: &Path, tree: &Path) {
    let unpacked = folder.join("unpacked");
    let _ = std::fs::remove_dir_all(&unpacked);
    let download = || {
        let depends = run(Command::new("apt-cache").args(["depends", "--important", "linux-image-amd64"]));
        let name = depends
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .expect("apt knows the kernel")
            .to_string();
        Command::new("apt-get").args(["-q", "download", &name]).current_dir(folder).output().unwrap()
    };
    let mut done = download();
    if !done.status.success() {
        run(Command::new("apt-get").args(["-q", "update"]));
        done = download();
    }
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let file =
        |entry: std::fs::DirEntry| Some(entry.path()).filter(|path| path.extension().is_some_and(|end| end == "deb"));
    let packed = std::fs::read_dir(folder).unwrap().find_map(|entry| file(entry.unwrap())).unwrap();
    run(Command::new(need("dpkg-deb", "dpkg")).arg("-x").arg(&packed).arg(&unpacked));
    std::fs::remove_file(packed).unwrap();
    std::fs::rename(&unpacked, tree).unwrap();
}

/// Its release, `6.1.0-18-amd64`.
pub fn release() -> String {
    let mut entries = std::fs::read_dir(tree().join("lib/modules")).unwrap();
    entries.next().unwrap().unwrap().file_name().into_string().unwrap()
}

pub fn vmlinuz() -> PathBuf {
    tree().join(format!("boot/vmlinuz-{}", release()))
}

/// The kar under test without what a debugger needs: 21 MB for 86.
pub fn kar() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kar = folder.join(format!("kar-{}", std::process::id()));
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // Of runs before.
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let old = name.strip_prefix("kar-").is_some_and(|pid| !Path::new("/proc").join(pid).exists());
            if old {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        run(Command::new(need("strip", "binutils")).arg("-o").arg(&kar).arg(crate::harness::kar()));
    });
    kar
}
