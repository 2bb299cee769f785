//! What the kernel's command line says to kar on a node: the words `kar.NAME=VALUE`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Cmdline;
use crate::host::{Fault, Result, parse_duration};

/// The names that mean something to kar itself; all others are arguments of the recipe.
pub const NAMES: [&str; 12] =
    ["address", "end", "entry", "fail", "host", "interface", "job", "recipe", "report", "server", "timeout", "verbose"];

/// What is done when the work is over, well or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Says so and waits for a person.
    Wait,
    Reboot,
    PowerOff,
    /// A shell on the console, and after it a reboot.
    Shell,
}

impl Then {
    const ALL: [(&'static str, Then); 4] =
        [("wait", Then::Wait), ("reboot", Then::Reboot), ("poweroff", Then::PowerOff), ("shell", Then::Shell)];

    fn parse(name: &str, value: &str, more: &'static [&'static str]) -> Result<Then> {
        if let Some((_, then)) = Then::ALL.iter().find(|(word, _)| *word == value) {
            return Ok(*then);
        }
        let known = Then::ALL.iter().map(|(word, _)| *word).chain(more.iter().copied());
        let list: Vec<&str> = known.clone().collect();
        Err(wrong(name, value, &format!("it takes {}", list.join(", "))).nearest(value, known))
    }
}

/// Where the node's own address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// By DHCP where something is to be fetched or a server is named, else not at all.
    AsNeeded,
    Dhcp,
    None,
    /// Address, prefix, router.
    Fixed(Ipv4Addr, u8, Option<Ipv4Addr>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The recipe's function.
    pub entry: String,
    /// A file in /recipes, a recipe in the binary, or a URL; none: the only one in /recipes.
    pub recipe: Option<String>,
    /// Where the recipe and its arguments are in one file: a URL; in place of `recipe`.
    pub job: Option<String>,
    /// Who wants to know what this node does: `HOST:PORT,TOKEN`.
    pub report: Option<(String, String)>,
    /// Where the node was booted from: `HOST` or `HOST:PORT`.
    pub server: Option<String>,
    /// How often a failed run is begun again, in this boot.
    pub retries: u32,
    pub fail: Then,
    pub end: Then,
    /// The interface to use, by name or hardware address; none: the first that gets an address.
    pub interface: Option<String>,
    pub address: Address,
    /// For the network to come up, link and lease together.
    pub timeout: Duration,
    /// The node's name.
    pub host: Option<String>,
    pub verbose: bool,
    /// All the rest, by name.
    pub arguments: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            entry: "main".into(),
            recipe: None,
            job: None,
            report: None,
            server: None,
            retries: 0,
            fail: Then::Wait,
            end: Then::PowerOff,
            interface: None,
            address: Address::AsNeeded,
            timeout: Duration::from_secs(90),
            host: None,
            verbose: false,
            arguments: BTreeMap::new(),
        }
    }
}

fn wrong(name: &str, value: &str, why: &str) -> Fault {
    Fault::new("node.setting", format!("the kernel's command line says `kar.{name}={value}`: {why}"))
}

/// Reads what was said. What is wrong is told, and has the usual value: a node that was told to reboot on failure does
/// so though another word has a slip in it.
pub fn settings(line: &Cmdline) -> (Settings, Vec<Fault>) {
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    for (name, value) in &line.kar {
        if let Err(fault) = settings.set(name, value) {
            faults.push(fault);
        }
    }
    // pxelinux says by `ipappend 2` which interface it was started from: BOOTIF=01-52-54-00-12-34-56.
    if let (None, Some(mac)) = (&settings.interface, line.words.get("BOOTIF")) {
        settings.interface = mac.get(3..).map(|mac| mac.replace('-', ":").to_ascii_lowercase());
    }
    (settings, faults)
}

impl Settings {
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        // As pxelinux and scripts write what they have nothing for.
        let text = (!value.is_empty()).then(|| value.to_string());
        match name {
            "entry" => match value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !value.is_empty() {
                true => self.entry = value.into(),
                false => return Err(wrong(name, value, "it names a function of the recipe")),
            },
            "recipe" => self.recipe = text,
            "job" => self.job = text,
            "report" => {
                let pair = value.rsplit_once(',').filter(|(to, token)| to.contains(':') && !token.is_empty());
                let pair = pair.ok_or_else(|| wrong(name, value, "it takes ADDRESS:PORT,TOKEN"))?;
                self.report = Some((pair.0.into(), pair.1.into()));
            }
            "server" => self.server = text,
            "interface" => self.interface = text,
            "host" => self.host = text,
            "verbose" => self.verbose = value != "0" && value != "false",
            "end" => self.end = Then::parse(name, value, &[])?,
            "fail" => {
                // `retry:3`, `shell`, or both: `retry:3,shell`.
                for word in value.split(',') {
                    match word.strip_prefix("retry:") {
                        Some(times) => {
                            let times = times.parse().ok().filter(|times| (1..=100).contains(times));
                            self.retries = times.ok_or_else(|| {
                                wrong(name, value, "a number of tries from 1 to 100 stands behind `retry:`")
                            })?;
                        }
                        None => self.fail = Then::parse(name, word, &["retry:N"])?,
                    }
                }
            }
            "timeout" => self.timeout = parse_duration(value).map_err(|fault| wrong(name, value, &fault.message))?,
            "address" => {
                self.address =
                    address(value).ok_or_else(|| wrong(name, value, "it takes dhcp, none, or IP/PREFIX,ROUTER"))?;
            }
            _ => {
                self.arguments.insert(name.into(), value.into());
            }
        }
        Ok(())
    }

    /// Whether the network is asked for.
    pub fn wants_network(&self) -> bool {
        match self.address {
            Address::None => false,
            Address::Dhcp | Address::Fixed(..) => true,
            Address::AsNeeded => {
                let url = |named: &Option<String>| named.as_ref().is_some_and(|named| named.contains("://"));
                let url = url(&self.recipe) || url(&self.job) || self.report.is_some();
                self.server.is_some() || self.interface.is_some() || url
            }
        }
    }
}

/// `dhcp`, `none`, `10.0.0.7/24` or `10.0.0.7/24,10.0.0.1`.
fn address(value: &str) -> Option<Address> {
    match value {
        "dhcp" => return Some(Address::Dhcp),
        "none" => return Some(Address::None),
        _ => {}
    }
    let (own, router) = value.split_once(',').map_or((value, None), |(own, router)| (own, Some(router)));
    let (ip, prefix) = own.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    let router = router.map(str::parse).transpose().ok()?;
    Some(Address::Fixed(ip.parse().ok()?, prefix, router))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[(&str, &str)]) -> (Settings, Vec<Fault>) {
        let mut line = Cmdline::default();
        for (name, value) in words {
            match name.strip_prefix("kar.") {
                Some(name) => line.kar.insert(name.into(), value.to_string()),
                None => line.words.insert(name.to_string(), value.to_string()),
            };
        }
        settings(&line)
    }

    #[test]
    fn all_words() {
        let (settings, faults) = read(&[]);
        assert!(faults.is_empty() && settings == Settings::default() && !settings.wants_network());
        let (settings, faults) = read(&[
            ("kar.entry", "install"),
            ("kar.server", "10.0.0.1"),
            ("kar.fail", "retry:3,shell"),
            ("kar.end", "reboot"),
            ("kar.session", "lab"),
            ("kar.timeout", "5s"),
            ("kar.address", "10.0.0.7/24,10.0.0.1"),
            ("BOOTIF", "01-52-54-00-AB-34-56"),
        ]);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            (&*settings.entry, settings.retries, settings.fail, settings.end),
            ("install", 3, Then::Shell, Then::Reboot)
        );
        assert_eq!(settings.interface.as_deref(), Some("52:54:00:ab:34:56"));
        let router = Some(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(settings.address, Address::Fixed(Ipv4Addr::new(10, 0, 0, 7), 24, router));
        assert_eq!(settings.arguments.into_iter().collect::<Vec<_>>(), [("session".to_string(), "lab".to_string())]);
        let (settings, _) = read(&[("kar.recipe", "tftp://10.0.0.1/site")]);
        assert!(settings.wants_network());
        assert!(!read(&[("kar.server", "x"), ("kar.address", "none")]).0.wants_network());
    }

    #[test]
    fn a_wrong_word_is_named_and_the_others_hold() {
        let (settings, faults) = read(&[
            ("kar.fail", "reboots"),
            ("kar.end", "reboot"),
            ("kar.timeout", "soon"),
            ("kar.address", "10.0.0.7"),
            ("kar.entry", "a b"),
        ]);
        assert_eq!((settings.fail, settings.end, &*settings.entry), (Then::Wait, Then::Reboot, "main"));
        let said: Vec<&str> = faults.iter().map(|fault| &*fault.message).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        for word in ["kar.fail=reboots", "kar.timeout=soon", "kar.address=10.0.0.7", "kar.entry=a b"] {
            assert!(said.iter().any(|text| text.contains(word)), "{word} in {said:?}");
        }
        assert!(faults.iter().any(|fault| fault.hints == ["did you mean `reboot`?"]), "{faults:?}");
        for bad in ["retry:", "retry:0", "retry:x", "retry:101"] {
            assert_eq!(read(&[("kar.fail", bad)]).1.len(), 1, "{bad}");
        }
    }
}
