//! A node's network: the first interface that gets an address, by the waits and tries that real cables and switches ask
//! for.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::hardware::Say;
use super::settings::{Address, Settings};
use crate::host::{Fault, Result, format_duration};
use crate::kit::dhcp::client::{self, Ask, Granted};
use crate::kit::net::{self, Interface};

/// What a node got.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub interface: String,
    pub mac: String,
    pub ip: Ipv4Addr,
    /// What DHCP said; none with a fixed address.
    pub lease: Option<Granted>,
}

/// Brings the network up as the settings say. Drivers may still be looking for their cards, and switches for their
/// ports: what is not there is waited for. Cancel-safe.
///
/// # Errors
/// - `node.interface`: no card, or none of the name or address that was asked for
/// - `node.link`: none of the cards has a link
/// - `dhcp.timeout`: links are there, and no DHCP server answers
/// - `net.configure`: the address cannot be set
pub async fn bring_up(settings: &Settings, say: &Say) -> Result<Network> {
    let end = Instant::now() + settings.timeout;
    let mut asking: JoinSet<(Interface, Result<Granted>)> = JoinSet::new();
    let mut known: Vec<String> = Vec::new();
    let mut last: Option<Fault> = None;
    loop {
        let cards = cards(settings)?;
        for card in &cards {
            if !card.up {
                net::up(&card.name)?;
            }
            if !card.carrier || known.contains(&card.name) {
                continue;
            }
            known.push(card.name.clone());
            if let Address::Fixed(ip, prefix, router) = settings.address {
                net::configure(&card.name, ip, prefix, router)?;
                return Ok(Network { interface: card.name.clone(), mac: card.mac.clone(), ip, lease: None });
            }
            say(&format!("{} ({}): asking for an address", card.name, card.mac));
            let (card, left) = (card.clone(), end.saturating_duration_since(Instant::now()));
            asking.spawn(async move {
                let ask = Ask { timeout: Some(left.max(Duration::from_secs(1))), ..Ask::default() };
                let got = client::request(&card.name, &ask).await;
                (card, got)
            });
        }
        let turn = sleep(Duration::from_millis(100));
        tokio::select! {
            Some(Ok((card, got))) = asking.join_next() => match got {
                Ok(lease) => return configured(card, lease),
                Err(fault) => last = Some(fault),
            },
            () = turn => {}
        }
        if Instant::now() >= end && asking.is_empty() {
            return Err(last.unwrap_or_else(|| no_link(settings, &cards)));
        }
    }
}

fn configured(card: Interface, lease: Granted) -> Result<Network> {
    net::configure(&card.name, lease.ip, lease.subnet.prefix, lease.router.first().copied())?;
    let lines: String = lease.dns.iter().map(|server| format!("nameserver {server}\n")).collect();
    let search = if lease.domain.is_empty() { String::new() } else { format!("search {}\n", lease.domain) };
    // A node without a name service has numbers, which are enough.
    let _ = std::fs::write("/etc/resolv.conf", format!("{search}{lines}"));
    Ok(Network { interface: card.name, mac: card.mac, ip: lease.ip, lease: Some(lease) })
}

/// The cards that may be used: all with a hardware address and a device behind them.
fn cards(settings: &Settings) -> Result<Vec<Interface>> {
    let real = |card: &Interface| !card.loopback && !card.mac.is_empty();
    let asked = |card: &Interface| {
        settings.interface.as_ref().is_none_or(|asked| *asked == card.name || asked.eq_ignore_ascii_case(&card.mac))
    };
    Ok(net::interfaces()?.into_iter().filter(|card| real(card) && asked(card)).collect())
}

fn no_link(settings: &Settings, cards: &[Interface]) -> Fault {
    let time = format_duration(settings.timeout);
    if !cards.is_empty() {
        let list: Vec<String> = cards.iter().map(|card| format!("{} ({})", card.name, card.mac)).collect();
        return Fault::new("node.link", format!("no link within {time} on {}", list.join(", ")))
            .hint("is the cable in, and the switch's port on?");
    }
    let all: Vec<String> = net::interfaces()
        .unwrap_or_default()
        .into_iter()
        .filter(|card| !card.loopback)
        .map(|card| format!("{} ({})", card.name, card.mac))
        .collect();
    let fault = match &settings.interface {
        Some(asked) => Fault::new("node.interface", format!("no network interface `{asked}` within {time}")),
        None => Fault::new("node.interface", format!("no network interface within {time}")),
    };
    match all.is_empty() {
        true => fault.hint("is the driver of the card in the image? `modules` of initramfs::build takes it"),
        false => fault.hint(format!("there are: {}", all.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::node::Cmdline;

    #[tokio::test]
    async fn a_card_that_is_not_there_is_named() {
        let mut line = Cmdline::default();
        line.kar.insert("interface".into(), "nosuch0".into());
        line.kar.insert("timeout".into(), "50ms".into());
        let (settings, wrong) = crate::kit::node::settings(&line);
        assert!(wrong.is_empty() && settings.wants_network());
        let fault = bring_up(&settings, &(std::sync::Arc::new(|_: &str| {}) as Say)).await.unwrap_err();
        assert_eq!(fault.kind, "node.interface");
        assert!(fault.message.contains("`nosuch0` within 50ms"), "{fault}");
    }
}
