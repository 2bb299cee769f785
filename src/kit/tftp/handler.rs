//! Finds what a client asks for.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_tftp::packet::Error as Refusal;
use async_tftp::server::Handler;
use serde::Serialize;
use tokio::sync::oneshot;

use super::body::{Body, Found, Reader};
use super::root::{Root, clean};
use super::upload::{Place, Upload, Writer};
use crate::host::{Fault, Result};
use crate::kit::net::Events;

/// What a closure learns.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The name asked for, made relative (`boot/kernel`).
    pub path: String,
    /// The client's address.
    pub client: String,
    pub port: u16,
    /// Bytes to come, where a client that writes says so.
    pub size: Option<u64>,
}

/// A closure's word on a file to be read.
pub enum Read {
    Content(Arc<[u8]>),
    /// A file anywhere: the script chose it.
    File(PathBuf),
    /// Not its business: the root is asked, if there is one.
    Pass,
    Refuse,
}

/// A closure's word on a file to be written.
pub enum Write {
    /// Into the root, by the name asked for.
    Allow,
    /// Into this file.
    File(PathBuf),
    Refuse,
}

pub type Reads = Arc<dyn Fn(&Request) -> Result<Read> + Send + Sync>;
pub type Writes = Arc<dyn Fn(&Request) -> Result<Write> + Send + Sync>;

/// A happening of one transfer.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// `started`, `finished`, `aborted`, `refused`, `failed` (a closure).
    pub event: &'static str,
    /// `read` or `write`.
    pub kind: &'static str,
    pub path: String,
    pub client: String,
    pub bytes: u64,
    pub seconds: f64,
    pub message: String,
}

/// How long opening waits for a closure, all other opens with it (async-tftp opens one at a time). A closure that
/// takes longer goes on alone, and its client learns no size beforehand.
const GRACE: Duration = Duration::from_millis(50);
/// After an overrun nobody waits for a while.
const PENALTY: Duration = Duration::from_secs(5);

pub struct Files {
    pub root: Option<Root>,
    pub read: Option<Reads>,
    pub write: Option<Writes>,
    /// Where writes go without a closure.
    pub inbox: Option<Root>,
    pub limit: u64,
    pub events: Events<Event>,
    pub runtime: tokio::runtime::Handle,
    pub overran: Option<Instant>,
}

impl Clone for Files {
    fn clone(&self) -> Files {
        Files {
            root: self.root.clone(),
            read: self.read.clone(),
            write: self.write.clone(),
            inbox: self.inbox.clone(),
            limit: self.limit,
            events: self.events.clone(),
            runtime: self.runtime.clone(),
            overran: None,
        }
    }
}

fn event(kind: &'static str, request: &Request) -> Event {
    let (path, client) = (request.path.clone(), request.client.clone());
    Event { event: "refused", kind, path, client, bytes: 0, seconds: 0.0, message: String::new() }
}

fn request(client: &SocketAddr, path: &Path, size: Option<u64>) -> std::result::Result<Request, Request> {
    let name = path.to_string_lossy();
    let request =
        |path: String| Request { path, client: client.ip().to_canonical().to_string(), port: client.port(), size };
    clean(&name).map(request).ok_or_else(|| request(name.into_owned()))
}

impl Files {
    fn refuse(&self, event: Event, error: Error) -> Refusal {
        self.events.push(Event { message: error.to_string(), ..event });
        error.into()
    }

    /// Runs a closure on a blocking thread, waiting for it no longer than [`GRACE`].
    async fn ask<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> IoResult<T> + Send + 'static,
    ) -> std::result::Result<IoResult<T>, oneshot::Receiver<IoResult<T>>> {
        let (tell, mut told) = oneshot::channel();
        self.runtime.spawn_blocking(move || tell.send(work()));
        if self.overran.is_some_and(|at| at.elapsed() < PENALTY) {
            return Err(told);
        }
        let grace = async {
            async_io::Timer::after(GRACE).await;
            None
        };
        match futures_lite::future::or(async { Some((&mut told).await) }, grace).await {
            Some(Ok(found)) => Ok(found),
            Some(Err(_)) => Ok(Err(Error::from(ErrorKind::Other))),
            None => {
                self.overran = Some(Instant::now());
                Err(told)
            }
        }
    }

    fn failed(events: &Events<Event>, event: Event, fault: Fault) -> Error {
        events.push(Event { event: "failed", message: fault.to_string(), ..event });
        Error::from(ErrorKind::Other)
    }
}

impl Handler for Files {
    type Reader = Reader;
    type Writer = Writer;

    async fn read_req_open(
        &mut self,
        client: &SocketAddr,
        path: &Path,
    ) -> std::result::Result<(Reader, Option<u64>), Refusal> {
        let asked = match request(client, path, None) {
            Ok(asked) => asked,
            Err(asked) => return Err(self.refuse(event("read", &asked), ErrorKind::PermissionDenied.into())),
        };
        let (events, about) = (self.events.clone(), event("read", &asked));
        let found = match self.read.clone() {
            None => Ok(from_root(&self.root, &asked.path)),
            Some(read) => {
                let (root, about) = (self.root.clone(), about.clone());
                let work = move || match read(&asked) {
                    Ok(Read::Content(bytes)) => Ok(Body::Bytes(bytes)),
                    Ok(Read::File(path)) => open_file(&path),
                    Ok(Read::Pass) => from_root(&root, &asked.path),
                    Ok(Read::Refuse) => Err(ErrorKind::PermissionDenied.into()),
                    Err(fault) => Err(Files::failed(&events, about, fault)),
                };
                self.ask(work).await
            }
        };
        match found {
            Ok(Err(error)) => Err(self.refuse(about, error)),
            Ok(Ok(body)) => {
                let size = body.size();
                Ok((Reader::new(Found::Now(body), about, self.events.clone()), size))
            }
            Err(later) => Ok((Reader::new(Found::Later(later), about, self.events.clone()), None)),
        }
    }

    async fn write_req_open(
        &mut self,
        client: &SocketAddr,
        path: &Path,
        size: Option<u64>,
    ) -> std::result::Result<Writer, Refusal> {
        let asked = match request(client, path, size) {
            Ok(asked) => asked,
            Err(asked) => return Err(self.refuse(event("write", &asked), ErrorKind::PermissionDenied.into())),
        };
        let (events, about) = (self.events.clone(), event("write", &asked));
        if size.is_some_and(|size| size > self.limit) {
            return Err(self.refuse(about, ErrorKind::WriteZero.into()));
        }
        let found = match self.write.clone() {
            None => Ok(into_root(&self.inbox, &asked.path)),
            Some(write) => {
                let (root, about) = (self.root.clone(), about.clone());
                let work = move || match write(&asked) {
                    Ok(Write::Allow) => into_root(&root, &asked.path),
                    Ok(Write::File(path)) => into_file(&path),
                    Ok(Write::Refuse) => Err(ErrorKind::PermissionDenied.into()),
                    Err(fault) => Err(Files::failed(&events, about, fault)),
                };
                self.ask(work).await
            }
        };
        let place = match found {
            Ok(Err(error)) => return Err(self.refuse(about, error)),
            Ok(Ok(upload)) => Place::Now(upload),
            Err(later) => Place::Later(later),
        };
        Ok(Writer::new(place, self.limit, about, self.events.clone()))
    }
}

fn from_root(root: &Option<Root>, name: &str) -> IoResult<Body> {
    let root = root.as_ref().ok_or(ErrorKind::NotFound)?;
    root.file(name).map(Body::File).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => error,
        // A link out of the root, a loop of links, a name that runs through a file.
        _ => Error::new(ErrorKind::PermissionDenied, error),
    })
}

fn open_file(path: &Path) -> IoResult<Body> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_file() { Ok(Body::File(file)) } else { Err(ErrorKind::PermissionDenied.into()) }
}

fn into_root(root: &Option<Root>, name: &str) -> IoResult<Upload> {
    let root = root.as_ref().ok_or(ErrorKind::PermissionDenied)?;
    let (folder, name) = root.place(name)?;
    Upload::begin(folder, name)
}

fn into_file(path: &Path) -> IoResult<Upload> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
    Upload::begin(std::fs::File::open(folder)?, name)
}
