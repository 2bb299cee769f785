//! Files that clients send.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{StatusCode, header};

use super::respond::{Response, blocking, plain, refuse};
use super::server::Shared;
use crate::kit::served::{Reason, Refusal, Request, Tally, Upload};

/// Gathered before a write, bytes.
const BLOCK: usize = 1 << 20;

pub(super) async fn store(request: hyper::Request<Incoming>, asked: Request, shared: &Arc<Shared>) -> Response {
    if request.headers().contains_key(header::CONTENT_RANGE) {
        return closing(plain(StatusCode::BAD_REQUEST, "a part of a file is not taken\n"));
    }
    let (rules, question) = (shared.clone(), asked.clone());
    let place = tokio::task::spawn_blocking(move || rules.rules.write(&question)).await;
    let upload = match place.unwrap_or_else(|error| Err(Refusal::new(Reason::Failed, error.to_string()))) {
        Ok(upload) => upload,
        Err(refusal) => return closing(refuse("put", &asked, &refusal, shared)),
    };
    let mut tally = Tally::start("put", &asked, &shared.events);
    match take(request.into_body(), upload, &mut tally, shared).await {
        Ok(()) => {
            tally.finish();
            plain(StatusCode::CREATED, "")
        }
        Err(error) => {
            tally.why(&error);
            drop(tally);
            let full = matches!(error.kind(), ErrorKind::FileTooLarge);
            closing(match error.kind() {
                _ if full => plain(StatusCode::PAYLOAD_TOO_LARGE, "too large\n"),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    plain(StatusCode::INSUFFICIENT_STORAGE, "no room\n")
                }
                ErrorKind::TimedOut => plain(StatusCode::REQUEST_TIMEOUT, "nothing came any more\n"),
                ErrorKind::UnexpectedEof => plain(StatusCode::BAD_REQUEST, "the file is not whole\n"),
                _ => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot store it\n"),
            })
        }
    }
}

/// The rest of a body that is not wanted is not read.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

async fn take(mut body: Incoming, mut upload: Upload, tally: &mut Tally, shared: &Shared) -> Result<(), Error> {
    let mut gathered: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::time::timeout(shared.stall, body.frame()).await;
        let frame = frame.map_err(|_| Error::new(ErrorKind::TimedOut, "nothing came any more"))?;
        let last = frame.is_none();
        if let Some(frame) = frame {
            let frame = frame.map_err(|error| Error::new(ErrorKind::UnexpectedEof, error))?;
            let Ok(data) = frame.into_data() else { continue };
            tally.add(data.len() as u64);
            gathered.extend_from_slice(&data);
        }
        if last || gathered.len() >= BLOCK {
            (upload, gathered) = blocking(move || {
                upload.write(&gathered)?;
                gathered.clear();
                Ok((upload, gathered))
            })
            .await?;
        }
        if last {
            return blocking(move || upload.finish()).await.map(drop);
        }
    }
}
