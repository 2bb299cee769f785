//! The leases file: a line of JSON for each change, appended; the last line about an address counts.
//!
//! A kill at any moment leaves at most a line that is not whole at the end, which nobody was told of. When the file has
//! grown much longer than what it says, it is written anew beside itself and takes its own place.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::leases::{Lease, State};
use crate::host::{Fault, Result};

/// Lines that are superseded, at least, before the file is written anew.
const SLACK: usize = 20_000;

#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    /// Bytes that are whole and on disk.
    good: u64,
    lines: usize,
    /// Lines of the last whole writing.
    base: usize,
    /// The last append failed: what it left is cut off first.
    torn: bool,
}

impl Store {
    /// Opens the file, a missing one as an empty one, and gives what stands in it. It is ours alone until it is closed.
    ///
    /// # Errors
    /// `dhcp.leases`: unreadable or unwritable, or a line that is no lease: rather not start than give an address twice;
    /// another server has it open.
    pub fn open(path: &Path) -> Result<(Store, Vec<Lease>)> {
        let mut file = own(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| fail("read", path, error))?;
        let leases = parse(&bytes, path)?;
        // Whole from here on; and a folder that cannot be written shows now, not at the first client.
        let store = Store::write(path, &leases)?;
        Ok((store, leases))
    }

    /// Writes the file whole and at once, and opens it.
    fn write(path: &Path, leases: &[Lease]) -> Result<Store> {
        let text = lines(leases);
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).write(true).truncate(true).open(&part)?;
            // Before it takes the name: nobody finds it unlocked there.
            lock(&file).map_err(|_| std::io::Error::from(ErrorKind::ResourceBusy))?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            fs::rename(&part, path)?;
            // The name as well, not only what it names.
            File::open(folder)?.sync_all()?;
            Ok(file)
        })();
        let file = written.map_err(|error| fail("write", path, error))?;
        let (good, lines) = (text.len() as u64, leases.len());
        Ok(Store { path: path.into(), file, good, lines, base: lines, torn: false })
    }

    /// Appends lines made by [`line`]; on disk when this returns.
    ///
    /// # Errors
    /// `dhcp.leases`: none of them is in the file then.
    pub fn append(&mut self, text: &str, lines: usize) -> Result<()> {
        let mut work = || {
            if self.torn {
                self.file.set_len(self.good)?;
                std::io::Seek::seek(&mut self.file, std::io::SeekFrom::Start(self.good))?;
                self.torn = false;
            }
            // Removed or replaced behind our back: what is written would be lost with our handle.
            fs::metadata(&self.path)?;
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        };
        match work() {
            Ok(()) => {
                self.good += text.len() as u64;
                self.lines += lines;
                Ok(())
            }
            Err(error) => {
                self.torn = true;
                Err(fail("write", &self.path, error))
            }
        }
    }

    /// Whether most of the file is superseded.
    pub fn is_long(&self) -> bool {
        self.lines > 2 * self.base + SLACK
    }

    /// Writes the file anew with these alone.
    pub fn compact(&mut self, leases: &[Lease]) -> Result<()> {
        *self = Store::write(&self.path, leases)?;
        Ok(())
    }
}

/// Adds one lease as the file has it.
pub fn line(lease: &Lease, text: &mut String) {
    *text += &serde_json::to_string(lease).expect("a lease is plain data");
    text.push('\n');
}

fn lines(leases: &[Lease]) -> String {
    let mut text = String::new();
    leases.iter().for_each(|lease| line(lease, &mut text));
    text
}

/// The leases in a file's bytes.
///
/// # Errors
/// `dhcp.leases`: a whole line that is no lease. A last line that is not whole is what a kill or a power cut left.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Lease>> {
    let mut leases: BTreeMap<Ipv4Addr, Lease> = BTreeMap::new();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for (at, text) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let lease: Lease = serde_json::from_slice(text).map_err(|error| {
            let place = format!("{}:{}", path.display(), at + 1);
            Fault::new("dhcp.leases", format!("cannot read the lease in {place}: {error}"))
                .hint("mend or remove the line; without the file all leases are forgotten")
        })?;
        if lease.state != State::Offered {
            leases.insert(lease.ip, lease);
        }
    }
    Ok(leases.into_values().collect())
}

/// Opens a file and locks it. The lock ends with the file's last handle, however its process ends.
fn own(path: &Path) -> Result<File> {
    loop {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(path);
        let file = file.map_err(|error| fail("open", path, error))?;
        let number = file.metadata().map_err(|error| fail("read", path, error))?.ino();
        if lock(&file).is_err() {
            let owner = owner(number).unwrap_or_else(|| "another server".into());
            return Err(Fault::new(
                "dhcp.leases",
                format!("cannot use the leases file `{}`: {owner} keeps its leases there", path.display()),
            )
            .hint("two servers would give one address twice: stop that one, or give this one another file: leases: \"..\""));
        }
        // Its owner may have written it anew meanwhile: then this is the old one, without a name.
        if fs::metadata(path).is_ok_and(|now| now.ino() == number) {
            return Ok(file);
        }
    }
}

/// # Errors
/// Somebody else has it. A filesystem that knows no locks lets everybody have it.
fn lock(file: &File) -> std::result::Result<(), ()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(()),
        _ => Ok(()),
    }
}

/// Who has a lock on a file: lines of /proc/locks are `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`.
fn owner(number: u64) -> Option<String> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "FLOCK")?;
        let inode = words.get(at + 4)?.rsplit(':').next()?.parse::<u64>().ok()?;
        (inode == number).then(|| words[at + 3].to_string())
    })?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
    Some(if command.is_empty() { format!("process {pid}") } else { format!("process {pid} (`{command}`)") })
}

fn fail(verb: &str, path: &Path, error: std::io::Error) -> Fault {
    Fault::io("dhcp.leases", format_args!("{verb} the leases file `{}`", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(last: u8, expires: u64) -> Lease {
        let (mac, hostname) = ("02:00:00:00:00:01".into(), String::new());
        Lease { ip: [10, 0, 0, last].into(), mac, client: format!("c{last}"), hostname, state: State::Bound, expires }
    }

    #[test]
    fn the_last_line_of_an_address_counts_and_a_torn_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        let (mut store, found) = Store::open(&path).unwrap();
        assert!(found.is_empty());
        for lease in [lease(5, 1), lease(6, 1), lease(5, 2)] {
            store.append(&lines(&[lease]), 1).unwrap();
        }
        drop(store);
        let whole = fs::read(&path).unwrap();
        // Whatever a kill left of the last line, what was whole before it is there.
        let second = whole.len() - lines(&[lease(5, 2)]).len();
        for cut in second..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(Store::open(&path).unwrap().1, [lease(5, 1), lease(6, 1)], "{cut}");
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(Store::open(&path).unwrap().1, [lease(5, 2), lease(6, 1)]);
        assert_eq!(fs::read(&path).unwrap().len(), 2 * lines(&[lease(5, 2)]).len(), "written anew");
    }

    #[test]
    fn a_second_server_on_one_file_is_refused_and_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        let (mut store, _) = Store::open(&path).unwrap();
        for round in 0..2 {
            let fault = Store::open(&path).unwrap_err();
            let me = format!("process {} ", std::process::id());
            assert!(fault.kind == "dhcp.leases" && fault.message.contains(&me), "{round}: {fault}");
            // Written anew it is another file, and still its own.
            store.compact(&[lease(5, 1)]).unwrap();
        }
        drop(store);
        assert_eq!(Store::open(&path).unwrap().1, [lease(5, 1)]);
    }

    #[test]
    fn a_line_that_is_no_lease_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        fs::write(&path, "{}\n").unwrap();
        let fault = Store::open(&path).unwrap_err();
        assert!(fault.kind == "dhcp.leases" && fault.message.contains("leases:1"), "{fault}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[test]
    fn a_failed_append_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        let (mut store, _) = Store::open(&path).unwrap();
        store.append(&lines(&[lease(5, 1)]), 1).unwrap();
        store.file.write_all(b"{\"half").unwrap();
        store.torn = true;
        store.append(&lines(&[lease(6, 1)]), 1).unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().1, [lease(5, 1), lease(6, 1)]);
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut seed = 7u64;
        let sample = lines(&[lease(5, 1), lease(6, 1), lease(5, 2)]);
        for _ in 0..20_000 {
            let mut bytes = sample.clone().into_bytes();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (seed >> 33) as usize % bytes.len();
                bytes[at] = (seed >> 24) as u8;
            }
            let _ = parse(&bytes, Path::new("leases"));
        }
    }
}
