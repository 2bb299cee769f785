//! Who knows the token: challenge and response with BLAKE3's keyed hash. The token itself never travels.

use crate::host::{Fault, Result};

/// A key made of the session's token, and whether connections are to be sealed with it. Without a token everybody has the
/// same one.
#[derive(Clone)]
pub struct Secret {
    key: [u8; 32],
    encrypt: bool,
}

impl Secret {
    pub fn new(token: Option<&str>) -> Self {
        let key = blake3::derive_key("kar chain session token, version 1", token.unwrap_or("").as_bytes());
        Secret { key, encrypt: false }
    }

    /// The same, for connections that are encrypted or not.
    ///
    /// # Errors
    /// `chain.option`: encryption without a token, with which everybody would have the key.
    pub fn for_session(token: Option<&str>, encrypt: bool) -> Result<Self> {
        if encrypt && token.is_none_or(str::is_empty) {
            let text = "`encrypt: true` without a `token`: the key is made of it, and everybody would have it";
            return Err(
                Fault::new("chain.option", text).hint("`token: \"..\"`, the same on the server and on the nodes")
            );
        }
        Ok(Secret { encrypt, ..Secret::new(token) })
    }

    /// The key under which connections are sealed, where they are.
    pub fn sealing(&self) -> Option<[u8; 32]> {
        self.encrypt.then(|| blake3::derive_key("kar chain sealed connection, version 1", &self.key))
    }

    /// The key of one link: who proves it knows both the token and what the server's plan told this pair of nodes.
    pub fn link(&self, key: &str) -> Self {
        Secret { key: *blake3::keyed_hash(&self.key, key.as_bytes()).as_bytes(), ..*self }
    }

    fn hash(&self, side: Side, connector: &str, acceptor: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for word in [side.word(), connector, acceptor] {
            hasher.update(&(word.len() as u64).to_be_bytes());
            hasher.update(word.as_bytes());
        }
        hasher.finalize()
    }

    /// The proof of one side, over the nonces of both.
    pub fn proof(&self, side: Side, connector: &str, acceptor: &str) -> String {
        self.hash(side, connector, acceptor).to_hex().to_string()
    }

    /// Compares in constant time.
    pub fn fits(&self, side: Side, connector: &str, acceptor: &str, proof: &str) -> bool {
        blake3::Hash::from_hex(proof).is_ok_and(|proof| proof == self.hash(side, connector, acceptor))
    }
}

/// Whose proof it is: one side's cannot be sent back as the other's.
#[derive(Clone, Copy)]
pub enum Side {
    Connector,
    Acceptor,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Side::Connector => "connector",
            Side::Acceptor => "acceptor",
        }
    }
}

/// 122 random bits, as a text.
pub fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fits_only_its_token_side_and_nonces() {
        let secret = Secret::new(Some("sesame"));
        let proof = secret.proof(Side::Connector, "a", "b");
        assert!(secret.fits(Side::Connector, "a", "b", &proof));
        assert!(!secret.fits(Side::Acceptor, "a", "b", &proof));
        assert!(!secret.fits(Side::Connector, "a", "c", &proof));
        assert!(!secret.fits(Side::Connector, "", "ab", &proof));
        assert!(!secret.link("k").fits(Side::Connector, "a", "b", &proof));
        assert!(!Secret::new(None).fits(Side::Connector, "a", "b", &proof));
        assert!(!secret.fits(Side::Connector, "a", "b", "not hex"));
    }

    #[test]
    fn encryption_takes_a_token() {
        for none in [None, Some("")] {
            assert_eq!(Secret::for_session(none, true).err().unwrap().kind, "chain.option");
            assert!(Secret::for_session(none, false).unwrap().sealing().is_none());
        }
        let secret = Secret::for_session(Some("sesame"), true).unwrap();
        assert!(secret.sealing().is_some() && secret.sealing() != secret.link("k").sealing());
    }
}
