//! Who belongs to a lattice: a word of a host's cluster key beside what the host tells about itself.
//!
//! Heartbeats, events and inventories are not signed in the protocol; hosts of ours send a signature over them in a
//! message header, which others ignore. Pure: bytes and keys. Invariant: a word holds for one lattice, one host and the
//! whole message, and is believed only of a trusted key.

use std::{collections::BTreeSet, str::FromStr};

use claims::{ClusterId, HostId, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::LatticeId;

/// Message header with the word of a cluster key: `{N…}.{C…}.{signature}`.
pub const MEMBER_HEADER: &str = "Lattice-Member";

const DOMAIN: &[u8] = b"lattice member v1\0";

/// The word of a cluster key that a message is one of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The host.
    pub host: HostId,
    /// The key.
    pub cluster: ClusterId,
    signature: [u8; 64],
}

/// The header is no [`Word`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header is not `{{host}}.{{cluster}}.{{signature}}`")]
pub struct NoWord;

impl Word {
    /// The header beside a message of `host`, which signs with this key.
    #[must_use]
    pub fn header(lattice: &LatticeId, host: &HostId, message: &[u8], cluster: &KeyPair) -> String {
        let signature = cluster.sign(&statement(lattice, host, message));
        format!("{host}.{}.{}", cluster.public(), BASE64URL_NOPAD.encode(&signature))
    }

    /// Whether the key is trusted and stands for this message. Costs a signature, unless the key is not trusted.
    #[must_use]
    pub fn holds(&self, lattice: &LatticeId, message: &[u8], trusted: &BTreeSet<ClusterId>) -> bool {
        let statement = || statement(lattice, &self.host, message);
        trusted.contains(&self.cluster) && self.cluster.public_key().verify(&statement(), &self.signature).is_ok()
    }
}

impl FromStr for Word {
    type Err = NoWord;

    /// Reads the header without believing it.
    fn from_str(header: &str) -> Result<Self, NoWord> {
        let mut parts = header.split('.');
        let mut part = || parts.next().ok_or(NoWord);
        let (host, cluster, signature) = (part()?, part()?, part()?);
        if parts.next().is_some() || signature.len() > 86 {
            return Err(NoWord);
        }
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| NoWord)?;
        Ok(Self {
            host: host.parse().map_err(|_| NoWord)?,
            cluster: cluster.parse().map_err(|_| NoWord)?,
            signature: signature.try_into().map_err(|_| NoWord)?,
        })
    }
}

fn statement(lattice: &LatticeId, host: &HostId, message: &[u8]) -> Vec<u8> {
    [DOMAIN, lattice.as_str().as_bytes(), &[0], host.as_str().as_bytes(), &Sha256::digest(message)].concat()
}

#[cfg(test)]
mod tests {
    use claims::KeyKind;

    use super::*;

    fn host() -> HostId {
        KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key")
    }

    #[test]
    fn a_word_holds_for_its_message_its_lattice_its_host_and_a_trusted_key() {
        let (ours, stranger) = (KeyPair::generate(KeyKind::Cluster), KeyPair::generate(KeyKind::Cluster));
        let id = ClusterId::try_from(ours.public()).expect("a cluster key");
        let (trusted, lattice) = (BTreeSet::from([id]), "here".parse::<LatticeId>().expect("a lattice"));
        let (one, elsewhere) = (host(), "there".parse().expect("a lattice"));
        let word = |key: &KeyPair| Word::header(&lattice, &one, b"message", key).parse::<Word>().expect("a word");
        let good = word(&ours);
        assert!(good.holds(&lattice, b"message", &trusted));
        assert!(!good.holds(&lattice, b"Message", &trusted));
        assert!(!good.holds(&elsewhere, b"message", &trusted));
        assert!(!Word { host: host(), ..good.clone() }.holds(&lattice, b"message", &trusted));
        assert!(!word(&stranger).holds(&lattice, b"message", &trusted));
        assert!(!Word { cluster: id, ..word(&stranger) }.holds(&lattice, b"message", &trusted));
        for bad in ["", ".", "..", &format!("{one}.{id}."), &format!("{one}.{id}.{}", "A".repeat(1 << 20))] {
            assert_eq!(bad.parse::<Word>(), Err(NoWord));
        }
    }
}
