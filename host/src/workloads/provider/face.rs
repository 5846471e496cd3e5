//! What starting and stopping providers needs.

use std::sync::Arc;

use claims::{AccountId, ProviderId};
use lattice::LinkName;
use provider_sdk::Builtin;

use super::error::StartProviderError;
use crate::{
    calls::Calls,
    providers::{ProviderSpec, Providers},
    workloads::{
        Desired,
        admission::Admission,
        starts::{Start, Starts},
    },
};

/// A start of a provider that is under way.
pub type ProviderStart = Start<ProviderId, LinkName>;

/// The providers of a host, started and stopped.
pub struct ProviderWorkloads {
    /// What artifacts are judged by.
    pub admission: Arc<Admission>,
    /// Those that run, and their supervision.
    pub providers: Arc<Providers>,
    /// The ways of embedded ones to their actors, and back.
    pub calls: Arc<Calls>,
    /// What this host is to run.
    pub desired: Arc<Desired>,
    /// Those that are compiled in.
    pub builtins: Vec<Builtin>,
    /// Starts that are under way.
    pub starts: Starts<ProviderId, LinkName>,
}

impl ProviderWorkloads {
    /// Whether the policy permits a provider of this issuer to start.
    ///
    /// # Errors
    /// [`StartProviderError::Policy`].
    pub(super) async fn may_start(&self, spec: &ProviderSpec, issuer: AccountId) -> Result<(), StartProviderError> {
        match &self.admission.policy {
            Some(policy) => Ok(policy.may_start_provider(&spec.id, issuer, &spec.contract, &spec.link_name).await?),
            None => Ok(()),
        }
    }
}
