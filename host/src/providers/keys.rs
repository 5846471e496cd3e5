//! What a provider process signs its calls with: a key made for it, or the cluster seed where it knows no other way.
//!
//! A provider built with our SDK gets a key that is trusted for its own calls alone, and a statement for it, which is
//! renewed with every health check. Invariant: the seed of a cluster goes to no process that has the mark of our SDK.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use claims::{ClusterId, KeyKind, KeyPair};
use lattice::{Secret, invocation::Delegation};

use super::spec::ProviderSpec;
use crate::{identity::Identity, process::clock::unix_now};

/// The key of the process that runs now, if it has its own. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OwnKey(Arc<Mutex<Option<ClusterId>>>);

/// What the host data say about signing.
pub struct Signing {
    /// The seed.
    pub seed: Secret,
    /// The statement for it, where it is no cluster seed.
    pub delegation: Option<String>,
}

impl OwnKey {
    /// What a process that is about to start signs with; none when the cluster key cannot sign.
    pub fn for_start(&self, identity: &Identity, spec: &ProviderSpec, lifetime: Duration) -> Option<Signing> {
        if !spec.own_key {
            return Some(Signing { seed: Secret::new(identity.cluster_key.seed().expose()), delegation: None });
        }
        let key = KeyPair::generate(KeyKind::Cluster);
        let id = ClusterId::try_from(key.public()).expect("a cluster key has a cluster id");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        let delegation = self.statement(identity, spec, lifetime)?;
        Some(Signing { seed: Secret::new(key.seed().expose()), delegation: Some(delegation) })
    }

    /// A new statement, for so long, for the key of the process that runs now; none where it has the cluster seed.
    pub fn statement(&self, identity: &Identity, spec: &ProviderSpec, lifetime: Duration) -> Option<String> {
        let key = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let (lattice, cluster) = (&identity.lattice, &identity.cluster_key);
        Delegation::issue(&key, &spec.entity(), lattice, cluster, (unix_now(), lifetime.as_secs()))
            .inspect_err(|error| tracing::error!(%error, provider = %spec.id, "cannot sign for the key of a provider"))
            .ok()
    }
}
