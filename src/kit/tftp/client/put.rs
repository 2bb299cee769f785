//! A file, written to a server.

use std::collections::VecDeque;
use std::io::Read;
use std::time::Instant;

use super::super::packet::{Mode, Packet};
use super::link::{Agreed, Transfer};
use super::{Options, Report};
use crate::host::Result;

/// Writes `size` bytes of `source` to a server.
///
/// # Errors
/// As [`super::get`], and `tftp.full`.
pub async fn put(
    server: &str,
    file: &str,
    options: &Options,
    source: &mut (dyn Read + Send),
    size: u64,
) -> Result<Report> {
    let start = Instant::now();
    let mut transfer = Transfer::new("put", server, file, options).await?;
    let asked = transfer.request_options(size);
    let request = Packet::Write { file: file.into(), mode: Mode::Octet, options: asked }.encode();
    transfer.send(&request).await?;
    // The server's word on the request: what it takes of the options, or a plain acknowledgement.
    let mut silence = 0u32;
    let agreed = loop {
        match transfer.hear().await? {
            None => {
                silence += 1;
                if silence > options.retries {
                    return Err(transfer.silent(0));
                }
                transfer.send(&request).await?;
            }
            Some(Packet::Options(list)) => break transfer.agree(&list).await?,
            Some(Packet::Ack { block: 0 }) => break Agreed { blksize: 512, windowsize: 1, size: None },
            Some(_) => {}
        }
    };
    let (blksize, windowsize) = (agreed.blksize, agreed.windowsize);
    // Blocks that were sent and not acknowledged, the first of them numbered `taken` + 1.
    let (mut open, mut taken, mut bytes) = (VecDeque::<Vec<u8>>::new(), 0u16, 0u64);
    let (mut end, mut strayed) = (false, false);
    silence = 0;
    loop {
        while !end && open.len() < usize::from(windowsize) {
            let mut data = Vec::with_capacity(usize::from(blksize));
            if let Err(error) = (&mut *source).take(u64::from(blksize)).read_to_end(&mut data) {
                let fault = transfer.fault("tftp.read", error);
                return Err(transfer.give_up(fault).await);
            }
            bytes += data.len() as u64;
            end = data.len() < usize::from(blksize);
            let block = taken.wrapping_add(open.len() as u16 + 1);
            open.push_back(Packet::Data { block, data: &data }.encode());
            transfer.send(&open[open.len() - 1]).await?;
        }
        let again = match transfer.hear().await? {
            None => {
                silence += 1;
                if silence > options.retries {
                    return Err(transfer.silent(bytes));
                }
                strayed = false;
                true
            }
            Some(Packet::Ack { block }) => match usize::from(block.wrapping_sub(taken)) {
                // The first of the window was lost. Of single blocks an old acknowledgement: answered, it would double
                // every packet from here on.
                0 => windowsize > 1 && !std::mem::replace(&mut strayed, true),
                step if step <= open.len() => {
                    open.drain(..step);
                    (taken, silence, strayed) = (block, 0, false);
                    !open.is_empty()
                }
                _ => false,
            },
            Some(_) => false,
        };
        if end && open.is_empty() {
            return Ok(Report { bytes, seconds: start.elapsed().as_secs_f64(), blksize, windowsize });
        }
        if again {
            for packet in &open {
                transfer.send(packet).await?;
            }
        }
    }
}
