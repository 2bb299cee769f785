//! A sink that takes nothing: is a disk at work below it, or does nothing happen at all?

use std::fs;

/// How many times the usual patience a disk gets: a flush of a large cache may take long, and the disk is at work.
pub const DISK: u32 = 10;

/// The state letter in a `stat` file of /proc, and the parent's process id.
fn stat(path: &str) -> Option<(char, i32)> {
    let text = fs::read_to_string(path).ok()?;
    let mut rest = text.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// Whether this thread, or any process that this one has started, is in a sleep that only a device ends (state D).
pub fn waits_for_disk(thread: i32) -> bool {
    if stat(&format!("/proc/self/task/{thread}/stat")).is_some_and(|(state, _)| state == 'D') {
        return true;
    }
    let processes: Vec<(i32, char, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| stat(&format!("/proc/{pid}/stat")).map(|(state, parent)| (pid, state, parent)))
        .collect();
    let mut family = vec![std::process::id() as i32];
    let mut at = 0;
    while at < family.len() {
        let parent = family[at];
        for (pid, state, _) in processes.iter().filter(|(_, _, of)| *of == parent) {
            if *state == 'D' {
                return true;
            }
            if !family.contains(pid) {
                family.push(*pid);
            }
        }
        at += 1;
    }
    false
}
