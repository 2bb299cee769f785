//! Step files of a server, read and written by the node over TFTP, as the scripts of both old systems do, or over HTTP.

use super::form::{Form, LIMIT, parse};
use super::store::{check_host, check_word};
use crate::host::{Fault, Host, Result};
use crate::kit::{http, tftp};

/// The step files in one folder of a server. What a node may read and write the server decides.
#[derive(Debug, Clone)]
pub struct Remote {
    server: Server,
    /// The folder on it: `steps`.
    dir: String,
    form: Form,
}

#[derive(Debug, Clone)]
enum Server {
    /// `host` or `host:port`.
    Tftp(String),
    /// The address in front of the folder, without the slash at its end; and what certificates are trusted.
    Http(String, http::Options),
}

impl Remote {
    /// `server` is `host` or `host:port` for TFTP, or where the folder is found over HTTP: `http://10.0.0.1`. `ca`:
    /// certificates to trust (PEM), for `https`.
    pub fn new(server: &str, dir: &str, form: Form, ca: Option<std::path::PathBuf>) -> Remote {
        let server = if server.starts_with("http://") || server.starts_with("https://") {
            let options = http::Options { limit: LIMIT as u64, ca, ..http::Options::default() };
            Server::Http(server.trim_end_matches('/').into(), options)
        } else {
            Server::Tftp(server.into())
        };
        Remote { server, dir: dir.trim_matches('/').into(), form }
    }

    /// `server/dir`, for people.
    pub fn place(&self) -> String {
        let (Server::Tftp(server) | Server::Http(server, _)) = &self.server;
        format!("{server}/{}", self.dir)
    }

    fn path(&self, host: &str) -> Result<String> {
        check_host(host)?;
        Ok(if self.dir.is_empty() { host.into() } else { format!("{}/{host}", self.dir) })
    }

    /// # Errors
    /// `step.host`, `step.read`: the server is silent, or does not give it.
    pub async fn get(&self, kar: &Host, host: &str) -> Result<Option<String>> {
        let path = self.path(host)?;
        let got = match &self.server {
            Server::Tftp(server) => {
                let options = tftp::client::Options { limit: LIMIT as u64, ..tftp::client::Options::default() };
                tftp::client::get_bytes(server, &path, &options).await
            }
            Server::Http(server, options) => {
                let url = format!("{server}/{path}");
                http::get_bytes(kar, &http::Fetch { url: &url, sha256: None, options }).await
            }
        };
        match got {
            Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
            Err(fault) if matches!(&*fault.kind, "tftp.missing" | "http.missing") => Ok(None),
            Err(fault) => Err(failed("step.read", "read", host, fault)),
        }
    }

    /// # Errors
    /// `step.host`, `step.word`, `step.write`: the server is silent, or refuses.
    pub async fn set(&self, host: &str, word: &str) -> Result<()> {
        check_word(word)?;
        let (text, path) = (self.form.print(word).into_bytes(), self.path(host)?);
        let sent = match &self.server {
            Server::Tftp(server) => {
                let size = text.len() as u64;
                let mut source = std::io::Cursor::new(text);
                let options = tftp::client::Options::default();
                tftp::client::put(server, &path, &options, &mut source, size).await.map(drop)
            }
            Server::Http(server, options) => {
                let (url, payload) = (format!("{server}/{path}"), http::Payload::Bytes(text.into()));
                http::put(http::Method::Put, &url, payload, options).await.map(drop)
            }
        };
        sent.map_err(|fault| failed("step.write", "write", host, fault))
    }
}

fn failed(kind: &'static str, verb: &str, host: &str, fault: Fault) -> Fault {
    let mut new = Fault::new(kind, format!("cannot {verb} the step of {host}: {}", fault.message));
    new.hints = fault.hints;
    new
}
