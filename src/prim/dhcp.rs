//! `dhcp`: a server for machines that boot over the network, and a client.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use crate::host::Hold;
use crate::kit::dhcp::client::{self, Ask, Granted};
use crate::kit::dhcp::option::{self, Options, Value};
use crate::kit::dhcp::settings::range;
use crate::kit::dhcp::{self, Answer, Changes, Decided, Lease, Ports, Settings, Subnet};
use crate::kit::net::{self, Mac};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<DhcpServer>("dhcpserver");
}

/// A running server; it ends with its last copy.
#[derive(Clone)]
pub struct DhcpServer {
    server: Arc<dhcp::Server>,
    hold: Arc<Hold>,
}

impl Planned for Arc<dhcp::Server> {}

/// Clients ask again after some seconds.
const DECISION: Duration = Duration::from_secs(2);

/// What a client can be given, in a host's map, in a closure's answer and in `reserve`.
const GIVEN: [&str; 9] = ["ip", "name", "router", "dns", "domain", "lease", "next_server", "bootfile", "options"];

fn ip_of(opts: &Opts, name: &str) -> Result<Option<Ipv4Addr>> {
    let Some(text) = opts.text(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| opts.refuse(name, &format!("`{text}` is not an IPv4 address")))
}

fn ips_of(opts: &Opts, name: &str) -> Result<Option<Vec<Ipv4Addr>>> {
    if opts.raw(name).is_none() {
        return Ok(None);
    }
    let wrong = |text: &str| opts.refuse(name, &format!("`{text}` is not an IPv4 address"));
    opts.texts(name)?.iter().map(|text| text.parse().map_err(|_| wrong(text))).collect::<Result<_>>().map(Some)
}

fn changes(opts: &Opts) -> Result<Changes> {
    Ok(Changes {
        ip: ip_of(opts, "ip")?,
        name: opts.text("name")?,
        router: ips_of(opts, "router")?,
        dns: ips_of(opts, "dns")?,
        domain: opts.text("domain")?,
        lease: opts.time("lease")?,
        next_server: ip_of(opts, "next_server")?,
        bootfile: opts.text("bootfile")?,
        options: opts.map("options")?.map(numbered).transpose()?.unwrap_or_default(),
    })
}

fn given(call: &'static str, map: Map, more: &[&str]) -> Result<Opts> {
    let known: Vec<String> = GIVEN.iter().chain(more).map(|name| name.to_string()).collect();
    Opts::new(call, map, &known)
}

fn numbered(map: Map) -> Result<Options> {
    let encode = |(name, value): (rhai::Identifier, Dynamic)| {
        let code = option::code(&name)?;
        let value = value_of(&value).ok_or_else(|| {
            Fault::new("dhcp.value", format!("option {code} cannot be {} ({})", value, value.type_name()))
                .hint("an option is a text, a number, a blob, or a list of them")
        })?;
        Ok((code, option::encode(code, &value)?))
    };
    map.into_iter().map(encode).collect()
}

fn value_of(value: &Dynamic) -> Option<Value> {
    if let Ok(number) = value.as_int() {
        return Some(Value::Number(number));
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return Some(Value::Bytes(blob.clone()));
    }
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().map(value_of).collect::<Option<_>>().map(Value::List);
    }
    value.clone().into_string().ok().map(Value::Text)
}

fn shown(value: Value) -> Dynamic {
    match value {
        Value::Text(text) => text.into(),
        Value::Number(number) => number.into(),
        Value::Bytes(bytes) => Dynamic::from_blob(bytes),
        Value::List(list) => list.into_iter().map(shown).collect::<Array>().into(),
    }
}

fn shown_options(options: &Options) -> Map {
    options.iter().map(|(code, data)| (code.to_string().into(), shown(option::show(*code, data)))).collect()
}

fn mac_of(opts: &Opts) -> Result<Mac> {
    opts.need("mac", opts.text("mac")?)?.parse()
}

fn hosts_of(list: Array) -> Result<std::collections::HashMap<Mac, Changes>> {
    let mut hosts = std::collections::HashMap::new();
    for item in list {
        let map = item.try_cast::<Map>().ok_or_else(|| {
            Fault::new("dhcp.option", "option `hosts` of `dhcp::serve` takes a list of maps")
                .hint("a host is #{ mac: \"52:54:00:12:34:56\", ip: \"10.0.0.7\", name: \"node7\" }")
        })?;
        let opts = given("dhcp::serve hosts", map, &["mac"])?;
        let mac = mac_of(&opts)?;
        if hosts.insert(mac, changes(&opts)?).is_some() {
            return Err(Fault::new("dhcp.settings", format!("the host {mac} stands there twice")));
        }
    }
    Ok(hosts)
}

fn answer(callback: Callback) -> Answer {
    Arc::new(move |request| {
        let mut map: Map = to_dynamic(request).cast();
        map.insert("options".into(), shown_options(&request.options).into());
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
        Ok(Decided::Changes(changes(&given("dhcp::serve answer", map, &[])?)?))
    })
}

fn shown_lease(lease: &Lease) -> Dynamic {
    let mut map = Map::new();
    map.insert("ip".into(), lease.ip.to_string().into());
    map.insert("mac".into(), lease.mac.clone().into());
    map.insert("hostname".into(), lease.hostname.clone().into());
    map.insert("expires".into(), i64::try_from(lease.expires).unwrap_or(i64::MAX).into());
    map.into()
}

fn shown_granted(granted: &Granted) -> Map {
    let texts = |list: &[Ipv4Addr]| list.iter().map(|ip| ip.to_string().into()).collect::<Array>();
    let router = granted.router.first().map(|ip| ip.to_string()).unwrap_or_default();
    [
        ("mac", granted.mac.to_string().into()),
        ("ip", granted.ip.to_string().into()),
        ("mask", granted.subnet.mask().to_string().into()),
        ("prefix", i64::from(granted.subnet.prefix).into()),
        ("router", router.into()),
        ("dns", texts(&granted.dns).into()),
        ("domain", granted.domain.clone().into()),
        ("hostname", granted.hostname.clone().into()),
        ("server", granted.server.to_string().into()),
        ("next_server", granted.next_server.clone().into()),
        ("bootfile", granted.bootfile.clone().into()),
        ("lease", i64::from(granted.lease).into()),
        ("options", shown_options(&granted.options).into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, Dynamic)| (name.into(), value))
    .collect()
}

/// The subnet of an interface's first address.
fn subnet_of(interface: &str) -> Result<Subnet> {
    let found = net::find(interface)?;
    let (ip, prefix) = *found.ipv4.first().ok_or_else(|| {
        Fault::new("dhcp.address", format!("cannot serve DHCP on {interface}: it has no IPv4 address"))
    })?;
    Ok(Subnet::of(ip, prefix))
}

#[export_module]
pub mod module {
    /// Serves addresses and boot settings on one interface, until stopped or dropped.
    ///
    /// `hosts` are maps `#{ mac, ip, name, router, dns, domain, lease, next_server, bootfile, options }`, all but `mac`
    /// optional. `answer: |req| ..` is asked about each client: `#{ kind, mac, ip, arch, archs, vendor_class, user_class,
    /// uuid, hostname, relay, options }`; it returns a map of changes (the same names as a host's), `()` for the usual
    /// answer, or `false` for none. Each call is bounded to 2 s; one that fails is told with its place, and its client
    /// gets the usual answer. `options` are named by number and are texts, numbers, addresses, lists or blobs. On the
    /// loopback clients are answered where they asked from, so that many can be rehearsed on one machine.
    ///
    /// # Options
    /// - `interface` (text): the interface to serve
    /// - `mode` (text, "full"): "full", the whole of DHCP
    /// - `subnet` (text, the interface's own): `"10.0.0.0/24"`
    /// - `range` (text, none): addresses for clients that are no hosts: `"10.0.0.100-10.0.0.200"`
    /// - `hosts` (list, none): machines known by their MAC address
    /// - `router` (text or list, none): the way out
    /// - `dns` (text or list, none): name servers
    /// - `domain` (text, none): the domain name
    /// - `lease` (time, "1h"): how long an address is given for
    /// - `next_server` (text, the server itself): where the boot file is
    /// - `bootfile` (text, none): the boot file
    /// - `options` (map, none): further options by number: `#{ "135": "scripts/224" }`
    /// - `leases` (path, none): the file that keeps the leases; without it they end with the server
    /// - `answer` (closure, none): decides for each request
    /// - `port` (int, 67): where to listen; 0 takes a free one
    /// - `client_port` (int, 68): where clients listen; on the loopback, where each asked from
    ///
    /// # Errors
    /// - `dhcp.option`, `dhcp.subnet`, `dhcp.range`, `dhcp.value`, `net.mac`: a value that is not what it should be
    /// - `dhcp.settings`: an address outside the subnet, or promised twice
    /// - `dhcp.mode`: not a mode
    /// - `dhcp.address`: the interface has no address of its own
    /// - `dhcp.bind`: the port is in use, or may not be used
    /// - `dhcp.leases`: the file can be neither read nor written
    /// - `net.missing`: no such interface
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{
    ///     interface: "lo", port: 0, subnet: "10.9.0.0/24", bootfile: "boot.ipxe",
    ///     hosts: [ #{ mac: "52:54:00:00:00:01", ip: "10.9.0.11", name: "node1" } ],
    ///     options: #{ "135": "scripts/224" },
    ///     answer: |req| if req.arch == 7 { #{ bootfile: "ipxe.efi" } },
    /// });
    /// let lease = dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port, arch: 7 });
    /// `${lease.ip} ${lease.hostname} ${lease.bootfile} ${lease.options["135"]}`  // => "10.9.0.11 node1 ipxe.efi scripts/224"
    /// dhcp::serve(#{ interface: "lo", port: 0, mode: "none" })                   // => throws dhcp.mode
    /// ```
    #[rhai_fn(return_raw)]
    pub fn serve(ctx: NativeCallContext, options: Map) -> Raw<DhcpServer> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcp::serve", options)?;
        let interface = opts.need("interface", opts.text("interface")?)?;
        if let Some(mode) = opts.text("mode")?.filter(|mode| mode != "full") {
            return Err(Fault::new("dhcp.mode", format!("`{mode}` is not a mode of `dhcp::serve`"))
                .hint("modes: full")
                .into());
        }
        let subnet = match opts.text("subnet")? {
            Some(text) => text.parse()?,
            None => subnet_of(&interface)?,
        };
        // The names of a host that a server has too; `ip` and `name` are a host's alone.
        let common = Changes {
            router: ips_of(&opts, "router")?,
            dns: ips_of(&opts, "dns")?,
            domain: opts.text("domain")?,
            lease: Some(opts.time("lease")?.unwrap_or(Duration::from_secs(3600))),
            next_server: ip_of(&opts, "next_server")?,
            bootfile: opts.text("bootfile")?,
            options: opts.map("options")?.map(numbered).transpose()?.unwrap_or_default(),
            ..Changes::default()
        };
        let settings = Settings {
            subnet,
            range: opts.text("range")?.map(|text| range(&text)).transpose()?,
            hosts: hosts_of(opts.list("hosts")?.unwrap_or_default())?,
            common,
            leases: opts.path("leases")?,
        };
        let port = |name| Ok::<_, Fault>(opts.count(name, 0, 65535)?.map(|port| port as u16));
        let ports = Ports { server: port("port")?, client: port("client_port")? };
        let answer = opts.value::<FnPtr>("answer", "a closure")?.map(|f| answer(Callback::of(&ctx, f)));
        let effect =
            Effect::new("dhcp.serve", format!("{interface} port {}", ports.server.unwrap_or(67)), Weight::Open);
        let act = || Ok(Arc::new(dhcp::Server::start(&host, &interface, ports, settings, answer)?));
        let server = host.perform(effect, act)?;
        let held = server.clone();
        let hold = host.hold("dhcp.stop", &format!("{interface} port {}", server.port), move || {
            held.stop();
            Ok(())
        });
        Ok(DhcpServer { server, hold: Arc::new(hold) })
    }

    /// The port it listens on.
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24" });
    /// server.port > 0                           // => true
    /// ```
    #[rhai_fn(global, get = "port", pure)]
    pub fn port(server: &mut DhcpServer) -> i64 {
        server.server.port.into()
    }

    /// Its own address, as clients see it.
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24" });
    /// server.address                            // => "127.0.0.1"
    /// ```
    #[rhai_fn(global, get = "address", pure)]
    pub fn address(server: &mut DhcpServer) -> String {
        server.server.address.to_string()
    }

    /// What is given out now: a list of `#{ ip, mac, hostname, expires }`, expires in seconds since 1970.
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24" });
    /// server.leases                             // => []
    /// ```
    #[rhai_fn(global, get = "leases", pure)]
    pub fn leases(server: &mut DhcpServer) -> Array {
        server.server.leases().iter().map(shown_lease).collect()
    }

    /// Gives a machine its settings from now on, as in `hosts`.
    ///
    /// # Options
    /// - `ip` (text, one of the range): its address
    /// - `name` (text, none): its host name
    /// - `router` (text or list, the server's): the way out
    /// - `dns` (text or list, the server's): name servers
    /// - `domain` (text, the server's): the domain name
    /// - `lease` (time, the server's): how long
    /// - `next_server` (text, the server's): where the boot file is
    /// - `bootfile` (text, the server's): the boot file
    /// - `options` (map, none): further options by number
    ///
    /// # Errors
    /// - `net.mac`: not a MAC address
    /// - `dhcp.settings`: an address outside the subnet, or promised to another
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24" });
    /// server.reserve("52:54:00:00:00:02", #{ ip: "10.9.0.12" });
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:02", port: server.port }).ip   // => "10.9.0.12"
    /// server.leases.len                                                          // => 1
    /// server.reserve("52:54:00:00:00:03", #{ ip: "10.9.0.12" })                  // => throws dhcp.settings
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn reserve(ctx: NativeCallContext, server: &mut DhcpServer, mac: &str, options: Map) -> Raw<()> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcpserver.reserve", options)?;
        let (mac, settings) = (mac.parse::<Mac>()?, changes(&opts)?);
        let effect = Effect::new("dhcp.reserve", mac.to_string(), Weight::Change);
        Ok(host.perform(effect, || server.server.reserve(mac, settings))?)
    }

    /// Ends it; its port is free afterwards.
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24" });
    /// server.stop();
    /// server.next()                             // => ()
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn stop(ctx: NativeCallContext, server: &mut DhcpServer) -> Raw<()> {
        host_of(&ctx);
        Ok(server.hold.release()?)
    }

    /// As below, without an end.
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next(ctx: NativeCallContext, server: &mut DhcpServer) -> Raw<Dynamic> {
        next_with(ctx, server, Map::new())
    }

    /// The next happening: `#{ event, mac, ip, hostname, message }`, event one of `discovered`, `offered`, `acknowledged`,
    /// `refused`, `declined`, `released`, `informed`, `foreign` (the client chose another server), `exhausted`, `failed`;
    /// `()` when the time is over or the server has ended.
    ///
    /// # Options
    /// - `timeout` (time, for ever): how long to wait for one
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.10-20" });
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port });
    /// server.next().event                       // => "discovered"
    /// server.next(#{ timeout: "10s" }).ip       // => "10.9.0.10"
    /// ```
    #[rhai_fn(global, name = "next", return_raw)]
    pub fn next_with(ctx: NativeCallContext, server: &mut DhcpServer, options: Map) -> Raw<Dynamic> {
        let host = host_of(&ctx);
        let timeout = options_of(&ctx, "dhcpserver.next", options)?.time("timeout")?.unwrap_or(Duration::MAX);
        let next = server.server.events().next();
        let event = host.wait(async { Ok(tokio::time::timeout(timeout, next).await.ok().flatten()) })?;
        Ok(event.map_or(Dynamic::UNIT, |event| to_dynamic(&event)))
    }

    /// As below, as the interface itself.
    #[rhai_fn(name = "request", return_raw)]
    pub fn request(ctx: NativeCallContext, interface: &str) -> Raw<Map> {
        request_with(ctx, interface, Map::new())
    }

    /// Asks for a lease as some machine would, and configures nothing. Returns `#{ mac, ip, mask, prefix, router, dns,
    /// domain, hostname, server, next_server, bootfile, lease, options }`: lease in seconds, options by number.
    ///
    /// # Options
    /// - `mac` (text, the interface's): who asks
    /// - `port` (int, 67): the server's port
    /// - `client_port` (int, 68): our port; on the loopback a free one
    /// - `arch` (int, none): boots as this architecture: 0 BIOS, 7 UEFI x64, 11 UEFI ARM64, 16 HTTP x64
    /// - `vendor_class` (text, of the arch): option 60
    /// - `user_class` (text, none): option 77: "iPXE"
    /// - `hostname` (text, none): option 12
    /// - `client_id` (text or blob, none): option 61
    /// - `uuid` (text, none): option 97
    /// - `ip` (text, none): the address wished for
    /// - `options` (map, none): further options by number, over all else
    /// - `timeout` (time, "30s"): for the whole conversation
    ///
    /// # Errors
    /// - `dhcp.timeout`: nobody offered, or nobody kept the offer; says which
    /// - `dhcp.mac`: the interface has no MAC address and none was given
    /// - `dhcp.bind`, `dhcp.send`, `dhcp.value`, `net.missing`, `net.mac`
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.10-20", router: "10.9.0.1" });
    /// let lease = dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port, timeout: "20s" });
    /// `${lease.ip}/${lease.prefix} via ${lease.router}`                                   // => "10.9.0.10/24 via 10.9.0.1"
    /// server.stop();
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port, timeout: "1ms" })  // => throws dhcp.timeout
    /// ```
    #[rhai_fn(name = "request", return_raw)]
    pub fn request_with(ctx: NativeCallContext, interface: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcp::request", options)?;
        let port = |name| Ok::<_, Fault>(opts.count(name, 0, 65535)?.map(|port| port as u16));
        let client_id = match opts.raw("client_id") {
            Some(id) if id.is_blob() => Some(id.cast::<Blob>()),
            _ => opts.text("client_id")?.map(String::into_bytes),
        };
        let uuid = opts.text("uuid")?.map(|text| {
            uuid::Uuid::parse_str(&text).map_err(|_| opts.refuse("uuid", &format!("`{text}` is not a UUID")))
        });
        let ask = Ask {
            mac: opts.text("mac")?.map(|mac| mac.parse()).transpose()?,
            port: port("port")?,
            client_port: port("client_port")?,
            arch: port("arch")?,
            vendor_class: opts.text("vendor_class")?,
            user_class: opts.text("user_class")?,
            hostname: opts.text("hostname")?,
            client_id,
            uuid: uuid.transpose()?,
            ip: ip_of(&opts, "ip")?,
            options: opts.map("options")?.map(numbered).transpose()?.unwrap_or_default(),
            timeout: opts.time("timeout")?,
        };
        Ok(shown_granted(&host.wait(client::request(interface, &ask))?))
    }
}
