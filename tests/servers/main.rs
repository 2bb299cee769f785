//! The servers against real clients: programs, firmware, and many at once.

mod async_tftp;
mod firmware;
#[path = "../harness/mod.rs"]
mod harness;
mod http;
mod tftp;

/// Bytes that repeat nowhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}
