//! What is a node's own: folders that were left out and made again, its name, and a command that runs inside it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kar::kit::disk::{Disk, OpenOptions};

use crate::flow::rehearse;
use crate::harness::{need, run, scratch};
use crate::image::Partition;

/// A system with a shell in it.
fn system(folder: &Path) -> PathBuf {
    need("setfattr", "attr");
    let root = folder.join("source");
    let script = r#"
        mkdir -p bin etc var/cache/apt/archives var/cache/man home/ann/tmp tmp/private usr
        cp /bin/sh bin/sh; cp "$(command -v touch)" "$(command -v ls)" bin/
        for lib in $(ldd bin/sh bin/touch bin/ls | grep -o '/[^ ]*lib[^ :]*$\|/lib[^ ]*'); do
            mkdir -p .$(dirname $lib); cp -L $lib .$lib
        done
        echo golden > etc/hostname; printf '127.0.0.1\tlocalhost\n127.0.1.1\tgolden.lab.org golden\n10.0.0.9 goldenrod\n' > etc/hosts
        echo package > var/cache/apt/archives/x.deb; echo x > var/cache/man/x; echo x > home/ann/tmp/x; echo x > tmp/private/x
        chown 12:34 var/cache; chmod 2750 var/cache; setfattr -n user.note -v kept var/cache
        touch -d '2003-03-03 03:03:03.5' var/cache; chmod 1777 tmp
    "#;
    std::fs::create_dir_all(&root).unwrap();
    run(Command::new("sh").args(["-e", "-c", script]).current_dir(&root));
    root
}

fn clone(folder: &Path, words: &[&str]) -> Output {
    rehearse("recipes/linux.rhai", folder, &[&["--source", "source", "--nodes", "2"], words].concat())
}

#[test]
fn folders_that_are_left_out_and_a_name_of_its_own() {
    let folder = scratch();
    system(folder.path());
    let run_inside =
        "ls /dev/null /proc/self/status /sys/kernel >/dev/null && echo $0 > /etc/issue && touch /usr/touched";
    let words =
        ["--exclude", "var/cache,tmp/*,home/ann/tmp", "--run", run_inside, "--changed", "etc/issue,usr/touched"];
    let output = clone(folder.path(), &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = "ok, same as the source, but for etc/issue usr/touched /etc/hostname /etc/hosts";
    assert_eq!(table.matches(result).count(), 2, "{table}");
    for n in 1..=2 {
        let mut root = Partition::open(&folder.path().join(format!("work/node{n}.img")), 3);
        let dir = root.mount();
        for (name, mode, owner) in
            [("var/cache", 0o2750, (12, 34)), ("tmp", 0o1777, (0, 0)), ("home/ann/tmp", 0o755, (0, 0))]
        {
            let data = std::fs::metadata(dir.join(name)).unwrap();
            assert_eq!((data.permissions().mode() & 0o7777, (data.uid(), data.gid())), (mode, owner), "{name}");
            assert_eq!(std::fs::read_dir(dir.join(name)).unwrap().count(), 0, "{name} is empty");
        }
        let cache = std::fs::metadata(dir.join("var/cache")).unwrap();
        assert_eq!((cache.mtime(), cache.mtime_nsec()), (1_046_660_583, 500_000_000));
        assert_eq!(xattr::get(dir.join("var/cache"), "user.note").unwrap().unwrap(), b"kept");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("etc/hostname"), format!("node{n}\n"));
        let hosts = format!("127.0.0.1\tlocalhost\n127.0.1.1\tnode{n}.lab.org node{n}\n10.0.0.9 goldenrod\n");
        assert_eq!(read("etc/hosts"), hosts);
        assert_eq!(read("etc/issue"), "/bin/sh\n");
    }

    // What a command changes and nobody announced is a difference.
    let output = clone(folder.path(), &["--run", run_inside, "--changed", "etc/issue", "--rename=no"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("error[rehearsal.differs]") && stderr.contains("usr/touched: missing here, file there"),
        "{stderr}"
    );
    let mut root = Partition::open(&folder.path().join("work/node1.img"), 3);
    assert_eq!(std::fs::read_to_string(root.mount().join("etc/hostname")).unwrap(), "golden\n");
}

#[test]
fn a_command_that_fails_fails_the_node() {
    let folder = scratch();
    system(folder.path());
    let output = clone(folder.path(), &["--run", "echo setting up; echo no such thing >&2; exit 7"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for word in ["error[proc.failed]", "node1", "node2", "failed with exit status 7", "setting up", "no such thing"] {
        assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
    }
    for n in 1..=2 {
        let image = folder.path().join(format!("work/node{n}.img"));
        let disk = Disk::open(&image, OpenOptions::default()).unwrap();
        assert_eq!(disk.table().unwrap(), None, "node{n} is not what was asked for and would boot");
    }
}
