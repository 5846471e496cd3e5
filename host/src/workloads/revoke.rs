//! Enforcing the revocation lists: what they name and runs here is stopped, and its calls are refused.
//!
//! Compares what runs with the lists in force when they change, and again on a timer, so that nothing depends on having
//! seen a change. Owns no state. Invariant: nothing here waits for the broker.

use std::sync::Arc;

use claims::{AccountId, KeyKind, PublicKey};
use contracts::CallError;
use futures_util::future::join_all;
use lattice::event::{ActorRevoked, EventData, ProviderRevoked, RevokedBy};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    actors::RunningActor,
    core::Core,
    providers::RunningProvider,
    state::revocations::{Named, Provenance},
    workloads::{actor, provider},
};

/// Enforces the lists until the host stops.
pub async fn enforce(core: Arc<Core>) {
    let mut changed = core.tables().follow_revocations();
    let mut ticks = interval(core.config.reconcile_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {}
            changed = changed.changed() => if changed.is_err() { return },
        }
        compare(&core).await;
    }
}

async fn compare(core: &Arc<Core>) {
    let lists = core.tables().revocations();
    if lists.is_empty() {
        return;
    }
    let actors = core.actors.all().into_iter().filter_map(|actor| Some((lists.find(&actor.provenance)?, actor)));
    let providers = core.providers.all().into_iter();
    let providers = providers.filter_map(|provider| Some((lists.find(&provider.spec.provenance)?, provider)));
    let actors = join_all(actors.map(|(named, actor)| stop_actor(core, actor, named)));
    let providers = join_all(providers.map(|(named, provider)| stop_provider(core, provider, named)));
    tokio::join!(actors, providers);
}

async fn stop_actor(core: &Arc<Core>, actor: Arc<RunningActor>, named: Named) {
    if actor::revoke(core, &actor, &named).await {
        core.emit(EventData::ActorRevoked(ActorRevoked {
            public_key: actor.id,
            image_ref: actor.image_ref.clone(),
            host_id: core.identity.host_id,
            by: told(&named),
        }));
    }
}

async fn stop_provider(core: &Arc<Core>, provider: Arc<RunningProvider>, named: Named) {
    if provider::revoke(core, &provider, &named).await {
        let spec = &provider.spec;
        core.emit(EventData::ProviderRevoked(ProviderRevoked {
            public_key: spec.id,
            link_name: spec.link_name.clone(),
            contract_id: spec.contract.clone(),
            image_ref: spec.image_ref.clone(),
            host_id: core.identity.host_id,
            by: told(&named),
        }));
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

/// Refuses a call from an actor or provider that is revoked. One that runs elsewhere is known by the claims of the
/// lattice alone, so by its id and its issuer.
///
/// # Errors
/// [`CallError::Unauthorized`].
pub fn check_caller(core: &Core, caller: PublicKey) -> Result<(), CallError> {
    let lists = core.tables().revocations();
    if lists.is_empty() {
        return Ok(());
    }
    let issuer = core.tables().claims.issuer(&caller).unwrap_or_else(|| own_issuer(&caller));
    match lists.find(&Provenance { issuer, subject: caller, digests: Vec::new() }) {
        Some(named) => Err(CallError::Unauthorized { reason: format!("the caller is refused: {named}") }),
        None => Ok(()),
    }
}

/// The issuer of what nobody signed, or of what is not known: its own key, as an account. No account has this key unless
/// it shares its seed.
pub fn own_issuer(key: &PublicKey) -> AccountId {
    let account = PublicKey::from_raw(KeyKind::Account, key.to_raw());
    AccountId::try_from(account).expect("an account key has an account id")
}
