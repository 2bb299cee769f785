//! Step files of a server, read and written by the node over TFTP, as the scripts of both old systems do.

use super::form::{Form, LIMIT, parse};
use super::store::{check_host, check_word};
use crate::host::{Fault, Result};
use crate::kit::tftp::client;

/// The step files in one folder of a TFTP server. What a node may read and write the server decides.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `host` or `host:port`.
    server: String,
    /// The folder on it: `steps`.
    dir: String,
    form: Form,
}

impl Remote {
    pub fn new(server: &str, dir: &str, form: Form) -> Remote {
        Remote { server: server.into(), dir: dir.trim_matches('/').into(), form }
    }

    /// `server/dir`, for people.
    pub fn place(&self) -> String {
        format!("{}/{}", self.server, self.dir)
    }

    fn path(&self, host: &str) -> Result<String> {
        check_host(host)?;
        Ok(if self.dir.is_empty() { host.into() } else { format!("{}/{host}", self.dir) })
    }

    /// # Errors
    /// `step.host`, `step.read`: the server is silent, or does not give it.
    pub async fn get(&self, host: &str) -> Result<Option<String>> {
        let options = client::Options { limit: LIMIT as u64, ..client::Options::default() };
        match client::get_bytes(&self.server, &self.path(host)?, &options).await {
            Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
            Err(fault) if fault.kind == "tftp.missing" => Ok(None),
            Err(fault) => Err(failed("step.read", "read", host, fault)),
        }
    }

    /// # Errors
    /// `step.host`, `step.word`, `step.write`: the server is silent, or refuses.
    pub async fn set(&self, host: &str, word: &str) -> Result<()> {
        check_word(word)?;
        let text = self.form.print(word).into_bytes();
        let (size, path) = (text.len() as u64, self.path(host)?);
        let mut source = std::io::Cursor::new(text);
        let sent = client::put(&self.server, &path, &client::Options::default(), &mut source, size).await;
        sent.map(|_| ()).map_err(|fault| failed("step.write", "write", host, fault))
    }
}

fn failed(kind: &'static str, verb: &str, host: &str, fault: Fault) -> Fault {
    let mut new = Fault::new(kind, format!("cannot {verb} the step of {host}: {}", fault.message));
    new.hints = fault.hints;
    new
}
