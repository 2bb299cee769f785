//! One request and its response.

use std::io::Error;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::content::Content;
use super::range::{Range, range};
use super::server::Shared;
use super::store::store;
use super::target::target;
use crate::kit::served::{Body, Details, Event, Reason, Refusal, Request, Tally};

pub(super) type Response = hyper::Response<Content>;

pub(super) async fn respond(request: hyper::Request<Incoming>, peer: SocketAddr, shared: &Arc<Shared>) -> Response {
    let method = request.method().clone();
    let uri = request.uri();
    let Some(wanted) = target(uri.path(), uri.query()) else {
        let path = uri.path().chars().take(200).collect();
        let asked = Request { path, client: peer.ip().to_string(), port: peer.port(), ..Request::default() };
        let refusal = Refusal::new(Reason::Refused, "its name leads out of the folder, or is none");
        let kind = if method == Method::GET || method == Method::HEAD { "get" } else { "put" };
        shared.events.push(Event::refused(kind, &asked, &refusal));
        return plain(StatusCode::FORBIDDEN, "no such name is served\n");
    };
    let headers = request.headers().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.as_str().to_string(), value.to_str().ok()?.to_string())));
    let details = Details { method: method.to_string(), query: wanted.query, headers: headers.collect() };
    let asked = Request {
        path: wanted.name,
        client: peer.ip().to_string(),
        port: peer.port(),
        size: length(request.headers()),
        details: Some(details),
    };
    match method {
        Method::GET | Method::HEAD => read(&request, asked, shared).await,
        Method::PUT | Method::POST => store(request, asked, shared).await,
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD, PUT and POST\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST"));
            response
        }
    }
}

/// What a client says is to come.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) fn plain(status: StatusCode, text: &str) -> Response {
    let content = Content::text(text);
    let mut response = hyper::Response::new(content);
    *response.status_mut() = status;
    put(response.headers_mut(), header::CONTENT_LENGTH, &text.len().to_string());
    put(response.headers_mut(), header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What a client learns of a refusal: the reason, and nothing of this machine.
pub(super) fn refuse(kind: &'static str, asked: &Request, refusal: &Refusal, shared: &Shared) -> Response {
    shared.events.push(Event::refused(kind, asked, refusal));
    match refusal.reason {
        Reason::Missing => plain(StatusCode::NOT_FOUND, "not found\n"),
        Reason::Refused => plain(StatusCode::FORBIDDEN, "refused\n"),
        Reason::Full => plain(StatusCode::PAYLOAD_TOO_LARGE, "too large, or no room\n"),
        Reason::Failed => plain(StatusCode::INTERNAL_SERVER_ERROR, "the server's script failed\n"),
    }
}

async fn read(request: &hyper::Request<Incoming>, asked: Request, shared: &Arc<Shared>) -> Response {
    let (rules, question) = (shared.clone(), asked.clone());
    let found = tokio::task::spawn_blocking(move || rules.rules.read(&question)).await;
    let found = found.unwrap_or_else(|error| Err(Refusal::new(Reason::Failed, error.to_string())));
    let body = match found {
        Ok(body) => body,
        Err(refusal) => return refuse("get", &asked, &refusal, shared),
    };
    let size = body.size();
    let stamp = Stamp::of(&body);
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if stamp.as_ref().is_some_and(|stamp| stamp.is_known(headers)) {
        let mut response = hyper::Response::new(Content::text(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        stamp.iter().for_each(|stamp| stamp.write(response.headers_mut()));
        return response;
    }
    // A part of another state of the file would be no part of this one (RFC 9110, 13.1.5).
    let current = text(header::IF_RANGE).is_none_or(|known| stamp.as_ref().is_some_and(|stamp| stamp.is(known)));
    let part = text(header::RANGE).filter(|_| current).map_or(Range::Whole, |asked| range(asked, size));
    let (status, first, end) = match part {
        Range::Whole => (StatusCode::OK, 0, size),
        Range::Part(first, end) => (StatusCode::PARTIAL_CONTENT, first, end),
        Range::Beyond => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "the file is shorter\n");
            put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let content = Content::new(body, first, end);
    let mut response = match request.method() == Method::HEAD {
        true => hyper::Response::new(Content::text("")),
        false => hyper::Response::new(content.counted(Tally::start("get", &asked, &shared.events))),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    put(headers, header::CONTENT_LENGTH, &(end - first).to_string());
    put(headers, header::CONTENT_TYPE, kind_of(&asked.path));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        put(headers, header::CONTENT_RANGE, &format!("bytes {first}-{}/{size}", end - 1));
    }
    match &stamp {
        Some(stamp) => stamp.write(headers),
        // Made up for this client, and anew each time.
        None => put(headers, header::CACHE_CONTROL, "no-store"),
    }
    response
}

/// Which state of a file this is.
struct Stamp {
    tag: String,
    changed: SystemTime,
}

impl Stamp {
    fn of(body: &Body) -> Option<Stamp> {
        let Body::File(file, size) = body else { return None };
        let meta = file.metadata().ok()?;
        let tag = format!("\"{:x}-{size:x}-{:x}.{:x}\"", meta.ino(), meta.mtime(), meta.mtime_nsec());
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(meta.mtime()).ok()?);
        Some(Stamp { tag, changed })
    }

    /// Whether the client has it already (RFC 9110, 13.1.2 and 13.1.3).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        match text(header::IF_NONE_MATCH) {
            Some(tags) => {
                tags.split(',').any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == self.tag)
            }
            None => text(header::IF_MODIFIED_SINCE)
                .and_then(|date| httpdate::parse_http_date(date).ok())
                .is_some_and(|since| self.changed <= since),
        }
    }

    /// Whether `If-Range` names this state.
    fn is(&self, known: &str) -> bool {
        known == self.tag || httpdate::parse_http_date(known).is_ok_and(|date| date == self.changed)
    }

    fn write(&self, headers: &mut HeaderMap) {
        put(headers, header::ETAG, &self.tag);
        put(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(self.changed));
    }
}

/// UEFI goes by the type what to do with a file, or by the end of its name where the type says nothing.
fn kind_of(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map_or(String::new(), |(_, end)| end.to_ascii_lowercase());
    match end.as_str() {
        "efi" => "application/efi",
        "iso" => "application/vnd.efi-iso",
        "txt" | "cfg" | "ipxe" | "conf" | "sh" | "seed" | "preseed" | "ks" | "log" => "text/plain; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}

/// A blocking piece of work of one request.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::other(error)))
}
