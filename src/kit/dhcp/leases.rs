//! Who has which address until when, in memory and in a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{Fault, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Held for a moment while the client decides; never in the file.
    Offered,
    Bound,
    /// Given back, or over: remembered, so that the client gets it again.
    Released,
    /// In use by somebody unknown: rests until `expires`.
    Declined,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub ip: Ipv4Addr,
    /// Hardware address, pairs of digits.
    pub mac: String,
    /// Who it belongs to: see [`super::Rules`].
    pub client: String,
    #[serde(default)]
    pub hostname: String,
    pub state: State,
    /// Seconds since 1970; `u64::MAX` never.
    pub expires: u64,
}

impl Lease {
    /// Whether the address is not to be given to anybody else.
    pub fn holds(&self, now: u64) -> bool {
        self.state != State::Released && self.expires > now
    }
}

#[derive(Debug, Default)]
pub struct Leases {
    by_ip: BTreeMap<Ipv4Addr, Lease>,
    by_client: HashMap<String, Ipv4Addr>,
    file: Option<PathBuf>,
}

impl Leases {
    /// Reads what an earlier server wrote; a missing file is an empty one.
    ///
    /// # Errors
    /// `dhcp.leases`: unreadable, or a line that is no lease: rather not start than give an address twice.
    pub fn open(file: Option<&Path>) -> Result<Leases> {
        let mut leases = Leases { file: file.map(Path::to_path_buf), ..Leases::default() };
        let Some(path) = file else { return Ok(leases) };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| fail("read", path, error))?,
        };
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let lease = serde_json::from_str(line).map_err(|error| {
                let place = format!("{}:{}", path.display(), at + 1);
                Fault::new("dhcp.leases", format!("cannot read the lease in {place}: {error}"))
                    .hint("mend or remove the line; without the file all leases are forgotten")
            })?;
            leases.put(lease);
        }
        // A folder that cannot be written shows now, not at the first client.
        leases.save().map(|()| leases)
    }

    pub fn at(&self, ip: Ipv4Addr) -> Option<&Lease> {
        self.by_ip.get(&ip)
    }

    pub fn of(&self, client: &str) -> Option<&Lease> {
        self.by_ip.get(self.by_client.get(client)?)
    }

    pub fn all(&self) -> impl Iterator<Item = &Lease> {
        self.by_ip.values()
    }

    /// Takes the place of what the address and the client had before.
    pub fn put(&mut self, lease: Lease) {
        if let Some(before) = self.by_client.insert(lease.client.clone(), lease.ip).filter(|ip| *ip != lease.ip) {
            self.by_ip.remove(&before);
        }
        if let Some(other) = self.by_ip.insert(lease.ip, lease.clone()).filter(|other| other.client != lease.client) {
            self.by_client.remove(&other.client);
        }
    }

    pub fn remove(&mut self, ip: Ipv4Addr) {
        if let Some(lease) = self.by_ip.remove(&ip) {
            self.by_client.remove(&lease.client);
        }
    }

    /// Writes the file whole and at once: a kill at any moment leaves the one before or this one.
    pub fn save(&self) -> Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut text = String::new();
        for lease in self.by_ip.values().filter(|lease| lease.state != State::Offered) {
            text += &serde_json::to_string(lease).expect("a lease is plain data");
            text.push('\n');
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let written = File::create(&part)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&part, path));
        written.map_err(|error| fail("write", path, error))
    }
}

fn fail(verb: &str, path: &Path, error: std::io::Error) -> Fault {
    Fault::io("dhcp.leases", format_args!("{verb} the leases file `{}`", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(ip: u8, client: &str, state: State) -> Lease {
        let mac = "02:00:00:00:00:01".into();
        Lease { ip: [10, 0, 0, ip].into(), mac, client: client.into(), hostname: String::new(), state, expires: 9 }
    }

    #[test]
    fn leases_survive_and_offers_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        let mut leases = Leases::open(Some(&path)).unwrap();
        leases.put(lease(5, "a", State::Bound));
        leases.put(lease(6, "b", State::Offered));
        leases.put(lease(7, "a", State::Bound));
        leases.save().unwrap();
        let again = Leases::open(Some(&path)).unwrap();
        assert_eq!(again.all().cloned().collect::<Vec<_>>(), [lease(7, "a", State::Bound)]);
        assert_eq!(again.of("a").unwrap().ip, Ipv4Addr::new(10, 0, 0, 7));
        fs::write(&path, "{}\n").unwrap();
        let fault = Leases::open(Some(&path)).unwrap_err();
        assert!(fault.kind == "dhcp.leases" && fault.message.contains("leases:1"), "{fault}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n", "what cannot be read is not overwritten");
    }

    #[test]
    fn an_address_has_one_client_and_a_client_one_address() {
        let mut leases = Leases::default();
        leases.put(lease(5, "a", State::Released));
        leases.put(lease(5, "b", State::Bound));
        assert!(leases.of("a").is_none());
        leases.put(lease(6, "b", State::Bound));
        assert!(leases.at([10, 0, 0, 5].into()).is_none());
        leases.remove([10, 0, 0, 6].into());
        assert!(leases.of("b").is_none() && leases.all().count() == 0);
    }
}
