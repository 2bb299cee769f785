//! What `tftp` and `http` share: where a server listens, the closures it asks, data that is sent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use crate::host::Hold;
use crate::kit::http;
use crate::kit::served::{Read, Reads, Request, Write, Writes};

/// A running HTTP server; it ends with its last copy. It stands here because a TFTP server takes it along.
#[derive(Clone)]
pub struct HttpServer {
    pub server: Arc<http::Server>,
    pub hold: Arc<Hold>,
    pub secure: bool,
}

/// As long as a client waits before it asks again.
const DECISION: Duration = Duration::from_secs(5);

/// The module's name in front of a fault's reason.
fn kind(module: &str, reason: &str) -> String {
    format!("{module}.{reason}")
}

/// Where a server listens, for the journal and people.
pub fn shown(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A closure that makes up files. `module` names the faults.
pub fn reads(module: &'static str, callback: Callback) -> Reads {
    Arc::new(move |request: &Request| {
        let value = callback.call(vec![to_dynamic(request)], DECISION)?;
        if value.is_unit() {
            return Ok(Read::Pass);
        }
        if let Ok(flag) = value.as_bool() {
            return if flag { Ok(Read::Pass) } else { Ok(Read::Refuse) };
        }
        if value.is_blob() {
            return Ok(Read::Content(value.cast::<Blob>().into()));
        }
        if let Some(path) = path_in(&value) {
            return Ok(Read::File(path));
        }
        let found = value.type_name();
        let text = value.clone().into_string().map_err(|_| {
            Fault::new(kind(module, "answer"), format!("the closure returned {found} for `{}`", request.path))
                .hint("it returns a text, a blob, #{ path: \"file\" }, () for what it does not have, or false")
        })?;
        Ok(Read::Content(text.into_bytes().into()))
    })
}

/// Who decides on what clients write: a closure, or nobody and it goes into a folder.
pub struct Inbox {
    pub write: Option<Writes>,
    pub inbox: Option<PathBuf>,
}

/// The option `name`: a closure or a folder.
pub fn inbox(ctx: &NativeCallContext, opts: &Opts, name: &str) -> Result<Inbox> {
    if opts.raw(name).is_some_and(|value| value.is_string()) {
        return Ok(Inbox { write: None, inbox: opts.path(name)? });
    }
    let write = opts.value::<FnPtr>(name, "a closure or a path")?;
    Ok(Inbox { write: write.map(|closure| writes(Callback::of(ctx, closure))), inbox: None })
}

fn writes(callback: Callback) -> Writes {
    Arc::new(move |request: &Request| {
        let value = callback.call(vec![to_dynamic(request)], DECISION)?;
        Ok(match path_in(&value) {
            Some(path) => Write::File(path),
            None if value.as_bool() == Ok(true) => Write::Allow,
            None => Write::Refuse,
        })
    })
}

/// `#{ path: "file" }`.
fn path_in(value: &Dynamic) -> Option<PathBuf> {
    let map = value.read_lock::<Map>()?;
    map.get("path")?.clone().into_string().ok().map(PathBuf::from)
}

/// The option `bind`: `address`, `address:port` or `:port`, or a list of them; every IPv4 address unless said.
pub fn binds(opts: &Opts, port: u16) -> Result<Vec<SocketAddr>> {
    let mut list = opts.texts("bind")?;
    if list.is_empty() {
        list.push(format!("0.0.0.0:{port}"));
    }
    let read = |text: &String| {
        let full = match text.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => text.to_string(),
        };
        let bare = full.trim_matches(['[', ']']).parse::<std::net::IpAddr>().map(|ip| SocketAddr::from((ip, port)));
        full.parse().or(bare).map_err(|_| {
            opts.refuse("bind", &format!("`{text}` is not an address to listen on")).hint(
                "an address of this machine, a port, or both: \"10.0.0.1\", \":8080\", \"127.0.0.1:0\", \"[::1]\"",
            )
        })
    };
    list.iter().map(read).collect()
}

/// The option `data`: a text or a blob.
pub fn data_of(opts: &Opts) -> Result<Option<Blob>> {
    match opts.raw("data") {
        Some(data) if data.is_blob() => Ok(Some(data.cast::<Blob>())),
        Some(_) => Ok(opts.text("data")?.map(String::into_bytes)),
        None => Ok(None),
    }
}

/// A text where it is one, else a blob.
pub fn text_or_blob(bytes: Vec<u8>) -> Dynamic {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => Dynamic::from_blob(error.into_bytes()),
    }
}
