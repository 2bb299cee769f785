//! POSIX ACLs: the text that archives carry, and the form in which the kernel keeps them as extended attributes
//! (`linux/posix_acl_xattr.h`): version 2, then tag, permissions and id of each entry.

use nix::unistd::{Group, User};

pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

/// `user::rw-,user:5:r--,group::r--,mask::r--,other::r--`, ids as numbers; `None`: not the kernel's form.
pub(super) fn to_text(xattr: &[u8]) -> Option<String> {
    let entries = xattr.strip_prefix(&VERSION.to_le_bytes())?;
    if entries.is_empty() || entries.len() % 8 != 0 {
        return None;
    }
    let mut parts = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let bits = entry[2];
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let who = match tag {
            USER_OBJ => "user:".to_string(),
            USER => format!("user:{id}"),
            GROUP_OBJ => "group:".to_string(),
            GROUP => format!("group:{id}"),
            MASK => "mask:".to_string(),
            OTHER => "other:".to_string(),
            _ => return None,
        };
        let letter = |bit: u8, letter: char| if bits & bit != 0 { letter } else { '-' };
        parts.push(format!("{who}:{}{}{}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x')));
    }
    Some(parts.join(","))
}

/// Reads the text as GNU tar, star and libarchive write it: entries apart by commas or newlines, names or numbers,
/// with libarchive's and star's number behind. `Err`: what is wrong with it.
pub(super) fn from_text(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "an ACL is not text".to_string())?;
    let mut entries = Vec::new();
    for part in text.split([',', '\n']) {
        let part = part.split('#').next().unwrap_or("").trim();
        if !part.is_empty() {
            entries.push(entry(part)?);
        }
    }
    if entries.is_empty() {
        return Err("an ACL has no entries".to_string());
    }
    entries.sort_unstable();
    let mut xattr = VERSION.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        xattr.extend_from_slice(&tag.to_le_bytes());
        xattr.extend_from_slice(&bits.to_le_bytes());
        xattr.extend_from_slice(&id.to_le_bytes());
    }
    Ok(xattr)
}

fn entry(part: &str) -> Result<(u16, u32, u16), String> {
    let bad = || format!("the ACL entry `{}` cannot be read", part.escape_default());
    let mut fields: Vec<&str> = part.split(':').map(str::trim).collect();
    if matches!(fields[0], "default" | "d") {
        fields.remove(0);
    }
    let class = *fields.first().ok_or_else(bad)?;
    // Solaris leaves out the empty name of these two.
    if fields.len() == 2 && matches!(class, "mask" | "m" | "other" | "o") {
        fields.insert(1, "");
    }
    let [_, name, permissions, rest @ ..] = &fields[..] else { return Err(bad()) };
    let bits = bits(permissions).ok_or_else(bad)?;
    let id = || -> Result<u32, String> {
        let number = rest.first().and_then(|id| id.parse().ok()).or_else(|| name.parse().ok());
        number
            .or_else(|| lookup(class, name))
            .ok_or_else(|| format!("the ACL names `{}`, unknown here", name.escape_default()))
    };
    match (class, name.is_empty()) {
        ("user" | "u", true) => Ok((USER_OBJ, NO_ID, bits)),
        ("user" | "u", false) => Ok((USER, id()?, bits)),
        ("group" | "g", true) => Ok((GROUP_OBJ, NO_ID, bits)),
        ("group" | "g", false) => Ok((GROUP, id()?, bits)),
        ("mask" | "m", true) => Ok((MASK, NO_ID, bits)),
        ("other" | "o", true) => Ok((OTHER, NO_ID, bits)),
        _ => Err(bad()),
    }
}

fn bits(permissions: &str) -> Option<u16> {
    permissions.bytes().try_fold(0, |bits, letter| match letter {
        b'r' => Some(bits | 4),
        b'w' => Some(bits | 2),
        b'x' => Some(bits | 1),
        b'-' => Some(bits),
        _ => None,
    })
}

fn lookup(class: &str, name: &str) -> Option<u32> {
    match class.starts_with('u') {
        true => User::from_name(name).ok()?.map(|user| user.uid.as_raw()),
        false => Group::from_name(name).ok()?.map(|group| group.gid.as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_dialects_mean_the_same() {
        let plain = "user::rw-,user:5:r--,group::r-x,group:3000000000:---,mask::r-x,other::---";
        let xattr = from_text(plain.as_bytes()).unwrap();
        assert_eq!(to_text(&xattr).unwrap(), plain);
        for same in [
            "user::rw-\ngroup::r-x\nmask::r-x\nother::---\nuser:5:r--\ngroup:3000000000:---\n",
            "user::rw-,group::r-x,mask:r-x,other:---,user:someone:r--:5,group:them:---:3000000000",
            "u::rw,default:u:5:r\t#effective:r--,g::rx,g:3000000000:-,m::rx,o::-",
        ] {
            assert_eq!(from_text(same.as_bytes()).unwrap(), xattr, "{same}");
        }
        assert_eq!(from_text(b"user:root:rwx").unwrap(), from_text(b"user:0:rwx").unwrap());
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        for text in ["", "user", "user:", "user::rwz", "mask:5:r--", "user:nobody-has-this-name:r--", "x::r", "\u{0}"] {
            assert!(from_text(text.as_bytes()).is_err(), "{text}");
        }
        for xattr in [&b""[..], &[2, 0, 0, 0], &[1, 0, 0, 0, 1, 0, 7, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 9]] {
            assert_eq!(to_text(xattr), None);
        }
    }
}
