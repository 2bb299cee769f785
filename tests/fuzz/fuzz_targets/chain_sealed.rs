//! Encrypted connections: bytes of a stranger open nothing; what was changed on the way never gives other bytes than were sent.
#![no_main]

use std::time::Duration;

use kar::kit::chain::channel::{Reader, Writer};
use kar::kit::chain::seal::{accept, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const KEY: [u8; 32] = [7; 32];
const LIMIT: Duration = Duration::from_secs(5);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut near, mut far) = duplex(1 << 20);
        let _ = near.write_all(&data[..data.len().min(1 << 19)]).await;
        near.shutdown().await.unwrap();
        assert!(accept(&mut far, &KEY, LIMIT).await.is_err(), "whoever has no key has no word");

        let (mut near, mut far) = duplex(1 << 12);
        let (here, there) = tokio::join!(connect(&mut near, &KEY, LIMIT), accept(&mut far, &KEY, LIMIT));
        let (Ok((sealing, opening)), Ok((_, far_opening))) = (here, there) else { panic!("both have the key") };
        let mut nothing = Vec::new();
        let _ = Reader::new(data, Some(opening)).read_to_end(&mut nothing).await;
        assert!(nothing.is_empty(), "records that nobody sealed");

        let Some((place, sent)) = data.split_first_chunk::<3>() else { return };
        let mut wire = std::io::Cursor::new(Vec::new());
        let mut writer = Writer::new(&mut wire, Some(sealing));
        for piece in sent.chunks(usize::from(place[2]) + 1) {
            writer.write_all(piece).await.unwrap();
        }
        let mut wire = wire.into_inner();
        let at = usize::from(u16::from_be_bytes([place[0], place[1]]));
        let touched = wire.get_mut(at).map(|byte| *byte ^= place[2] | 1).is_some();
        let mut come = Vec::new();
        let end = Reader::new(&wire[..], Some(far_opening)).read_to_end(&mut come).await;
        assert!(sent.starts_with(&come) && end.is_err() == touched && (touched || come == sent));
    });
});
