//! What alerts say about the clients that asked: how many, a keyed hash of each, or who.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// Fewest bytes of a key: fewer are guessed.
pub const CLIENT_KEY_OCTETS_MIN: usize = 16;

/// Bytes of a hash that are written: too many to meet by chance, few enough for a line.
const HASH_OCTETS: usize = 16;

/// What alerts say about clients beside their number.
#[derive(Clone, Copy, Debug)]
pub enum Clients<'a> {
    /// Nothing.
    Count,
    /// A keyed hash of the address of each that asked last: the same client has the same hash
    /// while the key is the same.
    Hmac(&'a ClientKey),
    /// The addresses themselves.
    List,
}

impl Clients<'_> {
    /// The setting as a word, if clients are listed at all.
    pub(crate) const fn mode(self) -> Option<&'static str> {
        match self {
            Self::Count => None,
            Self::Hmac(_) => Some("hmac"),
            Self::List => Some("list"),
        }
    }

    /// A client as this setting lets it be written.
    pub(crate) fn shown(self, client: IpAddr) -> Option<String> {
        match self {
            Self::Count => None,
            Self::Hmac(key) => Some(key.hash(client)),
            Self::List => Some(client.to_string()),
        }
    }
}

/// A key that addresses of clients are hashed with. Never printed.
#[derive(Clone)]
pub struct ClientKey(Hmac<Sha256>);

impl ClientKey {
    /// A key of at least [`CLIENT_KEY_OCTETS_MIN`] bytes; `None` for a shorter one.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        if key.len() < CLIENT_KEY_OCTETS_MIN {
            return None;
        }
        // HMAC takes keys of any length (RFC 2104).
        Hmac::new_from_slice(key).ok().map(Self)
    }

    /// The first 32 hexadecimal digits of HMAC-SHA-256 over the address as text.
    #[must_use]
    pub fn hash(&self, client: IpAddr) -> String {
        let mut mac = self.0.clone();
        mac.update(client.to_string().as_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().take(HASH_OCTETS).fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        })
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_documented_one() {
        // printf 10.0.0.7 | openssl dgst -sha256 -hmac 0123456789abcdef
        let key = ClientKey::new(b"0123456789abcdef").expect("a key");
        let client: IpAddr = "10.0.0.7".parse().expect("an address");
        assert_eq!(key.hash(client), "9477c36042c988be3bcd4dfa9c943753");
        let client: IpAddr = "2001:db8::7".parse().expect("an address");
        assert_eq!(key.hash(client), "1bbbd13901bae3e1c2f73bdb8a2aed5b");
        let other = ClientKey::new(b"0123456789abcdeg").expect("a key");
        assert_ne!(key.hash(client), other.hash(client));
        assert!(ClientKey::new(b"0123456789abcde").is_none());
        assert_eq!(format!("{key:?}"), "ClientKey(..)");
    }
}
