//! Stopping providers: by command, or because a revocation list names them.

use std::sync::Arc;

use lattice::control::StopProvider;

use lattice_state::revocations::Named;

use super::face::ProviderWorkloads;
use crate::providers::{Home, RunningProvider};

/// The provider runs, but under other link names only; in the sentence of the protocol (section 3.3, `sp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("provider with that link name is not running")]
pub struct OtherLinkName;

/// Stops a provider; unknown ones are fine (protocol section 3.3, `sp`).
///
/// # Errors
/// [`OtherLinkName`].
pub async fn stop(work: &Arc<ProviderWorkloads>, command: StopProvider) -> Result<(), OtherLinkName> {
    let running = work.providers.get(&command.provider_id, &command.link_name);
    let reference = running.as_ref().map(|provider| provider.spec.image_ref.as_str());
    work.desired.change(|workload| workload.stop(Some(&command.provider_id), reference, &command.link_name)).await;
    let Some(provider) = running.filter(|provider| work.providers.remove_this(provider)) else {
        let elsewhere = work.providers.all().iter().any(|provider| provider.spec.id == command.provider_id);
        return if elsewhere { Err(OtherLinkName) } else { Ok(()) };
    };
    end(&provider).await;
    let spec = &provider.spec;
    work.providers.failures.provider_gone(&spec.id, &spec.link_name);
    tracing::info!(provider = %spec.id, link_name = %spec.link_name, "provider stopped");
    work.providers.events.emit(spec.stopped(work.providers.identity.host_id, "stop".to_owned()));
    Ok(())
}

/// Stops a provider that a revocation list names. It is called no more from the first moment. Whether it was this that
/// stopped it: somebody else may have been faster.
pub async fn revoke(work: &ProviderWorkloads, provider: &Arc<RunningProvider>, named: &Named) -> bool {
    if !work.providers.remove_this(provider) {
        return false;
    }
    let spec = &provider.spec;
    work.desired.change(|workload| workload.stop(Some(&spec.id), Some(&spec.image_ref), &spec.link_name)).await;
    work.providers.failures.provider_gone(&spec.id, &spec.link_name);
    tracing::warn!(provider = %spec.id, link_name = %spec.link_name, reason = %named, signer = %named.signer, "provider revoked");
    end(provider).await;
    work.providers.events.emit(spec.stopped(work.providers.identity.host_id, "revoked".to_owned()));
    true
}

/// Ends a provider and waits until nothing of it is left.
pub async fn end(provider: &RunningProvider) {
    provider.stop_token().cancel();
    match &provider.home {
        Home::Embedded(embedded) => embedded.shutdown().await,
        Home::Process(process) => process.stopped().await,
    }
}
