//! A file of a server, read.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use super::super::packet::{Mode, Packet};
use super::link::{Agreed, Transfer};
use super::{Options, Report};
use crate::host::{Fault, Result};
use crate::kit::served::Upload;

/// Reads a file into `sink`, block after block.
///
/// # Errors
/// `tftp.missing`, `tftp.refused`, `tftp.timeout`, `tftp.server`, `tftp.error`; each names server and file. What the
/// sink has then is not the whole file.
pub async fn get(server: &str, file: &str, options: &Options, sink: &mut (dyn Write + Send)) -> Result<Report> {
    let start = Instant::now();
    let mut transfer = Transfer::new("get", server, file, options).await?;
    let request = Packet::Read { file: file.into(), mode: Mode::Octet, options: transfer.request_options(0) }.encode();
    transfer.send(&request).await?;
    // What is sent again after silence: the request, then the last acknowledgement.
    let mut last = request;
    let mut agreed: Option<Agreed> = None;
    let (mut bytes, mut block, mut since, mut silence) = (0u64, 0u16, 0u16, 0u32);
    let mut strayed = false;
    loop {
        enum Heard {
            Nothing,
            Options(Vec<(String, String)>),
            Block(u16, Vec<u8>),
            Other,
        }
        let heard = match transfer.hear().await? {
            None => Heard::Nothing,
            Some(Packet::Options(list)) => Heard::Options(list),
            Some(Packet::Data { block, data }) => Heard::Block(block, data.to_vec()),
            Some(_) => Heard::Other,
        };
        match heard {
            Heard::Other => continue,
            Heard::Nothing => {
                silence += 1;
                if silence > options.retries {
                    return Err(transfer.silent(bytes));
                }
                (since, strayed) = (0, false);
                transfer.send(&last).await?;
            }
            Heard::Options(list) if bytes == 0 && block == 0 => {
                let taken = transfer.agree(&list).await?;
                if let Some(size) = taken.size.filter(|size| *size > options.limit) {
                    let fault =
                        transfer.fault("tftp.limit", format_args!("it has {size} bytes, more than {}", options.limit));
                    return Err(transfer.give_up(fault).await);
                }
                agreed = Some(taken);
                last = Packet::Ack { block: 0 }.encode();
                transfer.send(&last).await?;
            }
            Heard::Options(_) => {}
            Heard::Block(number, data) => {
                let taken = agreed.get_or_insert(Agreed { blksize: 512, windowsize: 1, size: None });
                let (blksize, windowsize) = (taken.blksize, taken.windowsize);
                if number != block.wrapping_add(1) {
                    // A gap, or an old one: said once, then the server goes back to what is missing (RFC 7440, 4).
                    if !strayed {
                        strayed = true;
                        since = 0;
                        transfer.send(&last).await?;
                    }
                    continue;
                }
                if data.len() > usize::from(blksize) {
                    return Err(transfer.fault("tftp.error", "the server sends larger blocks than agreed"));
                }
                (strayed, silence, block, since) = (false, 0, number, since + 1);
                bytes += data.len() as u64;
                if bytes > options.limit {
                    let fault = transfer.fault("tftp.limit", format_args!("it has more than {} bytes", options.limit));
                    return Err(transfer.give_up(fault).await);
                }
                if let Err(error) = sink.write_all(&data) {
                    let fault = transfer.fault("tftp.write", error);
                    return Err(transfer.give_up(fault).await);
                }
                let end = data.len() < usize::from(blksize);
                // Also what is said after a silence: from here on, please.
                last = Packet::Ack { block }.encode();
                if end || since >= windowsize {
                    since = 0;
                    transfer.send(&last).await?;
                }
                if end {
                    let said = agreed.as_ref().and_then(|agreed| agreed.size).filter(|said| ![0, bytes].contains(said));
                    if let Some(said) = said {
                        let why = format!("it ended after {bytes} of {said} bytes");
                        return Err(transfer.fault("tftp.error", why));
                    }
                    return Ok(Report { bytes, seconds: start.elapsed().as_secs_f64(), blksize, windowsize });
                }
            }
        }
    }
}

/// Reads a file into memory.
pub async fn get_bytes(server: &str, file: &str, options: &Options) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    get(server, file, options, &mut bytes).await?;
    Ok(bytes)
}

/// Reads a file to `to`, which appears whole or not at all.
pub async fn fetch(server: &str, file: &str, to: &Path, options: &Options) -> Result<Report> {
    let fail = |error| Fault::io("tftp.write", format_args!("write `{}`", to.display()), error);
    let mut out = std::io::BufWriter::new(Part(Upload::at(to, u64::MAX).map_err(fail)?));
    let report = get(server, file, options, &mut out).await?;
    out.into_inner().map_err(|error| fail(error.into_error()))?.0.finish().map_err(fail)?;
    Ok(report)
}

struct Part(Upload);

impl Write for Part {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.write(data).map(|()| data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
