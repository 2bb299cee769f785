//! Archives made byte by byte, as nobody well-meaning would.

/// A ustar header with its checksum.
pub fn header(path: &str, kind: u8, size: u64, target: &str) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    seal(&mut block);
    block
}

pub fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A member with data.
pub fn member(path: &str, kind: u8, target: &str, data: &[u8]) -> Vec<u8> {
    let mut out = header(path, kind, data.len() as u64, target).to_vec();
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub fn file(path: &str, data: &str) -> Vec<u8> {
    member(path, b'0', "", data.as_bytes())
}

pub fn link(kind: u8, path: &str, target: &str) -> Vec<u8> {
    member(path, kind, target, b"")
}

pub fn directory(path: &str) -> Vec<u8> {
    member(path, b'5', "", b"")
}

/// An extended header with these records.
pub fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|length| rest + length.to_string().len() == *length).unwrap();
        data.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    member("PaxHeaders/x", kind, "", &data)
}

pub fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = members.concat();
    archive.resize(archive.len() + 1024, 0);
    archive
}
