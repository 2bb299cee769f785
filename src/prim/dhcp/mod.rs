//! `dhcp`: a server for machines that boot over the network, and a client.

mod given;
mod setup;
mod shown;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use crate::host::Hold;
use crate::kit::dhcp;
use crate::kit::dhcp::client::{self, Ask};
use crate::kit::net::Mac;

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

fn port_of(opts: &Opts, name: &str) -> Result<Option<u16>> {
    Ok(opts.count(name, 0, 65535)?.map(|port| port as u16))
}

/// What all of a client's questions can say.
fn ask_of(opts: &Opts) -> Result<Ask> {
    let (port, client_port) = (port_of(opts, "port")?, port_of(opts, "client_port")?);
    Ok(Ask { port, client_port, timeout: opts.time("timeout")?, ..Ask::default() })
}

/// Who has what from whom, out of a map that `dhcp::request` gave.
fn lease_of(lease: Map) -> Result<(Mac, Ipv4Addr, Ipv4Addr)> {
    let field = |name: &str| lease.get(name).and_then(|value| value.clone().into_string().ok());
    let bad = |name: &str| {
        Fault::new("dhcp.lease", format!("this is no lease: it has no right `{name}`"))
            .hint("a lease is what dhcp::request gave")
    };
    let address = |name: &str| field(name).and_then(|text| text.parse().ok()).ok_or_else(|| bad(name));
    let mac = field("mac").and_then(|text| text.parse().ok()).ok_or_else(|| bad("mac"))?;
    Ok((mac, address("ip")?, address("server")?))
}

#[export_module]
pub mod module {
    /// Serves addresses and boot settings, until stopped or dropped.
    ///
    /// `mode` is "full"; "proxy", which gives boot settings beside a server that gives the addresses; or "discover", which
    /// gives the addresses of the ranges one by one to machines in the order they are switched on, and writes each with
    /// its MAC address to the file `hosts`, which a full server reads.
    ///
    /// `hosts` are maps `#{ mac, ip, name, router, dns, domain, lease, next_server, bootfile, options }`, all but `mac`
    /// optional; in place of `mac`, `uuid` (option 97) or `port` (the circuit or remote id that a relay adds in option 82);
    /// or a file in any form that `dhcp::hosts` reads. `classes` tell firmware apart: maps of what has to fit, `arch` (a
    /// number or a list), `vendor_class` (how it begins), `user_class`, `mac` (how it begins), `has` (an option that is
    /// sent), and of what is given; the first that fits counts; `std/pxe` has a table of them. `subnets` are maps `#{
    /// subnet, range, interface, router, dns, domain, lease, next_server, bootfile, options }`: one that is on no
    /// interface is served through relays. What is given counts in this order, the last most: server, subnet, host, class,
    /// answer.
    ///
    /// `answer: |req| ..` is asked about each client: `#{ kind, mac, ip, name, arch, archs, vendor_class, user_class, uuid,
    /// hostname, relay, interface, options }`, and `step`, where a store of step files was given as `steps`: that of the
    /// host's name in `hosts`, else of its address, `()` without one. It returns a map of changes (the same names as a host's), `()` for the usual
    /// answer, or `false` for none. Each call is bounded to 2 s; one that fails is told with its place, and its client gets
    /// the usual answer, as does one that had to wait for longer than 3 s. Several calls run side by side.
    ///
    /// `options` are named by number, or as ISC dhcpd names them, and are texts, numbers, addresses, lists or blobs; where kar
    /// does not know how an option looks, `#{ address: "10.0.0.1" }`, `#{ number: 7, bytes: 4 }` and `#{ text: ".." }` say it.
    ///
    /// Before an address of a range is first offered the wire is asked whether somebody has it: by ARP, behind relays by ICMP
    /// echo. An acknowledged lease is on disk
    /// before its client hears of it. On the loopback clients are answered where they asked from, so that many can be
    /// rehearsed on one machine.
    ///
    /// # Options
    /// - `interface` (text or list): the interfaces to serve
    /// - `mode` (text, "full"): "full", "proxy" or "discover"
    /// - `subnet` (text, the interface's own): `"10.0.0.0/24"`
    /// - `range` (text or list, none): addresses for clients that are no hosts: `"10.0.0.100-10.0.0.200"`
    /// - `subnets` (list, none): more subnets
    /// - `hosts` (list or path, none): machines known before they ask
    /// - `classes` (list, none): kinds of firmware, and what each is given
    /// - `router` (text or list, none): the way out
    /// - `dns` (text or list, none): name servers
    /// - `domain` (text, none): the domain name
    /// - `lease` (time, "1h"): how long an address is given for
    /// - `next_server` (text, the server itself): where the boot file is
    /// - `bootfile` (text, none): the boot file
    /// - `options` (map, none): further options by number: `#{ "135": "scripts/224" }`
    /// - `leases` (path, none): the file that keeps the leases; without it they end with the server
    /// - `answer` (closure, none): decides for each request
    /// - `steps` (store, none): step files, for `answer`: `step::open(dir)`
    /// - `limit` (int, 10): packets a second that one client is listened to, four times as many at once; 0: all of them
    /// - `probe` (time, "200ms"): how long the wire is asked whether an address is free before it is first offered; "0s": not
    /// - `look` (time, "1s"): how long another server is looked for before this one starts; "0s": not at all
    /// - `port` (int, 67): where to listen; 0 takes a free one
    /// - `client_port` (int, 68): where clients listen; on the loopback, where each asked from
    ///
    /// # Errors
    /// - `dhcp.option`, `dhcp.subnet`, `dhcp.range`, `dhcp.value`, `net.mac`: a value that is not what it should be
    /// - `dhcp.settings`: an address outside the subnet, or promised twice
    /// - `dhcp.mode`: not a mode
    /// - `dhcp.address`: the interface has no address of its own
    /// - `dhcp.foreign`: another server answers on the wire already; says which
    /// - `dhcp.bind`: the port is in use, or may not be used
    /// - `dhcp.leases`: the file can be neither read nor written, or another server keeps its leases there; says which
    /// - `dhcp.hosts`: the hosts file cannot be read or written
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
    /// let steps = step::open("steps");
    /// steps.set("node1", "install");
    /// let server = dhcp::serve(#{
    ///     interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.20-30", steps: steps,
    ///     hosts: [ #{ mac: "52:54:00:00:00:01", ip: "10.9.0.11", name: "node1" } ],
    ///     options: #{ "ntp-servers": "10.9.0.1", "224": #{ address: "10.9.0.2" }, "225": #{ number: 7, bytes: 4 } },
    ///     answer: |req| #{ bootfile: `step-${req.step}` },
    /// });
    /// let lease = dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port });
    /// `${lease.bootfile} ${lease.named["ntp-servers"]} ${lease.options["225"].len}`  // => "step-install 10.9.0.1 4"
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:02", port: server.port }).bootfile  // => "step-"
    /// dhcp::serve(#{ interface: "lo", port: 0, mode: "none" })                   // => throws dhcp.mode
    /// ```
    #[rhai_fn(return_raw)]
    pub fn serve(ctx: NativeCallContext, options: Map) -> Raw<DhcpServer> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcp::serve", options)?;
        let setup = setup::of(&ctx, &opts)?;
        let interfaces = setup.interfaces.join(" ");
        let effect =
            Effect::new("dhcp.serve", format!("{interfaces} port {}", setup.ports.server.unwrap_or(67)), Weight::Open);
        let server = host.perform(effect, || Ok(Arc::new(dhcp::Server::start(&host, setup)?)))?;
        let held = server.clone();
        let hold = host.hold("dhcp.stop", &format!("{interfaces} port {}", server.port), move || {
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
        server.server.leases().iter().map(shown::lease).collect()
    }

    /// What it has done so far, in numbers: `#{ received, malformed, limited, offers, acks, naks, declines, releases, probes,
    /// conflicts, commits, failed, hurried }`. `limited` are packets of clients that asked too often, `probes` addresses
    /// asked about on the wire, `conflicts` those of them that somebody had, `commits` writings to disk, `failed` closures
    /// that did, `hurried` clients that waited too long for the closure.
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.10-20" });
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port });
    /// let done = server.counters;
    /// `${done.offers} ${done.acks} ${done.naks}`   // => "1 1 0"
    /// ```
    #[rhai_fn(global, get = "counters", pure)]
    pub fn counters(server: &mut DhcpServer) -> Map {
        let counter = |(name, count): (&str, u64)| (name.into(), i64::try_from(count).unwrap_or(i64::MAX).into());
        server.server.counters().into_iter().map(counter).collect()
    }

    /// Gives a machine its settings from now on, as in `hosts`. `who` is a MAC address, a UUID (option 97), or a map of the one
    /// it is known by: `#{ mac }`, `#{ uuid }` or `#{ port }` (a text or blob that a relay adds in option 82).
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
    /// - `net.mac`, `dhcp.option`: nothing that a host is known by
    /// - `dhcp.settings`: an address outside the subnet, or promised to another
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24" });
    /// server.reserve("52:54:00:00:00:02", #{ ip: "10.9.0.12" });
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:02", port: server.port }).ip   // => "10.9.0.12"
    /// server.leases.len                                                          // => 1
    /// server.reserve("52:54:00:00:00:03", #{ ip: "10.9.0.12" })                  // => throws dhcp.settings
    /// let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    /// server.reserve(uuid, #{ ip: "10.9.0.13" });
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:04", uuid: uuid, port: server.port }).ip   // => "10.9.0.13"
    /// server.reserve(#{ port: "slot1/7" }, #{ ip: "10.9.0.14" });
    /// server.reserve("slot1/7", #{ ip: "10.9.0.15" })                            // => throws net.mac
    /// ```
    #[rhai_fn(global, return_raw)]
    pub fn reserve(ctx: NativeCallContext, server: &mut DhcpServer, who: Dynamic, options: Map) -> Raw<()> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcpserver.reserve", options)?;
        let (key, settings) = (given::who(who)?, given::changes(&opts)?);
        let effect = Effect::new("dhcp.reserve", key.to_string(), Weight::Change);
        Ok(host.perform(effect, || server.server.reserve(key, settings))?)
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
    /// `refused`, `declined`, `released`, `expired`, `informed`, `learned` (discover mode has a new host), `foreign` (the
    /// client chose another server), `conflict` (somebody has the address already), `exhausted`, `limited` (the client asks
    /// too often), `failed`; `()` when the time is over or the server has ended.
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

    /// Machines in a file of another system, as a list of `#{ mac, ip, name }` with what the file says of each: `host` blocks
    /// of ISC dhcpd.conf, `dhcp-host` lines of dnsmasq, host reservations of Kea, /etc/ethers, Ka's and discover mode's `ip
    /// mac` lines; leases of ISC dhcpd, dnsmasq, Kea and kar; lines of any log in which a MAC address follows or precedes an
    /// address. Which it is shows in the file itself. A machine that stands there twice counts as it stands last.
    ///
    /// # Errors
    /// - `dhcp.hosts`: the file cannot be read, or no machine stands in it
    ///
    /// # Example
    /// ```rhai
    /// fs::write("data", "10.9.0.11 52:54:00:00:00:01\n");
    /// dhcp::hosts("data")                       // => [#{ mac: "52:54:00:00:00:01", ip: "10.9.0.11" }]
    /// dhcp::hosts("none")                       // => throws dhcp.hosts
    /// ```
    #[rhai_fn(return_raw)]
    pub fn hosts(ctx: NativeCallContext, path: &str) -> Raw<Array> {
        host_of(&ctx);
        Ok(dhcp::sites::read(Path::new(path))?.iter().map(to_dynamic).collect())
    }

    /// As below, as the interface itself.
    #[rhai_fn(name = "request", return_raw)]
    pub fn request(ctx: NativeCallContext, interface: &str) -> Raw<Map> {
        request_with(ctx, interface, Map::new())
    }

    /// Asks for a lease as some machine would, and configures nothing. Returns `#{ mac, ip, mask, prefix, router, dns,
    /// domain, hostname, server, next_server, bootfile, lease, options, named }`: lease in seconds, options by number, and in
    /// `named` those that have one by the names of ISC dhcpd.
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
    /// - `options` (map, none): further options by number or name, over all else
    /// - `server` (text, everybody): the server asked
    /// - `relay` (text, none): ask as a relay with this address would; our port is then 67
    /// - `unicast` (flag, false): take answers sent to the address that is offered; they go to everybody otherwise
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
    /// `${lease.options["28"]} ${lease.named["broadcast-address"]}`                        // => "10.9.0.255 10.9.0.255"
    /// server.stop();
    /// dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port, timeout: "1ms" })  // => throws dhcp.timeout
    /// ```
    #[rhai_fn(name = "request", return_raw)]
    pub fn request_with(ctx: NativeCallContext, interface: &str, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcp::request", options)?;
        let client_id = match opts.raw("client_id") {
            Some(id) if id.is_blob() => Some(id.cast::<Blob>()),
            _ => opts.text("client_id")?.map(String::into_bytes),
        };
        let uuid = opts.text("uuid")?.map(|text| {
            uuid::Uuid::parse_str(&text).map_err(|_| opts.refuse("uuid", &format!("`{text}` is not a UUID")))
        });
        let ask = Ask {
            mac: opts.text("mac")?.map(|mac| mac.parse()).transpose()?,
            server: given::ip_of(&opts, "server")?,
            relay: given::ip_of(&opts, "relay")?,
            arch: port_of(&opts, "arch")?,
            vendor_class: opts.text("vendor_class")?,
            user_class: opts.text("user_class")?,
            hostname: opts.text("hostname")?,
            client_id,
            uuid: uuid.transpose()?,
            ip: given::ip_of(&opts, "ip")?,
            options: opts.map("options")?.map(given::numbered).transpose()?.unwrap_or_default(),
            unicast: opts.flag("unicast")?,
            ..ask_of(&opts)?
        };
        Ok(shown::granted(&host.wait(client::request(interface, &ask))?))
    }

    /// As below, with nothing else said.
    #[rhai_fn(name = "renew", return_raw)]
    pub fn renew(ctx: NativeCallContext, interface: &str, lease: Map) -> Raw<Map> {
        renew_with(ctx, interface, lease, Map::new())
    }

    /// Asks for more time on a lease that `dhcp::request` gave and that the interface has (`net::configure`). Its server is
    /// asked, and, if it is silent, in the second half of the time everybody. Returns the lease as it is now.
    ///
    /// # Options
    /// - `port` (int, 67): the server's port
    /// - `client_port` (int, 68): our port; on the loopback a free one
    /// - `timeout` (time, "30s"): for the whole conversation
    ///
    /// # Errors
    /// - `dhcp.refused`: the server says no: the address must not be used any longer
    /// - `dhcp.timeout`: nobody answered
    /// - `dhcp.lease`: not a lease
    /// - `dhcp.bind`, `dhcp.send`, `net.missing`
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.10-20" });
    /// let lease = dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port });
    /// dhcp::renew("lo", lease, #{ port: server.port }).ip      // => "10.9.0.10"
    /// lease.ip = "10.8.0.10";
    /// dhcp::renew("lo", lease, #{ port: server.port })         // => throws dhcp.refused
    /// ```
    #[rhai_fn(name = "renew", return_raw)]
    pub fn renew_with(ctx: NativeCallContext, interface: &str, lease: Map, options: Map) -> Raw<Map> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcp::renew", options)?;
        let (mac, ip, server) = lease_of(lease)?;
        let ask = Ask { mac: Some(mac), server: Some(server), ..ask_of(&opts)? };
        Ok(shown::granted(&host.wait(client::renew(interface, ip, &ask))?))
    }

    /// As below, with nothing else said.
    #[rhai_fn(name = "release", return_raw)]
    pub fn release(ctx: NativeCallContext, interface: &str, lease: Map) -> Raw<()> {
        release_with(ctx, interface, lease, Map::new())
    }

    /// Gives back a lease that `dhcp::request` gave. Nobody answers this; the interface keeps its address.
    ///
    /// # Options
    /// - `port` (int, 67): the server's port
    /// - `client_port` (int, 68): our port; on the loopback a free one
    ///
    /// # Errors
    /// - `dhcp.lease`: not a lease
    /// - `dhcp.bind`, `dhcp.send`, `net.missing`
    ///
    /// # Example
    /// ```rhai
    /// let server = dhcp::serve(#{ interface: "lo", port: 0, subnet: "10.9.0.0/24", range: "10.9.0.10-20" });
    /// let lease = dhcp::request("lo", #{ mac: "52:54:00:00:00:01", port: server.port });
    /// dhcp::release("lo", lease, #{ port: server.port });
    /// let event = server.next();
    /// while event.event != "released" { event = server.next(); }
    /// server.leases                                            // => []
    /// ```
    #[rhai_fn(name = "release", return_raw)]
    pub fn release_with(ctx: NativeCallContext, interface: &str, lease: Map, options: Map) -> Raw<()> {
        let host = host_of(&ctx);
        let opts = options_of(&ctx, "dhcp::release", options)?;
        let (mac, ip, server) = lease_of(lease)?;
        let ask = Ask { mac: Some(mac), server: Some(server), ..ask_of(&opts)? };
        Ok(host.wait(client::release(interface, ip, server, &ask))?)
    }
}
