//! The options of `dhcp::serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::prelude::*;
use super::super::stores::Store;
use super::{given, shown};
use crate::kit::dhcp::{self, Answer, Changes, Decided, Mode, Network, Ports, Request, Settings, Setup, Subnet};
use crate::kit::net;
use crate::kit::step::Steps;

/// Clients ask again after some seconds.
const DECISION: Duration = Duration::from_secs(2);

fn answer(host: Host, callback: Callback, steps: Option<Steps>) -> Answer {
    Arc::new(move |request| {
        let mut map = shown::request(request);
        if let Some(steps) = &steps {
            map.insert("step".into(), step_of(&host, steps, request)?.map_or(Dynamic::UNIT, Dynamic::from));
        }
        let value = callback.call(vec![map.into()], DECISION)?;
        if value.is_unit() || value.as_bool() == Ok(true) {
            return Ok(Decided::Usual);
        }
        if value.as_bool() == Ok(false) {
            return Ok(Decided::Silence);
        }
        let kind = value.type_name();
        let map = value.try_cast::<Map>().ok_or_else(|| {
            Fault::new("dhcp.answer", format!("`answer` returned {kind} for {}", request.mac))
                .hint("it returns a map of changes, () for the usual answer, or false for none")
        })?;
        Ok(Decided::Changes(given::answered(map)?))
    })
}

/// The step of a client: that of its host's name, else that of the address it gets. What it calls itself does not count.
fn step_of(host: &Host, steps: &Steps, request: &Request<'_>) -> Result<Option<String>> {
    for name in [&request.known, &request.ip].into_iter().filter(|name| !name.is_empty()) {
        if let Some(word) = steps.get(host, name)? {
            return Ok(Some(word));
        }
    }
    Ok(None)
}

/// The subnet of an interface's first address.
fn subnet_of(interface: &str) -> Result<Subnet> {
    let found = net::find(interface)?;
    let (ip, prefix) = *found.ipv4.first().ok_or_else(|| {
        Fault::new("dhcp.address", format!("cannot serve DHCP on {interface}: it has no IPv4 address"))
            .hint("give it one, or ask another server for one: net::configure(name, lease)")
    })?;
    Ok(Subnet::of(ip, prefix))
}

fn networks(opts: &Opts, interfaces: &[String]) -> Result<Vec<Network>> {
    let mut networks = given::networks_of(opts)?;
    let ranges = given::ranges_of(opts)?;
    let subnet = match opts.text("subnet")? {
        Some(text) => Some(text.parse()?),
        None if networks.is_empty() => Some(subnet_of(&interfaces[0])?),
        None if !ranges.is_empty() => return Err(opts.refuse("range", "with `subnets` it belongs into one of them")),
        None => None,
    };
    if let Some(subnet) = subnet {
        // Named for this interface, whatever its own address is.
        networks.push(Network { interfaces: interfaces.to_vec(), ..Network::new(subnet, ranges) });
    }
    Ok(networks)
}

pub fn of(ctx: &NativeCallContext, opts: &Opts) -> Result<Setup> {
    let interfaces = opts.need("interface", Some(opts.texts("interface")?).filter(|list| !list.is_empty()))?;
    let file = opts.raw("hosts").is_some_and(|hosts| hosts.is_string());
    let path = if file { opts.path("hosts")? } else { None };
    let mode = match opts.text("mode")?.as_deref() {
        None | Some("full") => Mode::Full,
        Some("proxy") => Mode::Proxy,
        Some("discover") => {
            let path = path.clone().ok_or_else(|| opts.refuse("hosts", "discover mode needs the name of a file"))?;
            Mode::Discover(path)
        }
        Some(mode) => {
            return Err(Fault::new("dhcp.mode", format!("`{mode}` is not a mode of `dhcp::serve`"))
                .nearest(mode, ["full", "proxy", "discover"])
                .hint("modes: full, proxy, discover"));
        }
    };
    // Discovery begins without the file that it writes.
    let missing = |path: &Path| mode != Mode::Full && !path.exists();
    let hosts = match path {
        Some(path) if missing(&path) => dhcp::Hosts::default(),
        Some(path) => dhcp::sites::hosts(&path)?,
        None => given::hosts_of(opts)?,
    };
    let lease = Some(opts.time("lease")?.unwrap_or(Duration::from_secs(3600)));
    let settings = Settings {
        networks: networks(opts, &interfaces)?,
        hosts,
        classes: given::classes_of(opts)?,
        common: Changes { lease, ..given::common(opts)? },
        leases: opts.path("leases")?,
        mode,
    };
    let steps = opts.value::<Store>("steps", "a store of step files: step::open(dir)")?.map(|store| store.0);
    if steps.is_some() && opts.raw("answer").is_none() {
        return Err(opts.refuse("steps", "it is told to `answer`, which is not there"));
    }
    let closure = opts.value::<FnPtr>("answer", "a closure")?;
    let port = |name| Ok::<_, Fault>(opts.count(name, 0, 65535)?.map(|port| port as u16));
    Ok(Setup {
        interfaces,
        ports: Ports { server: port("port")?, client: port("client_port")? },
        settings,
        answer: closure.map(|f| answer(host_of(ctx), Callback::of(ctx, f), steps)),
        probe: opts.time("probe")?.unwrap_or(Duration::from_millis(200)),
        look: opts.time("look")?.unwrap_or(Duration::from_secs(1)),
        limit: opts.count("limit", 0, 1_000_000)?.map(|rate| rate as u32),
    })
}
