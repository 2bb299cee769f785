//! Who knows the token: challenge and response with BLAKE3's keyed hash. The token itself never travels.

/// A key made of the session's token. Without a token everybody has the same one.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    pub fn new(token: Option<&str>) -> Self {
        Secret(blake3::derive_key("kar chain session token, version 1", token.unwrap_or("").as_bytes()))
    }

    /// The key of one link: who proves it knows both the token and what the server's plan told this pair of nodes.
    pub fn link(&self, key: &str) -> Self {
        Secret(*blake3::keyed_hash(&self.0, key.as_bytes()).as_bytes())
    }

    fn hash(&self, side: Side, connector: &str, acceptor: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
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
}
