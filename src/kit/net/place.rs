//! Where a server is: `host`, `host:port`, `10.0.0.1`, `[::1]:7`.

use std::net::{IpAddr, SocketAddr};

/// Host and port of a text that may leave the port out.
fn split(text: &str, port: u16) -> Option<(&str, u16)> {
    let bare = |text| str::strip_prefix(text, "[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare(text).parse::<IpAddr>().is_ok() {
        return Some((bare(text), port));
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Some((text, port)) };
    Some((bare(host), port.parse().ok()?))
}

/// Looks a server up; `port` counts where the text has none. IPv4 comes first where a name has both. There is at least one
/// address, or why there is none.
pub async fn resolve(text: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let place = split(text, port).filter(|(host, _)| !host.is_empty()).ok_or("not a host or host:port")?;
    let found = tokio::net::lookup_host(place).await.map_err(|error| error.to_string())?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    if found.is_empty() { Err("the name has no address".into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        assert_eq!(split("server", 69), Some(("server", 69)));
        assert_eq!(split("server:7", 69), Some(("server", 7)));
        assert_eq!(split("10.0.0.1:7", 69), Some(("10.0.0.1", 7)));
        assert_eq!(split("::1", 69), Some(("::1", 69)));
        assert_eq!(split("[::1]", 69), Some(("::1", 69)));
        assert_eq!(split("[::1]:7", 69), Some(("::1", 7)));
        assert_eq!(split("server:seven", 69), None);
    }
}
