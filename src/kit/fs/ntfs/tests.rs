//! The parts that no program of ntfs-3g can be made to write; the rest is held against real volumes in tests/windows.

use super::field::unfixed;
use super::state::closed;

/// A restart page of `$LogFile` as Windows writes it.
fn page(number: u64, in_use: u16, flags: u16) -> Vec<u8> {
    let mut page = vec![0u8; 4096];
    page[..4].copy_from_slice(b"RSTR");
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(4, &30u16.to_le_bytes());
    put(6, &9u16.to_le_bytes());
    put(16, &4096u32.to_le_bytes());
    put(20, &4096u32.to_le_bytes());
    put(24, &48u16.to_le_bytes());
    put(48, &number.to_le_bytes());
    put(48 + 12, &in_use.to_le_bytes());
    put(48 + 14, &flags.to_le_bytes());
    // The mark, and what stood in its places.
    put(30, &7u16.to_le_bytes());
    for sector in 1..=8 {
        put(sector * 512 - 2, &7u16.to_le_bytes());
    }
    page
}

#[test]
fn the_newer_restart_page_says_whether_the_log_is_closed() {
    let (nobody, windows) = (0xffff, 0);
    assert!(closed([page(5, nobody, 0), page(4, windows, 0)]));
    assert!(!closed([page(5, nobody, 0), page(6, windows, 0)]));
    assert!(closed([page(5, windows, 2), page(4, windows, 0)]));
    assert!(closed([vec![0xff; 4096], vec![0xff; 4096]]), "emptied");
    assert!(closed([page(5, nobody, 0), vec![0; 4096]]));
    assert!(!closed([vec![0; 4096], vec![0; 4096]]), "nothing to go by");
}

#[test]
fn a_page_that_was_written_in_part_does_not_count() {
    let mut torn = page(9, 0xffff, 2);
    torn[1022] ^= 1;
    assert!(unfixed(b"RSTR", torn.clone()).is_none());
    assert!(!closed([torn, page(8, 0, 0)]));
}
