//! What a client may read and write: a closure's word first, then the folder.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{Body, Root, Upload};
use crate::host::Result;

/// What a closure learns.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Request {
    /// The name asked for, made relative (`boot/kernel`).
    pub path: String,
    /// The client's address.
    pub client: String,
    pub port: u16,
    /// Bytes to come, where a client that writes says so.
    pub size: Option<u64>,
    /// What only HTTP knows.
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// The rest of an HTTP request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Details {
    /// `GET`, `HEAD`, `PUT` or `POST`.
    pub method: String,
    /// After the `?`, decoded: of a name that comes twice the last value.
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
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

/// Why a client gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Missing,
    Refused,
    /// No room, or more than is taken.
    Full,
    /// A closure, or a disk.
    Failed,
}

#[derive(Debug, Clone)]
pub struct Refusal {
    pub reason: Reason,
    /// For the person at the server; the client learns the reason only.
    pub message: String,
}

impl Refusal {
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into() }
    }

    /// As an event is named.
    pub(super) fn event(&self) -> &'static str {
        if self.reason == Reason::Failed { "failed" } else { "refused" }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let reason = match error.kind() {
            ErrorKind::NotFound => Reason::Missing,
            ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded => Reason::Full,
            // A link out of the root, a loop of links, a name that runs through a file.
            _ => Reason::Refused,
        };
        Refusal::new(reason, error.to_string())
    }
}

/// Who may read and write what. All of it blocks: a closure may take its time.
#[derive(Default)]
pub struct Rules {
    /// The folder read from.
    pub root: Option<Root>,
    pub read: Option<Reads>,
    /// Decides on writes; without it they go into `inbox`, and without that nowhere.
    pub write: Option<Writes>,
    pub inbox: Option<Root>,
    /// Largest file taken from a client, bytes.
    pub limit: u64,
}

impl Rules {
    pub fn read(&self, request: &Request) -> Result<Body, Refusal> {
        let word = self.read.as_ref().map_or(Ok(Read::Pass), |read| read(request));
        match word.map_err(|fault| Refusal::new(Reason::Failed, fault.to_string()))? {
            Read::Content(bytes) => Ok(Body::Bytes(bytes)),
            Read::File(path) => Ok(open(&path)?),
            Read::Pass => {
                let root = self.root.as_ref().ok_or_else(|| Error::from(ErrorKind::NotFound))?;
                Ok(sized(root.file(&request.path)?)?)
            }
            Read::Refuse => Err(Refusal::new(Reason::Refused, "the script refuses it")),
        }
    }

    pub fn write(&self, request: &Request) -> Result<Upload, Refusal> {
        if let Some(size) = request.size.filter(|size| *size > self.limit) {
            let why = format!("it has {size} bytes, more than the limit of {}", self.limit);
            return Err(Refusal::new(Reason::Full, why));
        }
        let into = |root: &Option<Root>| -> Result<Upload, Refusal> {
            let closed = || Refusal::new(Reason::Refused, "nothing is written here");
            let (folder, name) = root.as_ref().ok_or_else(closed)?.place(&request.path)?;
            Ok(Upload::begin(folder, name, self.limit)?)
        };
        let Some(write) = &self.write else { return into(&self.inbox) };
        match write(request).map_err(|fault| Refusal::new(Reason::Failed, fault.to_string()))? {
            Write::Allow => into(&self.root),
            Write::File(path) => Ok(Upload::at(&path, self.limit)?),
            Write::Refuse => Err(Refusal::new(Reason::Refused, "the script refuses it")),
        }
    }
}

fn open(path: &Path) -> IoResult<Body> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_file() { sized(file) } else { Err(ErrorKind::PermissionDenied.into()) }
}

fn sized(file: std::fs::File) -> IoResult<Body> {
    let size = file.metadata()?.len();
    Ok(Body::File(Arc::new(file), size))
}
