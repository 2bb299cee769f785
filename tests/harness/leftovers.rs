//! What a run may have forgotten to undo.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// What still points into `folder` (loop devices whose image lies there, mounts on or of something there) and which
/// ports the process `pid` listens on; each as a line for a person. Empty is what a clean run leaves.
pub fn leftovers(folder: &Path, pid: Option<u32>) -> Vec<String> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mut found = loops(&folder);
    found.extend(mounts(&folder));
    found.extend(pid.map(ports).unwrap_or_default());
    found
}

fn loops(folder: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices
        .filter_map(|device| {
            let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
            // A deleted image reads `/path/name (deleted)`: still inside the folder.
            let inside = Path::new(file.trim()).starts_with(folder);
            inside.then(|| format!("/dev/{} holds {}", device.file_name().to_string_lossy(), file.trim()))
        })
        .collect()
}

fn mounts(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).map(|point| point.replace("\\040", " "));
    table
        .lines()
        .filter_map(point)
        .filter(|p| Path::new(p).starts_with(folder))
        .map(|p| format!("{p} is mounted"))
        .collect()
}

/// Listening TCP and bound UDP sockets of one process, of its network namespace.
fn ports(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let sockets: HashSet<String> = links
        .filter_map(|link| {
            fs::read_link(link.path()).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_string)
        })
        .collect();
    let mut found = Vec::new();
    // State 0A is LISTEN; UDP has no such state, 07 is "bound, not connected".
    for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let lines = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in lines.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(st), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else { continue };
            if *st == state && sockets.contains(*inode) {
                let port = local.rsplit(':').next().and_then(|hex| u16::from_str_radix(hex, 16).ok()).unwrap_or(0);
                found.push(format!("process {pid} listens on {table} port {port}"));
            }
        }
    }
    found
}
