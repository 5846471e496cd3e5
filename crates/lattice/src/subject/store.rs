//! Names in JetStream: KV buckets and keys of lattice state and of revocations, the bucket and objects of large payloads.
//!
//! Knows no values. Invariant: a key of our own parses back; keys of other makers are `None`, never an error, because
//! every host watches the whole bucket.

use claims::PublicKey;
use data_encoding::{BASE64URL, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::{LatticeId, LinkId};

/// The KV bucket of links and claims.
#[must_use]
pub fn lattice_bucket(lattice: &LatticeId) -> String {
    format!("LATTICEDATA_{lattice}")
}

/// The KV bucket of configuration data.
#[must_use]
pub fn config_bucket(lattice: &LatticeId) -> String {
    format!("CONFIGDATA_{lattice}")
}

/// The KV bucket of revocation lists. Ours; hosts of others never open it.
#[must_use]
pub fn revocation_bucket(lattice: &LatticeId) -> String {
    format!("REVOCATIONS_{lattice}")
}

/// The key of a revocation list in [`revocation_bucket`]: who signed it and the SHA-256 of the signed token, which is
/// the value. One list never stands in another's place, so writers cannot cross. It is not parsed: the value says
/// everything, and is believed only under the key that it renders to.
#[must_use]
pub fn revocation_key(signer: &PublicKey, token: &str) -> String {
    format!("{signer}_{}", HEXLOWER.encode(&Sha256::digest(token)))
}

/// What the keys of ownership records in [`revocation_bucket`] begin with.
const OWNER: &str = "OWNER_";

/// The key of an ownership record in [`revocation_bucket`]: what is owned, and the cluster key that signed the record,
/// which is the value.
#[must_use]
pub fn owner_key(subject: &PublicKey, signer: &PublicKey) -> String {
    format!("{OWNER}{subject}_{signer}")
}

/// What an [`owner_key`] is about.
#[must_use]
pub fn owned_by_key(key: &str) -> Option<PublicKey> {
    key.strip_prefix(OWNER)?.split_once('_')?.0.parse().ok()
}

/// Whether a key of [`revocation_bucket`] is that of an ownership record.
#[must_use]
pub fn is_owner_key(key: &str) -> bool {
    key.starts_with(OWNER)
}

/// The object-store bucket of payloads that are too large for a message.
#[must_use]
pub fn object_bucket(lattice: &LatticeId) -> String {
    lattice.to_string()
}

/// The JetStream stream behind [`object_bucket`].
#[must_use]
pub fn object_stream(lattice: &LatticeId) -> String {
    format!("OBJ_{}", object_bucket(lattice))
}

/// The subject of an object's metadata in [`object_stream`], which stays as a marker when the object is deleted.
#[must_use]
pub fn object_metadata(lattice: &LatticeId, object: &str) -> String {
    format!("$O.{}.M.{}", object_bucket(lattice), BASE64URL.encode(object.as_bytes()))
}

/// The object that holds the payload of a request.
#[must_use]
pub fn request_object(invocation_id: &str) -> &str {
    invocation_id
}

/// The object that holds the payload of a response.
#[must_use]
pub fn response_object(invocation_id: &str) -> String {
    format!("{invocation_id}-r")
}

/// A key of [`lattice_bucket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LatticeKey {
    /// A link.
    Link(LinkId),
    /// The claims of an actor or provider.
    Claims(PublicKey),
}

impl LatticeKey {
    /// Renders the key.
    #[must_use]
    pub fn render(&self) -> String {
        match self {
            Self::Link(id) => format!("LINKDEF_{id}"),
            Self::Claims(key) => format!("CLAIMS_{key}"),
        }
    }

    /// Reads a key; `None` for kinds that mean nothing to us (older hosts wrote `REFMAP_…`) and malformed ids.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        match key.split_once('_')? {
            ("LINKDEF", id) => id.parse().ok().map(Self::Link),
            ("CLAIMS", key) => key.parse().ok().map(Self::Claims),
            _ => None,
        }
    }
}

/// A key of [`config_bucket`].
#[must_use]
pub fn config_key(entity: &PublicKey, key: &str) -> String {
    format!("{entity}_{key}")
}

/// The entity and entry name in a key of [`config_bucket`].
#[must_use]
pub fn parse_config_key(key: &str) -> Option<(PublicKey, &str)> {
    let (entity, key) = key.split_once('_')?;
    Some((entity.parse().ok()?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_store_of_a_lattice_is_named_as_jetstream_names_it() {
        let lattice = LatticeId::default();
        assert_eq!(object_stream(&lattice), "OBJ_default");
        assert_eq!(object_metadata(&lattice, "a-r"), "$O.default.M.YS1y");
    }
}
