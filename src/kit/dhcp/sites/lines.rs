//! Files of lines: /etc/ethers, Ka's `data`, dnsmasq's hosts and leases, Kea's leases, logs.

use std::net::Ipv4Addr;

use super::Machine;
use crate::kit::net::Mac;

/// One machine for each line in which a MAC address stands. Beside it may stand an address and a name, as each kind of
/// line has them.
pub fn machines(text: &str) -> Vec<Machine> {
    text.lines().filter_map(machine).collect()
}

fn machine(line: &str) -> Option<Machine> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    let line = line.strip_prefix("dhcp-host").map_or(line, |rest| rest.trim_start().trim_start_matches('='));
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || "=,;()[]\"{}".contains(c)).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let (at, mac) = words.iter().enumerate().find_map(|(at, word)| Some((at, mac(word)?)))?;
    // dnsmasq leaves a host out that is to be ignored.
    if words.contains(&"ignore") {
        return None;
    }
    // Of several addresses, a log names the client's nearest to its MAC address: `DHCPACK on IP to MAC via eth0`.
    let near = |word: &(usize, &str)| word.0.abs_diff(at);
    let ip = words.iter().copied().enumerate().filter(|(_, word)| ip(word).is_some()).min_by_key(near);
    let mut machine = Machine::new(mac);
    machine.ip = ip.and_then(|(_, word)| self::ip(word));
    machine.name = name(&words, at, ip.map(|(at, _)| at));
    Some(machine)
}

fn ip(word: &str) -> Option<Ipv4Addr> {
    word.trim_end_matches(['.', ':']).parse().ok().filter(|ip: &Ipv4Addr| !ip.is_unspecified())
}

/// With marks between the pairs: twelve digits alone may be anything. A type of hardware may stand in front (`01:..`,
/// `ethernet:..`), and /etc/ethers leaves leading zeros out.
fn mac(word: &str) -> Option<Mac> {
    let pairs: Vec<&str> = word.split([':', '-']).collect();
    let pairs = match pairs.len() {
        6 => &pairs[..],
        7 if pairs[0] == "01" || pairs[0] == "ethernet" => &pairs[1..],
        _ => return None,
    };
    let byte = |pair: &&str| (pair.len() <= 2).then(|| u8::from_str_radix(pair, 16).ok()).flatten();
    let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok().map(Mac)
}

/// The name stands behind both in a table, in a lease and in a dhcp-host line; or alone beside the MAC address.
fn name(words: &[&str], mac: usize, ip: Option<usize>) -> Option<String> {
    // A log has words everywhere; a table has few.
    let table = mac.max(ip.unwrap_or(0)) <= 2 && words.len() <= 6;
    if !table {
        return None;
    }
    let others = words.iter().enumerate().filter(|(at, _)| *at != mac && Some(*at) != ip);
    let fits = |word: &str| {
        let letters = word.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        let duration = word == "infinite" || word.trim_end_matches(['s', 'm', 'h', 'd']).parse::<u64>().is_ok();
        letters && !duration && word.contains(|c: char| c.is_ascii_alphabetic()) && self::ip(word).is_none()
    };
    let name = others.map(|(_, word)| *word).filter(|word| fits(word)).find(|word| !word.starts_with("set"))?;
    Some(name.to_string())
}
