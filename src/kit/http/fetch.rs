//! Whole files over HTTP: taken up again where a connection broke, checked, and there as a whole or not at all.

use std::path::Path;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::client::{Answer, Call, Method, Options, Payload};
use super::respond::blocking;
use super::url::Url;
use crate::host::{Fault, Host, Meter, Result};
use crate::kit::served::Upload;

/// Gathered before a write, bytes.
const BLOCK: usize = 1 << 20;

/// What came of a transfer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub bytes: u64,
    pub seconds: f64,
    /// How often it was begun or taken up again after the first time.
    pub retries: u32,
}

/// A file to be fetched.
pub struct Fetch<'a> {
    pub url: &'a str,
    /// The digest that it must have, 64 hexadecimal digits.
    pub sha256: Option<&'a str>,
    pub options: &'a Options,
}

/// Where the bytes go: memory, or a file beside its place.
enum Store {
    Memory(Vec<u8>),
    File(Option<Upload>),
}

/// One file as it comes in.
struct Intake<'a> {
    store: Store,
    bytes: u64,
    gathered: Vec<u8>,
    digest: Option<(&'a str, Sha256)>,
    /// Names the state of the file that the bytes so far are of.
    stamp: Option<String>,
    total: Option<u64>,
    meter: Option<Meter>,
}

impl Fetch<'_> {
    /// # Errors
    /// `http.url`, `http.connect`, `http.timeout`, `http.tls`, `http.redirect`, `http.missing`, `http.refused`,
    /// `http.busy`, `http.status`, `http.broken` (cut short), `http.length`, `http.limit`, `http.digest`, `http.write`.
    async fn run(&self, host: &Host, store: Store) -> Result<(Store, Report)> {
        let start = Instant::now();
        let digest = self.sha256.map(|text| (text, Sha256::new()));
        let mut intake =
            Intake { store, bytes: 0, gathered: Vec::new(), digest, stamp: None, total: None, meter: None };
        let mut retries = 0;
        loop {
            let url = Url::parse(self.url)?;
            let mut call =
                Call { method: Method::Get, url, headers: intake.resume(), body: None, options: self.options };
            let fault = match intake.attempt(&mut call, host).await {
                Ok(()) => {
                    let seconds = start.elapsed().as_secs_f64();
                    return Ok((intake.store, Report { bytes: intake.bytes, seconds, retries }));
                }
                Err(fault) => fault,
            };
            let passing = matches!(
                fault.kind.as_ref(),
                "http.connect" | "http.timeout" | "http.broken" | "http.busy" | "http.digest"
            );
            if !passing || retries >= self.options.retries {
                return Err(fault);
            }
            if fault.kind == "http.digest" {
                intake.restart(&call).await?;
            }
            tokio::time::sleep(Duration::from_millis(100 << retries.min(6))).await;
            retries += 1;
        }
    }
}

impl Intake<'_> {
    /// Asks for the rest, of the very file whose beginning is here.
    fn resume(&self) -> Vec<(HeaderName, String)> {
        match &self.stamp {
            Some(stamp) if self.bytes > 0 => {
                vec![(header::RANGE, format!("bytes={}-", self.bytes)), (header::IF_RANGE, stamp.clone())]
            }
            _ => Vec::new(),
        }
    }

    async fn restart(&mut self, call: &Call<'_>) -> Result<()> {
        self.bytes = 0;
        self.gathered.clear();
        self.total = None;
        if let Some((_, digest)) = &mut self.digest {
            *digest = Sha256::new();
        }
        match &mut self.store {
            Store::Memory(bytes) => bytes.clear(),
            Store::File(file) => {
                if let Some(upload) = file {
                    upload.rewind().map_err(|error| call.fault("http.write", error))?;
                }
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, call: &mut Call<'_>, host: &Host) -> Result<()> {
        let answer = call.ask().await?;
        let headers = answer.response.headers();
        match answer.response.status() {
            StatusCode::OK => self.restart(call).await?,
            StatusCode::PARTIAL_CONTENT if self.bytes > 0 && continues(headers, self.bytes, self.total) => {}
            StatusCode::PARTIAL_CONTENT => return Err(call.fault("http.status", "the server sends another part")),
            status => return Err(call.refused(status)),
        }
        let exact = answer.response.body().size_hint().exact();
        if exact.is_none() && !headers.contains_key(header::TRANSFER_ENCODING) && self.digest.is_none() {
            let fault = call.fault("http.length", "the server does not say how long it is");
            return Err(fault.hint("without a length a connection that breaks looks like the end; `sha256` would tell"));
        }
        if self.total.is_none() {
            self.total = exact;
            self.stamp = stamp(headers);
            self.meter = Some(host.meter(&format!("fetch {}", call.url), exact));
        }
        if self.total.is_some_and(|total| total > call.options.limit) {
            let total = self.total.unwrap_or_default();
            return Err(
                call.fault("http.limit", format_args!("it has {total} bytes, more than {}", call.options.limit))
            );
        }
        let read = self.body(call, answer).await;
        // What came before a break is good; the next try goes on behind it.
        self.flush(call).await?;
        read?;
        if self.total.is_some_and(|total| total != self.bytes) {
            let (bytes, total) = (self.bytes, self.total.unwrap_or_default());
            return Err(call.fault("http.broken", format_args!("it ended after {bytes} of {total} bytes")));
        }
        self.check(call)
    }

    async fn body(&mut self, call: &Call<'_>, mut answer: Answer) -> Result<()> {
        let body = answer.response.body_mut();
        loop {
            let frame = tokio::time::timeout(call.options.timeout, body.frame()).await.map_err(|_| call.silent())?;
            let Some(frame) = frame else { return Ok(()) };
            let why = |error| {
                let error: &dyn std::error::Error = &error;
                let cause = error.source().map_or(String::new(), |cause| format!(" ({cause})"));
                call.fault("http.broken", format_args!("it broke off after {} bytes: {error}{cause}", self.bytes))
            };
            let Ok(data) = frame.map_err(why)?.into_data() else { continue };
            if self.bytes + data.len() as u64 > call.options.limit {
                let why = format!("it has more than {} bytes", call.options.limit);
                return Err(call.fault("http.limit", why));
            }
            self.bytes += data.len() as u64;
            self.gathered.extend_from_slice(&data);
            if let Some(meter) = &self.meter {
                meter.advance(data.len() as u64);
            }
            if self.gathered.len() >= BLOCK {
                self.flush(call).await?;
            }
        }
    }

    /// Hands on what has gathered.
    async fn flush(&mut self, call: &Call<'_>) -> Result<()> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let digest = self.digest.take();
        if let Store::Memory(bytes) = &mut self.store {
            bytes.extend_from_slice(&gathered);
        }
        let mut upload = match &mut self.store {
            Store::Memory(_) => None,
            Store::File(file) => file.take(),
        };
        // Hashing takes as long as writing: both off the threads that serve the network.
        let text = digest.as_ref().map(|(text, _)| *text);
        let mut hasher = digest.map(|(_, hasher)| hasher);
        let work = blocking(move || {
            if let Some(hasher) = &mut hasher {
                hasher.update(&gathered);
            }
            if let Some(upload) = &mut upload {
                upload.write(&gathered)?;
            }
            gathered.clear();
            Ok((gathered, hasher, upload))
        });
        let (gathered, hasher, upload) = work.await.map_err(|error| call.fault("http.write", error))?;
        self.gathered = gathered;
        self.digest = text.zip(hasher);
        if let Store::File(file) = &mut self.store {
            *file = upload;
        }
        Ok(())
    }

    fn check(&self, call: &Call<'_>) -> Result<()> {
        let Some((wanted, digest)) = &self.digest else { return Ok(()) };
        let found: String = digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        let why = format!("its {} bytes have the SHA-256 {found}, not {wanted}", self.bytes);
        Err(call
            .fault("http.digest", why)
            .hint("the file was changed on its way, or where the digest was written down"))
    }
}

/// Whether a 206 begins where we stand (RFC 9110, 14.4), in a file of the same length.
fn continues(headers: &HeaderMap, at: u64, total: Option<u64>) -> bool {
    let read = || {
        let (part, whole) =
            headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
        Some((part.split_once('-')?.0.parse::<u64>().ok()?, whole.parse::<u64>().ok()))
    };
    read().is_some_and(|(first, whole)| first == at && whole == total)
}

/// A strong name of the file's state: only by that may parts be joined (RFC 9110, 13.1.5).
fn stamp(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(header::ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| tag.to_string())
}

fn digest_checked(sha256: Option<&str>) -> Result<()> {
    match sha256 {
        Some(text) if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let fault = Fault::new("http.option", format!("`{}` is no SHA-256", text.escape_debug()));
            Err(fault.hint("a SHA-256 is written with 64 hexadecimal digits, as `sha256sum` prints it"))
        }
        _ => Ok(()),
    }
}

/// Fetches a file to `to`, which appears whole or not at all.
pub async fn fetch(host: &Host, what: &Fetch<'_>, to: &Path) -> Result<Report> {
    digest_checked(what.sha256)?;
    let fail = |error: std::io::Error| Fault::io("http.write", format_args!("write `{}`", to.display()), error);
    let upload = Upload::at(to, u64::MAX).map_err(fail)?;
    let (store, report) = what.run(host, Store::File(Some(upload))).await?;
    if let Store::File(Some(upload)) = store {
        blocking(move || upload.finish()).await.map_err(fail)?;
    }
    Ok(report)
}

/// Fetches a file into memory.
pub async fn get_bytes(host: &Host, what: &Fetch<'_>) -> Result<Vec<u8>> {
    digest_checked(what.sha256)?;
    match what.run(host, Store::Memory(Vec::new())).await? {
        (Store::Memory(bytes), _) => Ok(bytes),
        _ => Ok(Vec::new()),
    }
}

/// Sends `payload` to a server, by PUT or POST.
///
/// # Errors
/// As [`fetch`], and `http.full`.
pub async fn put(method: Method, url: &str, payload: Payload, options: &Options) -> Result<Report> {
    let start = Instant::now();
    let bytes = payload.size();
    let mut call = Call { method, url: Url::parse(url)?, headers: Vec::new(), body: Some(payload), options };
    let answer = call.ask().await?;
    let status = answer.response.status();
    if !status.is_success() {
        return Err(call.refused(status));
    }
    Ok(Report { bytes, seconds: start.elapsed().as_secs_f64(), retries: 0 })
}
