//! Where a client goes.

use hyper::Uri;

use crate::host::{Fault, Result};

/// An absolute `http` or `https` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// Path and query, as they go over the wire.
    pub path: String,
}

impl Url {
    /// # Errors
    /// `http.url`: no `http://host/path`; a name or password in it; characters that have to be written with `%`.
    pub fn parse(text: &str) -> Result<Url> {
        let bad = |why: &str| {
            Fault::new("http.url", format!("`{}` is no address to fetch from: {why}", text.escape_debug()))
                .hint("an address is written http://host:port/path")
        };
        let uri: Uri = text.parse().map_err(|error: hyper::http::uri::InvalidUri| bad(&error.to_string()))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(bad(&format!("`{other}` is not http or https"))),
            None => return Err(bad("it does not begin with http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("no host"))?.as_str();
        if authority.contains('@') {
            return Err(bad("names and passwords are not sent"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_string();
        if host.is_empty() || host.contains(['[', ']']) {
            return Err(bad("no host"));
        }
        let port = match authority[authority.rfind(']').map_or(0, |end| end + 1)..].rsplit_once(':') {
            Some((_, port)) => port.parse().map_err(|_| bad(&format!("`{port}` is no port")))?,
            None if tls => 443,
            None => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Url { tls, host, port, path })
    }

    /// As it stands in the `Host` header, and in messages.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Where a `Location` leads from here (RFC 3986, 5).
    ///
    /// # Errors
    /// `http.redirect`: nowhere, or from `https` to `http`.
    pub fn follow(&self, location: &str) -> Result<Url> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.tls { "https" } else { "http" };
        let folder = || {
            let path = self.path.split('?').next().unwrap_or_default();
            path.rfind('/').map_or("/", |end| &path[..=end])
        };
        let next = if location.contains("://") {
            Url::parse(location)
        } else if let Some(rest) = location.strip_prefix("//") {
            Url::parse(&format!("{scheme}://{rest}"))
        } else if location.starts_with('/') {
            Url::parse(&format!("{scheme}://{}{location}", self.authority()))
        } else {
            Url::parse(&format!("{scheme}://{}{}{location}", self.authority(), folder()))
        };
        let next = next.map_err(|fault| Fault::new("http.redirect", format!("{self} leads on: {}", fault.message)))?;
        if self.tls && !next.tls {
            return Err(Fault::new("http.redirect", format!("{self} leads on to {next}, which is not protected")));
        }
        Ok(next)
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http{}://{}{}", if self.tls { "s" } else { "" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, whole) in [
            ("http://a", "http://a/"),
            ("https://a:443/b?c=d#e", "https://a/b?c=d"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://10.0.0.1:81", "http://10.0.0.1:81/"),
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), whole);
        }
        assert_eq!(Url::parse("http://[::1]:8080/x").unwrap().host, "::1");
        for text in
            ["", "a/b", "/a", "ftp://a", "http://", "http://:80/", "http://u:p@a/", "http://a:99999/", "http://a/b c"]
        {
            assert_eq!(Url::parse(text).unwrap_err().kind, "http.url", "{text}");
        }
    }

    #[test]
    fn a_redirect_is_followed_from_where_it_stands() {
        let from = Url::parse("https://a:8443/x/y?z").unwrap();
        for (location, whole) in [
            ("/b", "https://a:8443/b"),
            ("b", "https://a:8443/x/b"),
            ("//c/d", "https://c/d"),
            ("https://c/d#e", "https://c/d"),
        ] {
            assert_eq!(from.follow(location).unwrap().to_string(), whole);
        }
        for location in ["http://a/", "ftp://a/", "https://"] {
            assert_eq!(from.follow(location).unwrap_err().kind, "http.redirect", "{location}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_reads_the_same_again(text in "https?://[a-z\\[\\]:@0-9.]{0,12}/?[a-z/?#%&]{0,8}", location: String) {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()).unwrap(), url.clone());
                let _ = url.follow(&location);
            }
        }
    }
}
