//! Where a server is or listens: `host`, `host:port`, `[::1]:30765`, `10.0.0.1`, `:0`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;

use super::PORT;
use crate::host::{Fault, Result};
use crate::kit::net;

/// Looks a server up; the port is 30765 unless said.
///
/// # Errors
/// `chain.address`: not a host, or no such host.
pub async fn resolve(text: &str, limit: Duration) -> Result<Vec<SocketAddr>> {
    let bad = |why: String| Fault::new("chain.address", format!("cannot find server `{text}`: {why}"));
    timeout(limit, net::resolve(text, PORT))
        .await
        .map_err(|_| bad("the name was not resolved in time".into()))?
        .map_err(bad)
}

/// What `bind` says: address and port, either of which may be missing (`10.0.0.1`, `:0`, `[::1]:7000`).
///
/// # Errors
/// `chain.bind`: neither.
pub fn parse_bind(text: &str) -> Result<(Option<IpAddr>, Option<u16>)> {
    let bad = || {
        Fault::new("chain.bind", format!("cannot listen on `{text}`: not an address and port"))
            .hint("as 10.0.0.1, 10.0.0.1:7000, [::1]:7000 or :0 (any free port)")
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((Some(address), None));
    }
    if let Ok(both) = text.parse::<SocketAddr>() {
        return Ok((Some(both.ip()), Some(both.port())));
    }
    let port = text.strip_prefix(':').ok_or_else(bad)?.parse().map_err(|_| bad())?;
    Ok((None, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports() {
        assert_eq!(parse_bind("10.0.0.1").unwrap(), (Some([10, 0, 0, 1].into()), None));
        assert_eq!(parse_bind(":0").unwrap(), (None, Some(0)));
        assert_eq!(parse_bind("[::1]:7").unwrap(), (Some("::1".parse().unwrap()), Some(7)));
        for bad in ["", "server", "1.2.3.4:99999", ":x"] {
            assert_eq!(parse_bind(bad).unwrap_err().kind, "chain.bind", "{bad}");
        }
    }
}
