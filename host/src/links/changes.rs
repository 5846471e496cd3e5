//! What a change of lattice state sets in motion: providers are told, the lattice is told.

use std::sync::Arc;

use claims::{ActorId, PublicKey};
use lattice::{
    Link,
    event::{ConfigChanged, EventData, LinkChanged},
    subject::RpcSubject,
};
use tokio::sync::mpsc;

use crate::{
    core::Core,
    links::moves,
    state::links::LinkChange,
    store::{Effect, ForeignClaims},
    trust::ownership,
};

/// Follows the changes until the host stops.
pub async fn follow(core: Arc<Core>, mut effects: mpsc::UnboundedReceiver<Effect>) {
    loop {
        let effect = tokio::select! {
            () = core.stop.cancelled() => return,
            effect = effects.recv() => effect,
        };
        match effect {
            Some(Effect::Link { change, replayed }) => link_changed(&core, change, replayed).await,
            Some(Effect::Claims { subject, foreign }) => {
                claims_changed(&core, subject);
                if let Some(ForeignClaims { owner, issuer }) = foreign {
                    ownership::seen_elsewhere(&core, subject, owner, issuer).await;
                }
            }
            Some(Effect::Config { entity, key, set }) => {
                let changed = ConfigChanged { entity_id: entity, key };
                core.emit(if set { EventData::ConfigSet(changed) } else { EventData::ConfigDeleted(changed) });
            }
            None => return,
        }
    }
}

/// Links of an actor that is known from now on may be given to the providers of this host.
fn claims_changed(core: &Core, subject: PublicKey) {
    let Ok(actor) = ActorId::try_from(subject) else { return };
    for (id, link_name) in core.tables().links.providers_of(&actor) {
        core.providers.wake(&id, &link_name);
    }
}

/// A link goes to another provider: without a gap, and the old one hears of it last.
async fn moved(core: Arc<Core>, link: Arc<Link>, old: Arc<Link>) {
    moves::conduct(core.clone(), link).await;
    // It may have come back meanwhile.
    let held = core.tables().links.granting(&old.actor_id, &old.provider_id, old.link_name.as_str());
    if held.is_none_or(|held| held.contract_id != old.contract_id) {
        tell(&core, &old, false).await;
    }
}

async fn link_changed(core: &Arc<Core>, change: LinkChange, replayed: bool) {
    match change {
        LinkChange::Put { link, replaced } => {
            tell(core, &link, true).await;
            if let Some(replaced) = replaced.filter(|old| old.provider_id != link.provider_id) {
                core.tasks.spawn(moved(core.clone(), link.clone(), replaced));
            }
            if !replayed {
                core.emit(EventData::LinkdefSet(LinkChanged::from(link.as_ref().clone())));
            }
        }
        LinkChange::Deleted(link) => {
            tell(core, &link, false).await;
            core.emit(EventData::LinkdefDeleted(LinkChanged::from(link.as_ref().clone())));
        }
        // Announced and sent like any other put (protocol section 3.5).
        LinkChange::Repeated(link) => {
            match core.providers.get(&link.provider_id, &link.link_name) {
                Some(provider) if !replayed => provider.report_again(link.actor_id),
                Some(provider) => provider.wake(),
                None => tell(core, &link, true).await,
            }
            if !replayed {
                core.emit(EventData::LinkdefSet(LinkChanged::from(link.as_ref().clone())));
            }
        }
        LinkChange::Unchanged => {}
    }
}

/// A provider of this host is woken and compares for itself; any other hears of it over the lattice, as every host
/// of the protocol does (section 3.5).
async fn tell(core: &Core, link: &Link, put: bool) {
    let (id, link_name) = (link.provider_id, link.link_name.clone());
    if core.providers.get(&id, &link_name).is_some() {
        core.providers.wake(&id, &link_name);
        return;
    }
    let subject = if put { RpcSubject::LinkPut { id, link_name } } else { RpcSubject::LinkDel { id, link_name } };
    core.publish_rpc(&subject, link.to_msgpack().into()).await;
}
