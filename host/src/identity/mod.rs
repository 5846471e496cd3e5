//! Who this host is, and what it says about itself under its keys.

pub mod keys;
mod labels;

use std::{collections::BTreeSet, time::Instant};

use bytes::Bytes;
use claims::{ClusterId, HostId, KeyPair, TokenError};
use lattice::{
    LatticeId,
    invocation::{Entity, Invocation},
    member::{MEMBER_HEADER, Word},
};

pub use self::keys::{builtin_labels, friendly_name, load_or_create_key};
pub use self::labels::Labels;
use crate::process::clock::unix_now;

/// Who this host is.
pub struct Identity {
    /// Its key.
    pub host_id: HostId,
    /// A name people can say.
    pub friendly_name: String,
    /// The lattice it belongs to.
    pub lattice: LatticeId,
    /// What it says of itself to those who look for a host.
    pub labels: Labels,
    /// When it started.
    pub started: Instant,
    /// Signs invocations.
    pub cluster_key: KeyPair,
    /// Public half of `cluster_key`.
    pub cluster_id: ClusterId,
    /// Cluster keys whose invocations are accepted, our own included.
    pub trusted_issuers: BTreeSet<ClusterId>,
}

impl Identity {
    /// A signed invocation of this host.
    ///
    /// # Errors
    /// [`TokenError`] when signing fails.
    pub fn issue_invocation(
        &self,
        origin: Entity,
        target: Entity,
        operation: String,
        payload: Bytes,
    ) -> Result<Invocation, TokenError> {
        Invocation::issue(origin, target, operation, payload, &self.cluster_key, &self.host_id, unix_now())
    }

    /// The header beside a message that tells of this host: the word of its cluster key.
    #[must_use]
    pub fn word(&self, message: &[u8]) -> async_nats::HeaderMap {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(MEMBER_HEADER, Word::header(&self.lattice, &self.host_id, message, &self.cluster_key));
        headers
    }
}
