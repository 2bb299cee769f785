//! What the headers say of a member, checked.

use std::io::BufRead;

use super::header::{self, Block};
use super::pax::Pax;
use super::reader::{Reader, damaged, truncated};
use super::sparse::{self, MapReader};
use super::{BLOCK, Entry, Kind, acl, number};
use crate::host::Result;
use crate::kit::tree::show;

impl<R: BufRead> Reader<R> {
    /// Reads what a header and its records say, and the map of a sparse file, up to where the data begins. `at`: the
    /// offset of the header.
    pub(super) fn member(&mut self, block: &Block, size: u64, pax: Pax, at: u64) -> Result<Entry> {
        let bad = |why: String| damaged(at, why);
        let flag = block[header::TYPE];
        let path = pax.sparse_name.or(pax.path).unwrap_or_else(|| header::path(block));
        if path.is_empty() || path.contains(&0) {
            return Err(bad("a member has no name that a file can have".to_string()));
        }
        let mut kind = match flag {
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => Kind::File,
        };
        if kind == Kind::File && path.ends_with(b"/") {
            kind = Kind::Directory;
        }
        if kind == Kind::File && !matches!(flag, 0 | b'0' | b'7' | b'S') {
            let flag = flag.escape_ascii();
            self.warnings.push(format!("`{}` is of the unknown type `{flag}`: unpacked as a file", show(&path)));
        }
        for warning in &pax.warnings {
            self.warnings.push(format!("`{}`: {warning}", show(&path)));
        }
        let field = |range| number::read(&block[range]).and_then(|number| u64::try_from(number).ok());
        // u32::MAX means "leave it" to chown.
        let id = |what: &str, record: Option<u64>, range| match record.or_else(|| field(range)).map(u32::try_from) {
            Some(Ok(id)) if id < u32::MAX => Ok(id),
            _ => Err(bad(format!("the {what} of `{}` is not a number that a system has", show(&path)))),
        };
        let mut entry = Entry::new(path.clone(), kind);
        entry.uid = id("owner", pax.uid, header::UID)?;
        entry.gid = id("group", pax.gid, header::GID)?;
        let mode = field(header::MODE).ok_or_else(|| bad(format!("the mode of `{}` is not a number", show(&path))))?;
        entry.mode = mode as u32 & 0o7777;
        let mtime = pax.mtime.or_else(|| number::read(&block[header::MTIME]).map(|seconds| (seconds, 0)));
        entry.mtime = mtime.ok_or_else(|| bad(format!("the time of `{}` is not a number", show(&path))))?;
        if matches!(kind, Kind::HardLink | Kind::Symlink) {
            entry.target = pax.target.unwrap_or_else(|| header::text(&block[header::LINK]).to_vec());
            if entry.target.is_empty() || entry.target.contains(&0) {
                return Err(bad(format!("the link `{}` has no target", show(&path))));
            }
        }
        if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
            let in_header = |range| if header::has_devices(block) { field(range) } else { None };
            let pair =
                pax.major.or_else(|| in_header(header::MAJOR)).zip(pax.minor.or_else(|| in_header(header::MINOR)));
            let known = pair.filter(|(major, minor)| *major < 1 << 12 && *minor < 1 << 20);
            entry.device = known.ok_or_else(|| bad(format!("the device `{}` has no numbers", show(&path))))?;
        }
        entry.xattrs = pax.xattrs;
        // The owner's, group's and others' rights are in the mode; ACLs come behind, in the kernel's order.
        entry.xattrs.sort_by_key(|(name, _)| (name == acl::ACCESS || name == acl::DEFAULT, name.clone()));
        // Links and nodes may say a size, but have no data.
        let has_data = kind == Kind::File || matches!(flag, b'D') || (kind == Kind::Directory && flag != b'5');
        self.set_data(if has_data { pax.size.unwrap_or(size) } else { 0 });
        if kind == Kind::File {
            entry.size = self.left;
            let extents = match (flag, pax.sparse_major, pax.sparse_map) {
                (b'S', _, _) => Some(self.old_sparse(block, &mut entry.size, at)?),
                (_, Some(1), _) => Some(self.sparse_map(at)?),
                (_, _, Some(map)) => Some(map),
                _ => None,
            };
            if let Some(extents) = extents {
                if flag != b'S' {
                    entry.size = pax.sparse_size.ok_or_else(|| bad("a sparse file has no size".to_string()))?;
                }
                sparse::check(&extents, entry.size, self.left).map_err(bad)?;
                entry.extents = Some(extents);
            }
        }
        Ok(entry)
    }

    fn old_sparse(&mut self, block: &Block, size: &mut u64, at: u64) -> Result<Vec<(u64, u64)>> {
        let mut extents = Vec::new();
        let (real, mut more) = sparse::old_header(block, &mut extents).map_err(|why| damaged(at, why))?;
        *size = real;
        while more {
            let mut block = [0; BLOCK];
            if self.fill(&mut block)? < BLOCK {
                return Err(truncated(self.offset, "the archive ends within a sparse map"));
            }
            more = sparse::old_extension(&block, &mut extents).map_err(|why| damaged(at, why))?;
        }
        Ok(extents)
    }

    fn sparse_map(&mut self, at: u64) -> Result<Vec<(u64, u64)>> {
        let mut reader = MapReader::default();
        loop {
            if self.left < BLOCK as u64 {
                return Err(damaged(at, "a sparse map is longer than its file".to_string()));
            }
            let mut map = Ok(None);
            let mut block = Vec::with_capacity(BLOCK);
            self.data(BLOCK as u64, |chunk| {
                block.extend_from_slice(chunk);
                Ok(())
            })?;
            if block.len() == BLOCK {
                map = reader.push(&block);
            }
            if let Some(map) = map.map_err(|why| damaged(at, why))? {
                return Ok(map);
            }
        }
    }
}
