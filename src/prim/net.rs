//! `net`: the network interfaces of this machine.

use super::prelude::*;
use crate::kit::{namespace, net};

/// Interfaces are plain maps.
pub fn types(_: &mut Engine) {}

#[export_module]
pub mod module {
    /// All interfaces: `#{ name, mac, addresses, up, carrier, loopback, mtu }` each, addresses with their prefix
    /// (`"10.0.0.1/24"`), mtu in bytes.
    ///
    /// # Errors
    /// - `net.list`: the kernel does not tell
    ///
    /// # Example
    /// ```rhai
    /// net::interfaces().some(|i| i.name == "lo" && i.loopback)   // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn interfaces(ctx: NativeCallContext) -> Raw<Array> {
        host_of(&ctx);
        Ok(net::interfaces()?.iter().map(to_dynamic).collect())
    }

    /// The hardware address of an interface; "" where it has none.
    ///
    /// # Errors
    /// - `net.missing`: no such interface; the hint lists those there are
    ///
    /// # Example
    /// ```rhai
    /// net::mac("lo")                            // => ""
    /// net::mac("nosuch0")                       // => throws net.missing
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mac(ctx: NativeCallContext, name: &str) -> Raw<String> {
        host_of(&ctx);
        Ok(net::find(name)?.mac)
    }

    /// Switches an interface on.
    ///
    /// # Errors
    /// - `net.missing`: no such interface
    /// - `net.configure`: the kernel refused; says why
    ///
    /// # Example
    /// ```rhai
    /// net::up("lo");
    /// net::up("nosuch0")                        // => throws net.missing
    /// ```
    #[rhai_fn(return_raw)]
    pub fn up(ctx: NativeCallContext, name: &str) -> Raw<()> {
        let host = host_of(&ctx);
        Ok(host.perform(Effect::new("net.up", name, Weight::Change), || net::up(name))?)
    }

    /// Gives an interface the address of a lease (`ip`, `prefix`, `router`), as `dhcp::request` returns it. The addresses
    /// it had before go.
    ///
    /// # Errors
    /// - `net.missing`: no such interface
    /// - `net.lease`: the map has no usable `ip` and `prefix`
    /// - `net.configure`: the kernel refused; says why
    ///
    /// # Example
    /// ```rhai
    /// net::configure("nosuch0", #{ ip: "10.0.0.7", prefix: 24 })   // => throws net.missing
    /// net::configure("nosuch0", #{ ip: "10.0.0" })                 // => throws net.lease
    /// ```
    #[rhai_fn(return_raw)]
    pub fn configure(ctx: NativeCallContext, name: &str, lease: Map) -> Raw<()> {
        let host = host_of(&ctx);
        let text = |key: &str| lease.get(key).and_then(|value| value.clone().into_string().ok());
        let wrong =
            |what: &str| Fault::new("net.lease", format!("cannot configure {name}: the lease has no usable `{what}`"));
        let ip = text("ip").and_then(|ip| ip.parse().ok()).ok_or_else(|| wrong("ip"))?;
        let prefix = lease.get("prefix").and_then(|value| value.as_int().ok());
        let prefix = prefix.and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 32).ok_or_else(|| wrong("prefix"))?;
        let router = match text("router").filter(|router| !router.is_empty()) {
            Some(router) => Some(router.parse().map_err(|_| wrong("router"))?),
            None => None,
        };
        let effect = Effect::new("net.configure", format!("{name} {ip}/{prefix}"), Weight::Change);
        Ok(host.perform(effect, || net::configure(name, ip, prefix, router))?)
    }

    /// Starts this run again in a network namespace of its own: an empty one, with a loopback that is off, seen by nobody
    /// else and gone at the end. Called first in a recipe, before anything is open; where it was done it does nothing.
    ///
    /// # Errors
    /// - `host.permission`: this needs root
    /// - `net.isolate`: the kernel refuses
    ///
    /// # Example
    /// ```rhai
    /// let alone = || { net::isolate(); net::up("lo"); };
    /// ```
    #[rhai_fn(return_raw)]
    pub fn isolate(ctx: NativeCallContext) -> Raw<()> {
        let host = host_of(&ctx);
        if !namespace::is_root() {
            return Err(Fault::new("host.permission", "this needs root: it makes a network namespace").into());
        }
        let effect = Effect::new("net.isolate", "this run", Weight::Open);
        Ok(host.perform(effect, namespace::isolate_network)?)
    }
}
