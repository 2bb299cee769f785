//! Files of nested blocks: ISC dhcpd's configuration and leases, Kea's configuration.

use serde_json::Value;

use super::Machine;

/// Words, texts in quotes, and the marks `{`, `}` and `;` of an ISC file; comments are left out.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '#' => {
                rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
                continue;
            }
            '{' | '}' | ';' => 1,
            '"' => rest[1..].find('"').map_or(rest.len(), |at| at + 2),
            _ => rest.find(|c: char| c.is_whitespace() || "{};#\"".contains(c)).unwrap_or(rest.len()),
        };
        found.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    found
}

/// `host NAME { hardware ethernet MAC; fixed-address IP; }` and `lease IP { hardware ethernet MAC; }`.
pub fn isc(text: &str) -> Vec<Machine> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, words) in tokens.windows(3).enumerate() {
        let [kind @ ("host" | "lease"), name, "{"] = *words else { continue };
        let block = &tokens[at + 3..];
        let block = &block[..block.iter().position(|token| *token == "}").unwrap_or(block.len())];
        let statement = |words: &[&str]| {
            let hit = block.split(|token| *token == ";").find(|statement| statement.starts_with(words))?;
            hit.get(words.len()).map(|value| value.trim_matches('"').trim_end_matches(',').to_string())
        };
        let Some(mac) = statement(&["hardware", "ethernet"]).and_then(|mac| mac.parse().ok()) else { continue };
        let mut machine = Machine::new(mac);
        machine.bootfile = statement(&["filename"]);
        if kind == "host" {
            machine.ip = statement(&["fixed-address"]).and_then(|ip| ip.parse().ok());
            let name = name.trim_matches('"').to_string();
            machine.name = statement(&["option", "host-name"]).or(Some(name));
        } else {
            machine.ip = name.parse().ok();
            machine.name = statement(&["client-hostname"]);
        }
        found.push(machine);
    }
    found
}

pub fn is_json(text: &str) -> bool {
    text.contains("\"hw-address\"")
}

/// Host reservations, wherever they stand: `{ "hw-address": MAC, "ip-address": IP, "hostname": NAME }`.
pub fn kea(text: &str) -> Vec<Machine> {
    let mut found = Vec::new();
    // Kea takes comments that JSON does not know.
    let plain: String =
        text.lines().filter(|line| !line.trim_start().starts_with(['#', '/'])).flat_map(|line| [line, "\n"]).collect();
    if let Ok(value) = serde_json::from_str::<Value>(&plain) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<Machine>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        Value::Object(map) => {
            let text = |name: &str| map.get(name).and_then(Value::as_str);
            if let Some(mac) = text("hw-address").and_then(|mac| mac.parse().ok()) {
                let ip = text("ip-address").and_then(|ip| ip.parse().ok());
                let name = text("hostname").filter(|name| !name.is_empty()).map(str::to_string);
                let bootfile = text("boot-file-name").filter(|file| !file.is_empty()).map(str::to_string);
                found.push(Machine { ip, name, bootfile, ..Machine::new(mac) });
            }
            map.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}
