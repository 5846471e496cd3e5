//! Enforcing the revocation lists: what they name and runs here is stopped, and its calls are refused.
//!
//! Compares what runs with the lists in force when they change, and again on a timer, so that nothing depends on having
//! seen a change. Owns no state. Invariant: nothing here waits for the broker.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use lattice::event::{ActorRevoked, EventData, ProviderRevoked, RevokedBy};
use lattice_state::revocations::Named;
use tokio::time::{MissedTickBehavior, interval};

use super::{actor, provider, queue::Workloads};
use crate::{actors::RunningActor, providers::RunningProvider};

impl Workloads {
    /// Enforces the lists until the host stops; `every`: how often without a change.
    pub async fn enforce_revocations(self: Arc<Self>, every: Duration) {
        let mut changed = self.actors.admission.tables().follow_revocations();
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.life.stop.cancelled() => return,
                _ = ticks.tick() => {}
                changed = changed.changed() => if changed.is_err() { return },
            }
            self.compare().await;
        }
    }

    async fn compare(&self) {
        let lists = self.actors.admission.tables().revocations();
        if lists.is_empty() {
            return;
        }
        let actors = self.actors.actors.all().into_iter();
        let actors = actors.filter_map(|actor| Some((lists.find(&actor.provenance)?, actor)));
        let providers = self.providers.providers.all().into_iter();
        let providers = providers.filter_map(|provider| Some((lists.find(&provider.spec.provenance)?, provider)));
        let actors = join_all(actors.map(|(named, actor)| self.revoke_actor(actor, named)));
        let providers = join_all(providers.map(|(named, provider)| self.revoke_provider(provider, named)));
        tokio::join!(actors, providers);
    }

    async fn revoke_actor(&self, actor: Arc<RunningActor>, named: Named) {
        if actor::revoke(&self.actors, &actor, &named).await {
            let providers = &self.providers.providers;
            providers.events.emit(EventData::ActorRevoked(ActorRevoked {
                public_key: actor.id,
                image_ref: actor.image_ref.clone(),
                host_id: providers.identity.host_id,
                by: told(&named),
            }));
        }
    }

    async fn revoke_provider(&self, provider: Arc<RunningProvider>, named: Named) {
        if provider::revoke(&self.providers, &provider, &named).await {
            let (spec, providers) = (&provider.spec, &self.providers.providers);
            providers.events.emit(EventData::ProviderRevoked(ProviderRevoked {
                public_key: spec.id,
                link_name: spec.link_name.clone(),
                contract_id: spec.contract.clone(),
                image_ref: spec.image_ref.clone(),
                host_id: providers.identity.host_id,
                by: told(&named),
            }));
        }
    }
}

fn told(named: &Named) -> RevokedBy {
    RevokedBy {
        revoked: named.revoked.kind().to_owned(),
        revoked_id: named.revoked.to_string(),
        reason: named.reason.clone().unwrap_or_default(),
        signer: named.signer.to_string(),
        number: named.number,
    }
}
