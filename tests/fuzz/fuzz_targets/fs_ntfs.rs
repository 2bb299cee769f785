//! Volumes that claim to be NTFS: `fs::ntfs_bytes`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Behind a good first sector, where there is something to read.
    let mut volume = data.to_vec();
    if volume.len() > 512 && volume[0] & 1 == 0 {
        volume[3..11].copy_from_slice(b"NTFS    ");
        volume[11..14].copy_from_slice(&[0, 2, 1]);
        volume[64] = 0xf6;
        volume[68] = 0xf4;
    }
    let _ = kar::kit::fs::ntfs_bytes(&volume);
});
