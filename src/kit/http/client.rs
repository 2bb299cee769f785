//! One request to a server, redirects followed.

use std::path::PathBuf;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderName};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Moving;
use super::content::Content;
use super::tls::connector;
use super::url::Url;
use crate::host::{Fault, Result};
use crate::kit::served::Body;

/// As many redirects are followed.
const REDIRECTS: usize = 5;

#[derive(Debug, Clone)]
pub struct Options {
    /// How long nothing may happen: while connecting, before an answer, in the middle of a body.
    pub timeout: Duration,
    /// How often in all it is tried anew after a connection that failed or broke off.
    pub retries: u32,
    /// The longest file taken, bytes.
    pub limit: u64,
    /// Certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Sent along: name and value.
    pub headers: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Options { timeout: Duration::from_secs(30), retries: 3, limit: u64::MAX, ca: None, headers: Vec::new() }
    }
}

/// What a client sends.
pub type Payload = Body;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Put,
    Post,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
        }
    }
}

/// A request to be made; what it is about stands in every fault.
pub(super) struct Call<'a> {
    pub method: Method,
    pub url: Url,
    /// Beside those of the options.
    pub headers: Vec<(HeaderName, String)>,
    pub body: Option<Body>,
    pub options: &'a Options,
}

/// A response whose body is still to come. The connection ends with it.
pub(super) struct Answer {
    pub response: Response<Incoming>,
    _connection: Ending,
}

struct Ending(tokio::task::JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Call<'_> {
    pub fn fault(&self, kind: &'static str, why: impl std::fmt::Display) -> Fault {
        let verb = self.method.name().to_lowercase();
        Fault::new(kind, format!("cannot {verb} {}: {why}", self.url))
    }

    pub fn silent(&self) -> Fault {
        self.fault("http.timeout", format_args!("nothing came for {:?}", self.options.timeout))
            .hint("`timeout` says how long a silence may be")
    }

    /// Goes where redirects lead, and returns what is no redirect.
    pub async fn ask(&mut self) -> Result<Answer> {
        for _ in 0..=REDIRECTS {
            let answer = self.once().await?;
            let response = &answer.response;
            let location = match response.status() {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => self.method == Method::Get,
                _ => false,
            };
            let Some(location) = response.headers().get(header::LOCATION).filter(|_| location) else {
                return Ok(answer);
            };
            let location = location.to_str().map_err(|_| self.fault("http.redirect", "it leads to no address"))?;
            self.url = self.url.follow(location)?;
        }
        Err(self.fault("http.redirect", format_args!("more than {REDIRECTS} redirects in a row")))
    }

    async fn once(&self) -> Result<Answer> {
        let stream = self.connect().await?;
        if !self.url.tls {
            return self.exchange(stream).await;
        }
        let connector = connector(self.options.ca.as_deref())?;
        let name = ServerName::try_from(self.url.host.clone()).map_err(|error| self.fault("http.url", error))?;
        let shaken = timeout(self.options.timeout, connector.connect(name, stream)).await.map_err(|_| self.silent())?;
        let stream = shaken.map_err(|error| {
            let fault = self.fault("http.tls", error);
            fault.hint("`ca` names a file with the server's certificate, or with the authority that signed it")
        })?;
        self.exchange(stream).await
    }

    async fn connect(&self) -> Result<Moving<TcpStream>> {
        let fail = |error: std::io::Error| self.fault("http.connect", error);
        let address = (self.url.host.as_str(), self.url.port);
        let found = timeout(self.options.timeout, tokio::net::lookup_host(address)).await;
        let mut last = None;
        for address in found.map_err(|_| self.silent())?.map_err(fail)? {
            match timeout(self.options.timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(Moving::new(stream, self.options.timeout));
                }
                Ok(Err(error)) => last = Some(fail(error)),
                Err(_) => last = Some(self.silent()),
            }
        }
        Err(last.unwrap_or_else(|| self.fault("http.connect", "the host has no address")))
    }

    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Answer> {
        let broken = |error: hyper::Error| self.fault("http.broken", error);
        let mut builder = http1::Builder::new();
        // A hostile server's head is bounded too.
        builder.max_headers(128).max_buf_size(512 << 10);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let task = Ending(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(self.method.name()).uri(&self.url.path);
        request = request.header(header::HOST, self.url.authority());
        request = request.header(header::USER_AGENT, concat!("kar/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in &self.options.headers {
            request = request.header(name, value);
        }
        let content = match &self.body {
            Some(body) => Content::whole(body.clone()),
            None => Content::text(""),
        };
        if self.body.is_some() {
            request = request.header(header::CONTENT_LENGTH, content.length());
        }
        let request = request.body(content).map_err(|error| self.fault("http.option", error))?;
        // A long body takes its time; each of its writes is bounded by the stream itself.
        let answer = match self.body {
            Some(_) => sender.send_request(request).await,
            None => timeout(self.options.timeout, sender.send_request(request)).await.map_err(|_| self.silent())?,
        };
        Ok(Answer { response: answer.map_err(broken)?, _connection: task })
    }

    /// The fault of a response that is no success.
    pub fn refused(&self, status: StatusCode) -> Fault {
        let kind = match status.as_u16() {
            404 | 410 => "http.missing",
            401 | 403 | 405 => "http.refused",
            413 | 507 => "http.full",
            502..=504 => "http.busy",
            _ => "http.status",
        };
        let reason = status.canonical_reason().unwrap_or("no reason given");
        self.fault(kind, format_args!("the server says {} {reason}", status.as_u16()))
    }
}
